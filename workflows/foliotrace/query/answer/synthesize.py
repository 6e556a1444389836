"""The stage that answers: the LLMs in their order, then quoted passages. One call to one LLM.

What the passages do not support is removed (`grounding`); where nothing is left the answer is
quotes. Stale answers and the template, which need no passages, are in `last_resort`.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import aclosing
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Final, Protocol

from foliotrace.catalog import Reason
from foliotrace.errors import FoliotraceError, GeneratorUnavailable, IndexUnavailable
from foliotrace.events import GeneratorFailed, QuestionCoverMeasured, emit
from foliotrace.model import AnswerMode, Citation, Deadline, Level, Passage, Query, Usage
from foliotrace.ports import Generation, Prompt, TextGenerator, Vocabulary
from foliotrace.query.answer import prompt as prompts
from foliotrace.query.answer.anchors import PageMaps
from foliotrace.query.answer.grounding import Grounder
from foliotrace.query.answer.ladder import FALLS_DOWN, Next, after_failure
from foliotrace.query.answer.passage_terms import PassageTermsCache
from foliotrace.query.answer.quotes import (
    FLOOR,
    PassageTerms,
    Quote,
    choose,
    cover,
    nearest_unit,
    weigh,
)
from foliotrace.settings import MAX_QUOTES

NOTICE_QUOTES: Final = "No language model is configured: these passages are quoted word for word."
NOTICE_FALLBACK: Final = "No language model could answer: these passages are quoted word for word."
NOTICE_CUT: Final = "The answer was cut short: it reached its limit of length or of cost."
ABSTAINED: Final = (
    "The documents do not answer this question: no passage covers enough of what was asked."
)
ABSTAINED_EMPTY: Final = "The documents do not answer this question: no passage was found."
ABSTAINED_LLM: Final = "The documents do not answer this question."


class Screen(Protocol):
    """Shows an answer while it is being made."""

    @property
    def shown(self) -> bool:
        """Whether anything has been seen: then no other text may take its place."""
        ...

    def show(self, text: str) -> None:
        """Show the next whole sentences, now or as soon as they are known to be harmless."""
        ...

    def discard(self) -> None:
        """Forget what was not seen yet: another text follows."""
        ...

    def degraded(self, level: Level, reasons: Sequence[str]) -> None:
        """Say that the answer stands at this level or below, and why, before more of its text."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An answer before the last stage. `failures` and `reasons` say why it is not a better one."""

    text: str
    mode: AnswerMode
    citations: tuple[Citation, ...] = ()
    generator: int | None = None
    model: str | None = None
    usage: Usage = field(default_factory=Usage)
    removed_claims: int = 0
    notice: str | None = None
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Why the answer is not the best one; whoever watches it being made hears so at once."""

    screen: Screen | None = None
    reasons: list[str] = field(default_factory=list)

    def add(self, reason: str, level: Level) -> None:
        """One more reason, and the level that it leads to at least."""
        self.reasons.append(reason)
        if self.screen is not None:
            self.screen.degraded(level, (reason,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Synthesis:
    """What answering needs: the LLMs in order, words, page maps, and the limits."""

    generators: tuple[TextGenerator, ...]
    vocabulary: Vocabulary
    pages: PageMaps
    readings: PassageTermsCache
    max_tokens: int

    async def answer(
        self,
        query: Query,
        passages: Sequence[Passage],
        *,
        deadline: Deadline,
        screen: Screen | None = None,
    ) -> Draft:
        """The best answer that the passages and the LLMs give.

        Raises the LLM's error when a stream breaks after text was shown.
        """
        draft = await self._best(query, passages, deadline, screen)
        if screen is not None and draft.mode is not AnswerMode.GENERATED:
            screen.show(draft.text)
        return draft

    async def _best(
        self, query: Query, passages: Sequence[Passage], deadline: Deadline, screen: Screen | None
    ) -> Draft:
        if not passages:
            return Draft(
                text=ABSTAINED_EMPTY, mode=AnswerMode.ABSTAINED, generator=self._as_first()
            )
        read = [(p, await self._read(query, p)) for p in passages]
        short = Shortfall(screen)
        if self.generators:
            draft = await self._generated(query, read, deadline, short)
            if draft is not None:
                return draft
        return await self._quoted(query, read, short)

    def _as_first(self) -> int | None:
        """Without a passage no LLM is asked; the first one would have said the same."""
        return 0 if self.generators else None

    async def _read(self, query: Query, passage: Passage) -> PassageTerms:
        tenant = query.principal.tenant
        page = await self.pages.of(tenant, passage)
        return self.readings.of(tenant, passage, page)

    # --- an LLM ----------------------------------------------------------------------------

    async def _generated(
        self,
        query: Query,
        read: Sequence[tuple[Passage, PassageTerms]],
        deadline: Deadline,
        short: Shortfall,
    ) -> Draft | None:
        """The first LLM's answer that holds; None when quotes must follow."""
        asked = prompts.build(query.text, [p for p, _ in read], boundary=f"={token_hex(6)}=")
        for place, generator in enumerate(self.generators):
            grounder = Grounder([reading for _, reading in read], self.vocabulary)
            writer = _Writer(grounder, short.screen)
            try:
                generation = await self._write(generator, asked, writer, deadline)
            except FALLS_DOWN as error:
                more = place + 1 < len(self.generators)
                following = _follows(error, writer, more, generator, short)
                if following is Next.END:
                    raise
                if following is Next.LLM:
                    continue
                return None
            return await self._draft(query, read, writer, generation, place, short)
        return None

    async def _write(
        self, generator: TextGenerator, asked: Prompt, writer: "_Writer", deadline: Deadline
    ) -> Generation:
        """One call; streamed when somebody watches."""
        if writer.screen is None:
            done = await generator.generate(asked, max_tokens=self.max_tokens, deadline=deadline)
            writer.take(done.text)
        else:
            done = await _streamed(generator, asked, writer, self.max_tokens, deadline)
        writer.finish()
        return done

    async def _draft(
        self,
        query: Query,
        read: Sequence[tuple[Passage, PassageTerms]],
        writer: "_Writer",
        generation: Generation,
        place: int,
        short: Shortfall,
    ) -> Draft | None:
        claims = writer.grounder.claims
        if not claims.cited and not writer.grounder.no_answer:
            short.add(Reason.GENERATED_ANSWER_UNSUPPORTED, Level.LOWER_PATH)
            return None
        cut = generation.finish_reason in ("budget", "length")
        if generation.finish_reason == "budget":
            short.add(Reason.ANSWER_CUT_BY_BUDGET, Level.OTHER_LLM if place else Level.LOWER_PATH)
        if not claims.cited:
            return Draft(
                text=ABSTAINED_LLM,
                mode=AnswerMode.ABSTAINED,
                generator=place,
                model=generation.model,
                usage=generation.usage,
                reasons=tuple(short.reasons),
            )
        return Draft(
            text=writer.text,
            mode=AnswerMode.GENERATED,
            citations=await self._cited(query, read, claims.cited),
            generator=place,
            model=generation.model,
            usage=generation.usage,
            removed_claims=claims.removed,
            notice=NOTICE_CUT if cut else None,
            reasons=tuple(short.reasons),
        )

    async def _cited(
        self,
        query: Query,
        read: Sequence[tuple[Passage, PassageTerms]],
        cited: Mapping[int, AbstractSet[str]],
    ) -> tuple[Citation, ...]:
        """For each marker the sentence or row of its passage that is nearest to the claims."""
        citations = []
        for marker in sorted(cited):
            passage, reading = read[marker - 1]
            unit = nearest_unit(cited[marker], reading)
            if unit is not None:
                quote = Quote(passage, unit, passage.score)
                citations.append(await self._citation(query, marker, quote, passage.score))
        return tuple(citations)

    # --- quotes ----------------------------------------------------------------------------

    async def _quoted(
        self, query: Query, read: Sequence[tuple[Passage, PassageTerms]], short: Shortfall
    ) -> Draft:
        """Sentences and rows word for word, or an honest no below the floor."""
        weights = self._weights(query, short)
        notice = NOTICE_FALLBACK if self.generators else NOTICE_QUOTES
        best = max(cover(weights, reading.terms) for _, reading in read)
        emit(QuestionCoverMeasured(cover=round(best, 3)))
        chosen = choose(weights, read, at_most=min(MAX_QUOTES, query.top_k))
        if best < FLOOR or not chosen:
            return Draft(
                text=ABSTAINED, mode=AnswerMode.ABSTAINED, notice=None, reasons=tuple(short.reasons)
            )
        citations = [
            await self._citation(query, marker, quote, quote.cover)
            for marker, quote in enumerate(chosen, 1)
        ]
        return Draft(
            text="\n\n".join(_shown(quote, marker) for marker, quote in enumerate(chosen, 1)),
            mode=AnswerMode.EXTRACTIVE,
            citations=tuple(citations),
            notice=notice,
            reasons=tuple(short.reasons),
        )

    def _weights(self, query: Query, short: Shortfall) -> dict[str, float]:
        terms = self.vocabulary.terms(query.text)
        tenant, collection = query.principal.tenant, query.collection
        try:
            weights = self.vocabulary.weights(terms, tenant=tenant, collection=collection)
            rarity = dict(zip(terms, weights, strict=True))
        except IndexUnavailable as error:
            rarity = {}  # every term counts the same
            short.add(error.reason, Level.LOWER_PATH)
        return weigh(terms, rarity)

    async def _citation(self, query: Query, marker: int, quote: Quote, score: float) -> Citation:
        passage = quote.passage
        page = await self.pages.of(query.principal.tenant, passage)
        return Citation(
            marker=marker,
            document_id=passage.document_id,
            document_name=passage.document_name,
            chunk_id=passage.chunk_id,
            quote=quote.text,
            anchor=page.anchor(passage.page, quote.unit.start, quote.unit.end),
            score=round(score, 4),
        )


