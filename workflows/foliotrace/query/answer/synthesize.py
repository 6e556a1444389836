"""The `synthesize` stage: the language models in their order, then quoted passages.

Sentences that the passages do not verify are removed or marked (`grounding`); where nothing is
left, the answer is quotes. Answers without passages are in `fallback`.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from secrets import token_hex
from typing import Final, Protocol, TypeAlias

from foliotrace.catalog import Reason
from foliotrace.errors import GeneratorUnavailable, IndexUnavailable, LibraryUnavailable, NotFound
from foliotrace.events import (
    GeneratorFailed,
    QuestionCoverMeasured,
    SubjectCheckSkipped,
    SubjectMissing,
    emit,
)
from foliotrace.model import (
    AnswerContent,
    AnswerMode,
    Citation,
    Deadline,
    Level,
    Passage,
    Query,
    Usage,
)
from foliotrace.ports import Generation, Prompt, TextGenerator, Vocabulary
from foliotrace.query.answer import prompt as prompts
from foliotrace.query.answer.anchors import PageMaps
from foliotrace.query.answer.evidence import ClaimEvidence
from foliotrace.query.answer.grounding import Grounder
from foliotrace.query.answer.ladder import RUNG_FAILURES, NextRung, after_failure
from foliotrace.query.answer.quotes import (
    FLOOR,
    PassageTerms,
    PassageTermsCache,
    Quote,
    choose,
    cover,
    nearest_span,
    weigh,
)
from foliotrace.query.retrieve.subject_check import SubjectCheck, Subjects
from foliotrace.settings import MAX_QUOTES, Grounding

NOTICE_QUOTES: Final = "No language model is configured: these passages are quoted word for word."
NOTICE_FALLBACK: Final = "No language model could answer: these passages are quoted word for word."
NOTICE_UNVERIFIED: Final = (
    "The passages do not verify what the language model answered: they are quoted word for word."
)
NOTICE_CUT: Final = "The answer was cut short: it reached its limit of length or of cost."
ABSTAINED: Final = (
    "The documents do not answer this question: no passage covers enough of what was asked."
)
ABSTAINED_EMPTY: Final = "The documents do not answer this question: no passage was found."
ABSTAINED_MISSING: Final = (
    "The documents do not answer this question: they hold nothing about {missing}."
)
NOTICE_MISSING: Final = "The question names {missing}, which the documents do not cover."
ABSTAINED_LLM: Final = "The documents do not answer this question."

Sources: TypeAlias = Sequence[tuple[Passage, PassageTerms]]
"""Passages with their terms, in the order of their markers: [1] is the first."""


class AnswerStream(Protocol):
    """Receives an answer while it is being made."""

    @property
    def started(self) -> bool:
        """Whether text has left: then no other text may replace it."""
        ...

    def send(self, text: str) -> None:
        """Send whole sentences, now or as soon as redaction can decide about them."""
        ...

    def discard_unsent(self) -> None:
        """Drop text that has not left yet, because another text replaces it."""
        ...

    def degraded(self, level: Level, reasons: Sequence[str]) -> None:
        """Emit that the answer is at `level` or worse, before more of its text."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Synthesis(AnswerContent):
    """The answer before redaction. `generator` is the LLM's place in the order, None for none.

    `reasons` say why it is not a better one; `age_s` and `origin` belong to a stale answer.
    """

    text: str
    mode: AnswerMode
    generator: int | None = None
    usage: Usage = field(default_factory=Usage)
    reasons: tuple[str, ...] = ()
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class _Degradations:
    """Why the answer is not the best one; a stream is told at once."""

    stream: AnswerStream | None = None
    reasons: list[str] = field(default_factory=list)

    def add(self, reason: str, level: Level) -> None:
        """Add a reason, and the level that it leads to at least."""
        self.reasons.append(reason)
        if self.stream is not None:
            self.stream.degraded(level, (reason,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Synthesizer:
    """Answers from passages: LLMs in order, the index's vocabulary, two caches, and the limits."""

    generators: tuple[TextGenerator, ...]
    vocabulary: Vocabulary
    pages: PageMaps
    passage_terms: PassageTermsCache
    max_tokens: int
    grounding: Grounding = "strict"
    subjects: SubjectCheck | None = None

    async def synthesize(
        self,
        query: Query,
        passages: Sequence[Passage],
        *,
        library_version: int,
        deadline: Deadline,
        stream: AnswerStream | None = None,
        check_subject: bool = True,
    ) -> Synthesis:
        """The best answer that the LLMs and the passages give.

        With `check_subject`, what the question names must be held by the library: quotes are
        refused otherwise, and an LLM is warned.
        Only an LLM's text goes to `stream` from here. Raises the LLM's error when its stream
        breaks after text has left.
        """
        tenant = query.principal.tenant
        self.passage_terms.keep_for(library_version)
        sources = [
            (p, self.passage_terms.of(tenant, p, await self.pages.of(tenant, p))) for p in passages
        ]
        degradations = _Degradations(stream)
        subjects = await self._subjects(query, sources) if check_subject else Subjects()
        if not passages:  # no LLM is asked: the first one would have abstained too
            first = 0 if self.generators else None
            return _abstained(ABSTAINED_EMPTY, subjects, generator=first)
        if self.generators:
            generated = await self._generate(
                query, sources, deadline, degradations, subjects.missing
            )
            if generated is not None:
                return generated
        if subjects.missing:
            return _abstained(ABSTAINED, subjects, reasons=tuple(degradations.reasons))
        return await self._quote(query, sources, degradations, subjects)

    async def _subjects(self, query: Query, sources: Sources) -> Subjects:
        """What the question names; nothing where the library cannot say."""
        if self.subjects is None:
            return Subjects()
        try:
            subjects = await self.subjects.of(query, [terms for _, terms in sources])
        except (IndexUnavailable, LibraryUnavailable, NotFound) as error:
            emit(SubjectCheckSkipped(reason=error.error_code))
            return Subjects()
        if subjects.missing:
            emit(SubjectMissing(missing=len(subjects.missing)))
        return subjects

    # --- generated -------------------------------------------------------------------------

    async def _generate(
        self,
        query: Query,
        sources: Sources,
        deadline: Deadline,
        degradations: _Degradations,
        missing: tuple[str, ...],
    ) -> Synthesis | None:
        """The first LLM's answer that the passages support; None when quotes must follow."""
        prompt = prompts.build(
            query.text,
            [p for p, _ in sources],
            boundary=f"={token_hex(6)}=",
            missing=_listed(missing),
        )
        for place, generator in enumerate(self.generators):
            evidence = [ClaimEvidence(passage, terms) for passage, terms in sources]
            grounder = Grounder(evidence, self.vocabulary, query.text, self.grounding)
            text = _GroundedText(grounder, degradations.stream)
            try:
                generation = await self._ask(generator, prompt, text, deadline)
            except RUNG_FAILURES as error:
                emit(GeneratorFailed(model=generator.model, reason=error.reason))
                more = place + 1 < len(self.generators)
                following = after_failure(error, sent=not text.discard(), more=more)
                if following is NextRung.END:
                    raise
                other_llm = following is NextRung.LLM
                degradations.add(error.reason, Level.OTHER_LLM if other_llm else Level.LOWER_PATH)
                if other_llm:
                    continue
                return None
            generated = await self._generated(query, sources, text, generation, place, degradations)
            if generated is None or not missing:
                return generated
            notice = NOTICE_MISSING.format(missing=_listed(missing))
            return replace(generated, notice=" ".join(filter(None, (notice, generated.notice))))
        return None

    async def _ask(
        self, generator: TextGenerator, prompt: Prompt, text: "_GroundedText", deadline: Deadline
    ) -> Generation:
        """One call to one LLM; streamed when the answer is."""
        generation: Generation | None = None
        if text.stream is None:
            generation = await generator.generate(
                prompt, max_tokens=self.max_tokens, deadline=deadline
            )
            text.add(generation.text)
        else:
            deltas = generator.stream(prompt, max_tokens=self.max_tokens, deadline=deadline)
            async with aclosing(deltas):
                async for delta in deltas:
                    if delta.text:
                        text.add(delta.text)
                    if delta.done is not None:
                        generation = delta.done
                        break
        if generation is None:
            raise GeneratorUnavailable(
                f"{generator.model} ended its stream without a result",
                reason=Reason.GENERATOR_INCOMPLETE,
            )
        text.finish()
        return generation

    async def _generated(
        self,
        query: Query,
        sources: Sources,
        text: "_GroundedText",
        generation: Generation,
        place: int,
        degradations: _Degradations,
    ) -> Synthesis | None:
        claims = text.grounder.claims
        answered = bool(claims.cited or claims.unverified)
        if not answered and not text.grounder.no_answer:
            degradations.add(Reason.GENERATED_ANSWER_UNSUPPORTED, Level.LOWER_PATH)
            return None
        cut = generation.finish_reason in ("budget", "length")
        if generation.finish_reason == "budget":
            level = Level.OTHER_LLM if place else Level.LOWER_PATH
            degradations.add(Reason.ANSWER_CUT_BY_BUDGET, level)
        if not answered:
            return Synthesis(
                text=ABSTAINED_LLM,
                mode=AnswerMode.ABSTAINED,
                generator=place,
                model=generation.model,
                usage=generation.usage,
                reasons=tuple(degradations.reasons),
            )
        return Synthesis(
            text=text.text,
            mode=AnswerMode.GENERATED,
            citations=await self._cite(query, sources, claims.cited),
            generator=place,
            model=generation.model,
            usage=generation.usage,
            removed_claims=claims.removed,
            derived_claims=claims.derived,
            unverified_claims=claims.unverified,
            notice=NOTICE_CUT if cut else None,
            reasons=tuple(degradations.reasons),
        )

    async def _cite(
        self, query: Query, sources: Sources, cited: Mapping[int, AbstractSet[str]]
    ) -> tuple[Citation, ...]:
        """For each marker, the sentence or row of its passage that is nearest to the claims."""
        citations = []
        for marker in sorted(cited):
            passage, terms = sources[marker - 1]
            span = nearest_span(cited[marker], terms)
            if span is not None:
                quote = Quote(passage, span, passage.score)
                citations.append(await self._citation(query, marker, quote))
        return tuple(citations)

    # --- quoted ----------------------------------------------------------------------------

    async def _quote(
        self, query: Query, sources: Sources, degradations: _Degradations, subjects: Subjects
    ) -> Synthesis:
        """Sentences and rows word for word; abstains where they cover too little."""
        weights = {
            term: weight
            for term, weight in self._weights(query, degradations).items()
            if term not in subjects.unwritten
        }
        best = max(cover(weights, terms.terms) for _, terms in sources)
        emit(QuestionCoverMeasured(cover=round(best, 3)))
        chosen = choose(weights, sources, at_most=min(MAX_QUOTES, query.top_k))
        if best < FLOOR or not chosen:
            return Synthesis(
                text=ABSTAINED, mode=AnswerMode.ABSTAINED, reasons=tuple(degradations.reasons)
            )
        numbered = list(enumerate(chosen, 1))
        return Synthesis(
            text="\n\n".join(_rendered(quote, marker) for marker, quote in numbered),
            mode=AnswerMode.EXTRACTIVE,
            citations=tuple([await self._citation(query, *each) for each in numbered]),
            notice=self._why_quoted(degradations.reasons),
            reasons=tuple(degradations.reasons),
        )

    def _why_quoted(self, reasons: Sequence[str]) -> str:
        if Reason.GENERATED_ANSWER_UNSUPPORTED in reasons:
            return NOTICE_UNVERIFIED
        return NOTICE_FALLBACK if self.generators else NOTICE_QUOTES

    def _weights(self, query: Query, degradations: _Degradations) -> dict[str, float]:
        terms = self.vocabulary.terms(query.text)
        tenant, collection = query.principal.tenant, query.collection
        try:
            weights = self.vocabulary.weights(terms, tenant=tenant, collection=collection)
            rarity = dict(zip(terms, weights, strict=True))
        except IndexUnavailable as error:
            rarity = {}  # every term then weighs the same
            degradations.add(error.reason, Level.LOWER_PATH)
        return weigh(terms, rarity)

    async def _citation(self, query: Query, marker: int, quote: Quote) -> Citation:
        passage = quote.passage
        page = await self.pages.of(query.principal.tenant, passage)
        if passage.exact:
            anchor = page.anchor(passage.page, quote.span.start, quote.span.end)
        else:
            anchor = page.whole(passage.page)
        return Citation(
            marker=marker,
            document_id=passage.document_id,
            document_name=passage.document_name,
            chunk_id=passage.chunk_id,
            quote=quote.text,
            anchor=anchor,
            score=round(quote.score, 4),
        )


class _GroundedText:
    """The supported sentences of an LLM's text, which also go to the stream."""

    def __init__(self, grounder: Grounder, stream: AnswerStream | None) -> None:
        self.grounder = grounder
        self.stream = stream
        self.text = ""

    def add(self, text: str) -> None:
        self._append(self.grounder.feed(text))

    def finish(self) -> None:
        self._append(self.grounder.finish())

    def _append(self, supported: str) -> None:
        if supported:
            self.text += supported
            if self.stream is not None:
                self.stream.send(supported)

    def discard(self) -> bool:
        """Drop the text; False when some of it has left already."""
        if self.stream is None:
            return True
        if self.stream.started:
            return False
        self.stream.discard_unsent()
        return True


def _abstained(
    text: str,
    subjects: Subjects,
    *,
    generator: int | None = None,
    reasons: tuple[str, ...] = (),
) -> Synthesis:
    """An abstention, which names what is missing where that is the cause, else says `text`."""
    missing = _listed(subjects.missing)
    return Synthesis(
        text=ABSTAINED_MISSING.format(missing=missing) if missing else text,
        mode=AnswerMode.ABSTAINED,
        generator=generator,
        notice=NOTICE_MISSING.format(missing=missing) if missing else None,
        reasons=reasons,
    )


def _listed(missing: Sequence[str]) -> str:
    """The names in quotation marks, as a list in a sentence."""
    return ", ".join(f"\u201c{name}\u201d" for name in missing)


def _rendered(quote: Quote, marker: int) -> str:
    """A quote in the answer's text: a row below its header, a sentence in quotation marks."""
    if quote.span.header:
        return f"{quote.span.header}\n{quote.text} [{marker}]"
    return f"\u201c{quote.text}\u201d [{marker}]"
