"""The summary of one document: its pages are read in parts, and one call makes one text of them.

Each part is one call over as many pages as `query.planning.tokens_per_call` allows; every sentence
is checked against the passages of its part, and the last call reads the checked sentences alone.
What the limit of calls, the budget or a failure left unread is named in the answer.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final

from foliotrace.budget import max_tokens_of_text
from foliotrace.catalog import ErrorCode
from foliotrace.errors import LibraryUnavailable, NotFound
from foliotrace.events import DocumentSummarized, RoutingSkipped, emit, stage
from foliotrace.model import AnswerMode, Deadline, Document, Level, Passage, Query
from foliotrace.query.answer.prompt import AnswerTask
from foliotrace.query.answer.quoting.sought import Sources
from foliotrace.query.answer.synthesis import (
    ABSTAINED_EMPTY,
    AnswerStream,
    Degradations,
    Synthesis,
    with_notice,
)
from foliotrace.query.plan.documents import asked_document, passages_of
from foliotrace.query.plan.outline import outline
from foliotrace.query.plan.questions import PlanKind, QuestionPlan
from foliotrace.query.services import QueryServices

AT_ONCE: Final = 4  # calls for parts that are under way together
MAP_TIME: Final = 0.7  # of the time that is left; the rest is for the last call
NOTICE_PAGES: Final = "Read for this summary: pages {read} of {total}."
NOTICE_CALLS: Final = "`query.planning.summary_calls` allows no more calls."
NOTICE_BUDGET: Final = "The budget allows no more calls."
NOTICE_FAILED: Final = "No language model gave a usable answer for the other pages."
NOTICE_NOT_JOINED: Final = "The summaries of the parts follow one another."

_PART: Final = AnswerTask(
    version="summary-part-1",
    instructions="The passages are one part of a document, in order. Summarise this part: its main"
    " statements and figures. Leave out what is not in it.",
    length="in at most 8 sentences",
)
_WHOLE: Final = replace(
    _PART,
    version="summary-1",
    instructions="The passages are a document, in order. Summarise it: its main statements and"
    " figures.",
)
_REDUCE: Final = AnswerTask(
    version="summary-join-1",
    instructions="Each passage has statements from the pages of one document, in order. Make one"
    " summary of them, with the most important ones, and keep their numbers.",
    length="in at most 10 sentences",
)
_SAID: Final = re.compile(r"(?P<text>[^\[\]]+?)\s*(?P<markers>(?:\[\d+\])+)")
_MARKER: Final = re.compile(r"\[(\d+)\]")


@dataclass(slots=True)
class _Part:
    """Neighbouring pages that one call reads; `summary` is None while they are unread."""

    passages: list[Passage]
    sources: Sources = ()  # since it was read
    summary: Synthesis | None = None
    reasons: tuple[str, ...] = ()

    @property
    def pages(self) -> set[int]:
        return {passage.page for passage in self.passages}

    @property
    def says_something(self) -> bool:
        return self.summary is not None and self.summary.mode is AnswerMode.GENERATED


async def summary_of(
    services: QueryServices,
    query: Query,
    plan: QuestionPlan,
    version: int,
    deadline: Deadline,
    stream: AnswerStream | None,
) -> tuple[Synthesis | None, str | None]:
    """The summary that the question asks for; or None, and why it is no summary if it asked."""
    if plan.kind is not PlanKind.SUMMARY:
        return None, None
    document, notice = await asked_document(services, query, plan)
    if document is None:
        return None, notice
    with stage("retrieve", query=query.text) as call:
        try:
            passages = call.result = await passages_of(services, query, document)
        except (LibraryUnavailable, NotFound) as error:
            emit(RoutingSkipped(reason=error.error_code))
            return None, None
    with stage("synthesize", query=query.text, passages=passages) as call:
        made = await _summarize(
            services, query, document, passages, version, deadline, Degradations(stream)
        )
        if stream is not None and made.mode is not AnswerMode.GENERATED:
            stream.send(made.text)
        call.result = made.text
    return made, None


async def _summarize(
    services: QueryServices,
    query: Query,
    document: Document,
    passages: Sequence[Passage],
    version: int,
    deadline: Deadline,
    degradations: Degradations,
) -> Synthesis:
    """The summary with citations by page; the document's headings where no model answers."""
    if not services.generators:
        return await outline(services, query, document, passages, degradations)
    if not passages:
        return Synthesis(text=ABSTAINED_EMPTY, mode=AnswerMode.ABSTAINED, generator=0)
    limits = services.settings.planning
    parts = _parts_of(passages, limits.tokens_per_call)
    to_read = parts[: max(1, limits.summary_calls - 1)]
    for part in to_read:  # the terms of a long document's other pages would cost seconds
        part.sources = await services.synthesizer.sources(query, part.passages, version)
    if len(parts) == 1:
        write = services.synthesizer.write
        whole = await write(query, parts[0].sources, _WHOLE, deadline, degradations)
        parts[0].summary = whole
        _emit(parts)
        return whole or await outline(services, query, document, passages, degradations)
    now_s = services.clock.monotonic_s()
    mapping = deadline.capped(now_s, MAP_TIME * deadline.remaining_s(now_s))
    await _read(services, query, to_read, mapping)
    for reason in dict.fromkeys(reason for part in parts for reason in part.reasons):
        degradations.add(reason, Level.LOWER_PATH)
    _emit(parts)
    if not any(part.summary for part in parts):
        return await outline(services, query, document, passages, degradations)
    joined = await _join(services, query, parts, deadline, degradations)
    return with_notice(joined, _pages_notice(parts, degradations.reasons))


