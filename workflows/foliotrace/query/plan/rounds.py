"""Further searches for one question: each part of a comparison, or a part the first search lacked.

Only where a language model reads the evidence; it is still one call. Every part gets its share of
the evidence, and what was searched for without success is said by name.
"""

import asyncio
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Final

from foliotrace.budget import max_tokens_of_text
from foliotrace.errors import IndexUnavailable, LibraryUnavailable
from foliotrace.events import QuestionPlanned, RoutingSkipped, emit
from foliotrace.model import AnswerMode, Deadline, Passage, Query, RetrievalMode
from foliotrace.query.answer.prompt import QUESTION, AnswerTask
from foliotrace.query.answer.quoting.sought import Sources
from foliotrace.query.answer.synthesis import Synthesis, listed, with_notice
from foliotrace.query.plan.questions import (
    DIRECT,
    Part,
    PlanKind,
    QuestionPlan,
    may_need_more,
    plan_of,
)
from foliotrace.query.retrieve.paths import Retrieval, retrieve, without_duplicates
from foliotrace.query.services import QueryServices
from foliotrace.query.subjects.asked_attributes import asked_attributes
from foliotrace.query.subjects.asked_names import asked_names, asked_years
from foliotrace.settings import MAX_TOP_K

LEAST_SHARE: Final = 2  # passages of each part
SECOND_ROUND: Final = 3  # passages that a second search adds at most
NOTICE_UNFOUND: Final = "No passage was found that speaks of {parts}."
NOTICE_NOT_SEARCHED: Final = "Not searched for by themselves (`query.planning.max_parts`): {parts}."
NOTICE_NO_COMPARISON: Final = (
    "This installation has no language model: it does not compare documents or complete lists, and"
    " gives what the best passages say."
)