class _Writer:
    """Takes an LLM's text, keeps what is grounded, shows it when somebody watches."""

    def __init__(self, grounder: Grounder, screen: Screen | None) -> None:
        self.grounder = grounder
        self.screen = screen
        self.text = ""

    def take(self, text: str) -> None:
        self._keep(self.grounder.feed(text))

    def finish(self) -> None:
        self._keep(self.grounder.finish())

    def _keep(self, text: str) -> None:
        if not text:
            return
        self.text += text
        if self.screen is not None:
            self.screen.show(text)

    def start_over(self) -> bool:
        """Drop what is not seen yet; False when something was seen."""
        if self.screen is None:
            return True
        if self.screen.shown:
            return False
        self.screen.discard()
        return True


async def _streamed(
    generator: TextGenerator,
    asked: Prompt,
    writer: _Writer,
    max_tokens: int,
    deadline: Deadline,
) -> Generation:
    told = generator.stream(asked, max_tokens=max_tokens, deadline=deadline)
    async with aclosing(told) as pieces:
        async for delta in pieces:
            if delta.text:
                writer.take(delta.text)
            if delta.done is not None:
                return delta.done
    raise GeneratorUnavailable(
        f"{generator.model} ended its stream without a result", reason=Reason.GENERATOR_INCOMPLETE
    )


def _follows(
    error: FoliotraceError,
    writer: _Writer,
    more: bool,
    generator: TextGenerator,
    short: Shortfall,
) -> Next:
    emit(GeneratorFailed(model=generator.model, reason=error.reason))
    following = after_failure(error, shown=not writer.start_over(), more=more)
    if following is not Next.END:
        falls_to = Level.OTHER_LLM if following is Next.LLM else Level.LOWER_PATH
        short.add(error.reason, falls_to)
    return following


def _shown(quote: Quote, marker: int) -> str:
    """A quote in the answer's text: a row under its header, a sentence in quotation marks."""
    if quote.unit.header:
        return f"{quote.unit.header}\n{quote.text} [{marker}]"
    return f"\u201c{quote.text}\u201d [{marker}]"