def _parts_of(passages: Sequence[Passage], tokens: int) -> list[_Part]:
    """Whole pages as long as they fit into `tokens`; a longer page is cut between passages."""
    parts: list[_Part] = []
    used = tokens
    for _, page in groupby(passages, key=lambda passage: passage.page):
        held = list(page)
        fits = sum(map(_tokens, held)) <= tokens
        for piece in [held] if fits else [[passage] for passage in held]:
            size = sum(map(_tokens, piece))
            if used + size > tokens:
                parts.append(_Part([]))
                used = 0
            parts[-1].passages += piece
            used += size
    return parts


def _tokens(passage: Passage) -> int:
    return max_tokens_of_text(passage.text) + max_tokens_of_text(passage.context)


async def _read(
    services: QueryServices, query: Query, parts: Sequence[_Part], deadline: Deadline
) -> None:
    """Summarise the parts, some at a time; after the budget refused a call one by one."""
    waiting, at_once = list(parts), AT_ONCE
    while waiting:
        group, waiting = waiting[:at_once], waiting[at_once:]
        await asyncio.gather(*(_read_part(services, query, part, deadline) for part in group))
        refused = [part for part in group if ErrorCode.BUDGET_EXCEEDED in part.reasons]
        if refused and at_once == 1:
            return
        if refused:  # calls at once reserve their worst cases together: one may still fit
            waiting, at_once = [*refused, *waiting], 1


async def _read_part(
    services: QueryServices, query: Query, part: _Part, deadline: Deadline
) -> None:
    own = Degradations()
    part.summary = await services.synthesizer.write(query, part.sources, _PART, deadline, own)
    part.reasons = tuple(own.reasons)


async def _join(
    services: QueryServices,
    query: Query,
    parts: Sequence[_Part],
    deadline: Deadline,
    degradations: Degradations,
) -> Synthesis:
    """One text of what the parts say; theirs, one after another, where that call fails."""
    saying = [part for part in parts if part.says_something]
    following = _one_after_another(saying or [part for part in parts if part.summary])
    if len(saying) > 1:
        statements, sources = _statements(saying)
        write = services.synthesizer.write
        text = await write(query, sources, _REDUCE, deadline, degradations, written=statements)
        if text is not None and text.mode is AnswerMode.GENERATED:
            place = max(text.generator or 0, following.generator or 0)
            return replace(text, generator=place, reasons=tuple(degradations.reasons))
        following = with_notice(following, NOTICE_NOT_JOINED)
    if degradations.stream is not None and following.mode is AnswerMode.GENERATED:
        degradations.stream.send(following.text)
    return replace(following, reasons=tuple(degradations.reasons))


def _statements(parts: Sequence[_Part]) -> tuple[list[Passage], Sources]:
    """What the parts say, by the passage that it is cited from; and those passages."""
    said: dict[int, list[str]] = {}
    everything = [source for part in parts for source in part.sources]
    offset = 0
    for part in parts:
        for found in _SAID.finditer(part.summary.text if part.summary else ""):
            markers = [offset + int(n) - 1 for n in _MARKER.findall(found["markers"])]
            for marker in dict.fromkeys(markers):
                said.setdefault(marker, []).append(found["text"].strip(" .\n") + ".")
        offset += len(part.sources)
    cited = sorted(said)
    statements = [replace(everything[m][0], text=" ".join(said[m]), context="") for m in cited]
    return statements, [everything[m] for m in cited]


def _one_after_another(parts: Sequence[_Part]) -> Synthesis:
    """The summaries of the parts as one answer, their markers counted through."""
    texts, citations, offset = [], [], 0
    summaries = [part.summary for part in parts if part.summary is not None]
    for summary in summaries:
        numbers = {c.marker: offset + n for n, c in enumerate(summary.citations, 1)}
        texts.append(_renumbered(summary.text, numbers))
        citations += [replace(c, marker=numbers[c.marker]) for c in summary.citations]
        offset += len(numbers)
    return replace(
        summaries[0],
        text="\n\n".join(texts) if summaries[0].mode is AnswerMode.GENERATED else texts[0],
        citations=tuple(citations),
        generator=max(summary.generator or 0 for summary in summaries),
        removed_claims=sum(summary.removed_claims for summary in summaries),
        derived_claims=sum(summary.derived_claims for summary in summaries),
        unverified_claims=sum(summary.unverified_claims for summary in summaries),
    )


def _renumbered(text: str, numbers: dict[int, int]) -> str:
    return _MARKER.sub(lambda found: f"[{numbers.get(int(found[1]), int(found[1]))}]", text)


def _pages_notice(parts: Sequence[_Part], reasons: Sequence[str]) -> str | None:
    """Which pages were read, and why not all; None where all were."""
    unread = [part for part in parts if part.summary is None]
    if not unread:
        return None
    read = set[int]().union(*(part.pages for part in parts if part.summary is not None))
    total = set[int]().union(*(part.pages for part in parts))
    why = NOTICE_FAILED
    if any(ErrorCode.BUDGET_EXCEEDED in part.reasons for part in unread):
        why = NOTICE_BUDGET
    elif not any(part.reasons for part in unread):
        why = NOTICE_CALLS
    return f"{NOTICE_PAGES.format(read=_ranges(read), total=max(total))} {why}"


def _ranges(pages: set[int]) -> str:
    """For 1, 2, 3 and 7: "1-3, 7"."""
    ranges: list[list[int]] = []
    for page in sorted(pages):
        if ranges and ranges[-1][1] == page - 1:
            ranges[-1][1] = page
        else:
            ranges.append([page, page])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in ranges)


def _emit(parts: Sequence[_Part]) -> None:
    read = [part for part in parts if part.summary is not None]
    pages = set[int]().union(*(part.pages for part in read))
    emit(DocumentSummarized(parts=len(parts), parts_read=len(read), pages_read=len(pages)))