_COMPARISON: Final = (
    "The question is about several things: {parts}. Say for each what the passages say of it, with"
    " its own passages, and then compare them. If they say nothing about one of them, leave it out."
)
_LIST: Final = AnswerTask(
    version="list-1",
    instructions="The question asks for a list: one line for each item, each item once, each line"
    " with the numbers of its passages.",
    length="with one short line for each item",
    partial=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """What all searches found; `task` says what the language model makes of it.

    `notice` names what was not found or not searched for.
    """

    retrieval: Retrieval
    task: AnswerTask = QUESTION
    sub_questions: tuple[str, ...] = ()
    notice: str | None = None


async def planned(services: QueryServices, query: Query) -> QuestionPlan:
    """What the question needs; an ordinary one costs a few regular expressions."""
    if not may_need_more(query.text):
        return DIRECT
    check = services.subjects
    if check is not None:
        try:
            await check.identities.follow()
        except LibraryUnavailable as error:
            emit(RoutingSkipped(reason=error.error_code))
            return DIRECT
    return plan_of(query.text, lambda words: check is not None and check.names_held(query, words))


def with_notice_of(synthesis: Synthesis, evidence: Gathered) -> Synthesis:
    """The answer with what the searches for it say; a computed one compares by itself."""
    synthesis = replace(synthesis, sub_questions=evidence.sub_questions)
    said = synthesis.mode in (AnswerMode.GENERATED, AnswerMode.EXTRACTIVE)
    if not said or (synthesis.mode is AnswerMode.EXTRACTIVE and synthesis.derived_claims):
        return synthesis
    return with_notice(synthesis, evidence.notice)


def first_search(services: QueryServices, query: Query, plan: QuestionPlan) -> Query:
    """The question as it is searched for: a list needs more passages."""
    if plan.kind is not PlanKind.LIST or not services.generators:
        return query
    wide = services.settings.planning.list_passages * (2 if plan.by_document else 1)
    return replace(query, top_k=min(MAX_TOP_K, max(query.top_k, wide)))


async def gather(
    services: QueryServices,
    query: Query,
    plan: QuestionPlan,
    first: Retrieval,
    version: int,
    deadline: Deadline,
) -> Gathered:
    """The evidence for the answer, after as many further searches as the plan needs."""
    if not services.generators or first.mode is RetrievalMode.NONE:
        unable = plan.kind in (PlanKind.COMPARISON, PlanKind.LIST) and not services.generators
        return Gathered(retrieval=first, notice=NOTICE_NO_COMPARISON if unable else None)
    if plan.kind is PlanKind.LIST:
        return _list(services, query, plan, first)
    if plan.kind is PlanKind.COMPARISON:
        return await _comparison(services, query, plan, first, deadline)
    return await _second_round(services, query, first, version, deadline)


# --- comparisons ---------------------------------------------------------------------------


async def _comparison(
    services: QueryServices, query: Query, plan: QuestionPlan, first: Retrieval, deadline: Deadline
) -> Gathered:
    """A search for each part; the evidence has a fair share of each."""
    limits = services.settings.planning
    parts, beyond = plan.parts[: limits.max_parts], plan.parts[limits.max_parts :]
    found = await asyncio.gather(
        *(_search(services, query, part.question, first, deadline) for part in parts)
    )
    share = max(LEAST_SHARE, -(-query.top_k // len(parts)))
    shares, unfound = [], []
    for part, retrieval in zip(parts, found, strict=True):
        speaking = [p for p in retrieval.passages if _speaks_of(p, part)]
        if not speaking:
            unfound.append(part.name)
        shares.append((speaking or list(retrieval.passages))[:share])
    rounds = zip_longest(*shares)  # the best of each part first
    passages = without_duplicates(
        [p for each in rounds for p in each if p is not None] + list(first.passages)
    )
    kept = passages[: max(query.top_k, share * len(parts)) + LEAST_SHARE]
    kept = within_tokens(kept, limits.tokens_per_call)
    _emit(PlanKind.COMPARISON, len(parts), kept)
    notices = (
        NOTICE_UNFOUND.format(parts=listed(unfound)) if unfound else "",
        NOTICE_NOT_SEARCHED.format(parts=listed([p.name for p in beyond])) if beyond else "",
    )
    return Gathered(
        retrieval=_joined(first, found, kept),
        task=AnswerTask(
            version="compare-1",
            instructions=_COMPARISON.format(parts=", ".join(p.name for p in plan.parts)),
            length=f"in at most {2 * len(plan.parts) + 3} sentences",
            partial=True,
        ),
        sub_questions=tuple(part.question for part in parts),
        notice=" ".join(filter(None, notices)) or None,
    )


def _speaks_of(passage: Passage, part: Part) -> bool:
    """Whether the passage, or what its document says of itself, has the words of the part."""
    text = " ".join((passage.header, passage.document_name, passage.context, passage.text))
    text = text.casefold()
    return all(word in text for word in part.words)


# --- lists ---------------------------------------------------------------------------------


def _list(services: QueryServices, query: Query, plan: QuestionPlan, first: Retrieval) -> Gathered:
    """The widely searched passages; where documents are listed, the best one of each first."""
    limits = services.settings.planning
    passages = list(first.passages)
    if plan.by_document:
        best: dict[str, Passage] = {}
        for passage in passages:
            best.setdefault(passage.document_id, passage)
        passages = list(best.values())
    wanted = max(query.top_k, limits.list_passages)
    kept = within_tokens(passages[:wanted], limits.tokens_per_call)
    _emit(PlanKind.LIST, 0, kept)
    return Gathered(retrieval=replace(first, passages=tuple(kept)), task=_LIST)


# --- a second round ------------------------------------------------------------------------


async def _second_round(
    services: QueryServices, query: Query, first: Retrieval, version: int, deadline: Deadline
) -> Gathered:
    """One more search where no passage speaks of something that the question names.

    It is for the question without the names that were found; where other words of the question
    outweigh the part that lacks, for that part alone.
    """
    sources = await services.synthesizer.sources(query, first.passages, version)
    lacking = lacking_parts(services, query, sources)
    if not lacking:
        return Gathered(retrieval=first)
    wanted = [set(services.vocabulary.terms(name)) for name in lacking]
    added: list[Passage] = []
    further: list[Retrieval] = []
    texts = dict.fromkeys((_without_others(query.text, lacking), " ".join(lacking)))
    for text in texts:
        found = await _search(services, query, text, first, deadline)
        further.append(found)
        held = await _with_terms(services, query, found.passages, version)
        added = [p for p, terms in held if any(part <= terms for part in wanted)][:SECOND_ROUND]
        if added:
            break
    kept = without_duplicates([*first.passages, *added])
    _emit("second_round", len(further), kept)
    searched = tuple(texts)[: len(further)]
    return Gathered(retrieval=_joined(first, further, kept), sub_questions=searched)


def lacking_parts(services: QueryServices, query: Query, sources: Sources) -> list[str]:
    """Names, years and attributes of the question that no passage speaks of and others may.

    What the collection writes nowhere is left out: a search cannot find it.
    """
    check = services.subjects
    if check is None:
        return []
    parts = dict.fromkeys(_named_parts(services, query))
    if not parts:
        return []
    terms = services.vocabulary.terms
    held = set().union(*(each.terms for _, each in sources))
    held.update(*(terms(_plain(name)) for name in {p.document_name for p, _ in sources}))
    lacking = []
    for part in parts:
        unheld = [word for word in part.split() if not held.issuperset(terms(word))]
        try:
            if unheld and check.writes(query, unheld):
                lacking.append(part)
        except IndexUnavailable:
            return []
    return lacking


def _named_parts(services: QueryServices, query: Query) -> Iterable[str]:
    for name in asked_names(query.text):
        if name.capitalised or name.possessive:
            yield name.text
    for asked in asked_years(query.text):
        yield str(asked.year)
    for attribute, _ in asked_attributes(query.text, services.vocabulary.terms):
        yield attribute


def _without_others(text: str, lacking: Sequence[str]) -> str:
    """The question without the names that its first search found passages about."""
    for name in asked_names(text):
        if (name.capitalised or name.possessive) and not any(name.text in each for each in lacking):
            text = re.sub(rf"\b{re.escape(name.text)}\b(?:['\u2019]s?(?!\w))?", " ", text, count=1)
    return " ".join(text.split())


async def _with_terms(
    services: QueryServices, query: Query, passages: Sequence[Passage], version: int
) -> list[tuple[Passage, frozenset[str]]]:
    terms = services.vocabulary.terms
    return [
        (p, each.terms | frozenset(terms(_plain(p.document_name))))
        for p, each in await services.synthesizer.sources(query, passages, version)
    ]


# --- shared --------------------------------------------------------------------------------


async def _search(
    services: QueryServices, query: Query, text: str, first: Retrieval, deadline: Deadline
) -> Retrieval:
    """One more search, by the path that answered the first, or those below it."""
    modes = [path.mode for path in services.paths]
    return await retrieve(
        replace(query, text=text),
        services.paths[modes.index(first.mode) :],
        clock=services.clock,
        deadline=deadline,
        limit_s=services.settings.retrieval_deadline_s,
        reranking=services.reranking,
    )


def _joined(
    first: Retrieval, further: Sequence[Retrieval], passages: Sequence[Passage]
) -> Retrieval:
    """All searches as one, with the failures of each."""
    failures = (*first.failures, *(error for each in further for error in each.failures))
    return replace(first, passages=tuple(passages), failures=failures)


def within_tokens(passages: Sequence[Passage], tokens: int) -> list[Passage]:
    """The first of the passages that fit into so many tokens, and at least one."""
    kept: list[Passage] = []
    used = 0
    for passage in passages:
        used += max_tokens_of_text(passage.text) + max_tokens_of_text(passage.context)
        if kept and used > tokens:
            break
        kept.append(passage)
    return kept


def _plain(name: str) -> str:
    return "".join(c if c.isalnum() else " " for c in name)


def _emit(plan: str, searches: int, passages: Sequence[Passage]) -> None:
    emit(QuestionPlanned(plan=plan, searches=searches, passages=len(passages)))
