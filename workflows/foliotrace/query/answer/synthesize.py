"""The `synthesize` stage: the language models in their order, then quoted passages.

Sentences that the passages do not verify are removed or marked (`grounding`); where nothing is
left, the answer is quotes. Answers without passages are in `fallback`.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import aclosing
from dataclasses import dataclass, replace
from secrets import token_hex

from foliotrace.catalog import Reason
from foliotrace.errors import GeneratorUnavailable, IndexUnavailable, LibraryUnavailable, NotFound
from foliotrace.events import (
    GeneratorFailed,
    SubjectCheckSkipped,
    SubjectMissing,
    emit,
)
from foliotrace.model import (
    AnswerMode,
    Citation,
    Deadline,
    Level,
    Passage,
    Query,
)
from foliotrace.ports import Generation, Prompt, QuestionVocabulary, TextGenerator
from foliotrace.query.answer import prompt as prompts
from foliotrace.query.answer.anchors import PageMaps
from foliotrace.query.answer.grounding.evidence import ClaimEvidence
from foliotrace.query.answer.grounding.sentences import Grounder
from foliotrace.query.answer.ladder import RUNG_FAILURES, NextRung, after_failure
from foliotrace.query.answer.prompt import QUESTION, AnswerTask
from foliotrace.query.answer.quoted import QuotedAnswers
from foliotrace.query.answer.quotes import Quote, nearest_span
from foliotrace.query.answer.quoting.passage_terms import PassageTermsCache
from foliotrace.query.answer.quoting.sought import Sources
from foliotrace.query.answer.synthesis import (
    ABSTAINED,
    ABSTAINED_EMPTY,
    ABSTAINED_LLM,
    NOTICE_CUT,
    NOTICE_MISSING,
    AnswerStream,
    Degradations,
    GroundedText,
    Synthesis,
    abstained,
    listed,
    with_notice,
)
from foliotrace.query.subjects.asked_ends import absent_ends
from foliotrace.query.subjects.subject_check import SubjectCheck, Subjects
from foliotrace.settings import Grounding


@dataclass(frozen=True, slots=True, kw_only=True)
class Synthesizer:
    """Answers from passages: LLMs in order, the index's vocabulary, two caches, and the limits."""

    generators: tuple[TextGenerator, ...]
    vocabulary: QuestionVocabulary
    pages: PageMaps
    passage_terms: PassageTermsCache
    max_tokens: int
    grounding: Grounding = "strict"
    subjects: SubjectCheck | None = None
    quoted: QuotedAnswers

    async def synthesize(
        self,
        query: Query,
        passages: Sequence[Passage],
        *,
        library_version: int,
        deadline: Deadline,
        stream: AnswerStream | None = None,
        check_subject: bool = True,
        task: AnswerTask = QUESTION,
    ) -> Synthesis:
        """The best answer that the LLMs and the passages give.

        With `check_subject`, what the question names must be held by the library: quotes are
        refused otherwise, and an LLM is warned.
        Only an LLM's text goes to `stream` from here. Raises the LLM's error when its stream
        breaks after text has left.
        """
        sources = await self.sources(query, passages, library_version)
        degradations = Degradations(stream)
        subjects = await self._subjects(query, sources) if check_subject else Subjects()
        if not passages:  # no LLM is asked: the first one would have abstained too
            first = 0 if self.generators else None
            return abstained(ABSTAINED_EMPTY, subjects, generator=first)
        if self.generators:
            missing = listed(subjects.missing)
            generated = await self.write(query, sources, task, deadline, degradations, missing)
            if generated is not None:
                notice = NOTICE_MISSING.format(missing=missing) if missing else None
                return with_notice(generated, notice)
        if subjects.missing:
            return abstained(ABSTAINED, subjects, reasons=tuple(degradations.reasons))
        return await self.quoted.answer(query, sources, degradations, subjects, deadline)

    async def sources(
        self, query: Query, passages: Sequence[Passage], library_version: int
    ) -> Sources:
        """The passages with their terms, which are kept for one version of the library."""
        tenant = query.principal.tenant
        self.passage_terms.keep_for(library_version)
        self.quoted.keep_for(library_version)
        return [
            (p, self.passage_terms.of(tenant, p, await self.pages.of(tenant, p))) for p in passages
        ]

    async def _subjects(self, query: Query, sources: Sources) -> Subjects:
        """What the question names; nothing where the library cannot say."""
        if self.subjects is None:
            return Subjects()
        try:
            subjects = await self.subjects.of(query, [terms for _, terms in sources])
        except (IndexUnavailable, LibraryUnavailable, NotFound) as error:
            emit(SubjectCheckSkipped(reason=error.error_code))
            return Subjects()
        passages = [passage for passage, _ in sources]
        headers = [f"{p.header} {p.document_name}" for p in passages]
        texts = [f"{p.context} {p.text}" for p in passages]
        ends = absent_ends(query.text, headers, texts)
        if ends:
            missing = tuple(dict.fromkeys([*subjects.missing, *ends]))
            subjects = replace(subjects, missing=missing)
        if subjects.missing:
            emit(SubjectMissing(missing=len(subjects.missing)))
        return subjects

    # --- generated -------------------------------------------------------------------------

    async def write(
        self,
        query: Query,
        sources: Sources,
        task: AnswerTask,
        deadline: Deadline,
        degradations: Degradations,
        missing: str = "",
        written: Sequence[Passage] | None = None,
    ) -> Synthesis | None:
        """The first LLM's answer that the passages support; None when quotes must follow.

        With `written`, the LLM reads these texts, and what it says is checked against `sources`.
        """
        prompt = prompts.build(
            query.text,
            written or [p for p, _ in sources],
            boundary=f"={token_hex(6)}=",
            missing=missing,
            tables=[] if written else [await self.quoted.tables_in(query, p) for p, _ in sources],
            task=task,
        )
        for place, generator in enumerate(self.generators):
            evidence = [ClaimEvidence(passage, terms) for passage, terms in sources]
            grounder = Grounder(evidence, self.vocabulary, query.text, self.grounding)
            text = GroundedText(grounder, degradations.stream)
            try:
                generation = await self._ask(generator, prompt, text, deadline)
            except RUNG_FAILURES as error:
                emit(GeneratorFailed(model=generator.model, reason=error.reason))
                more = place + 1 < len(self.generators)
                following = after_failure(sent=not text.discard(), more=more)
                if following is NextRung.END:
                    raise
                other_llm = following is NextRung.LLM
                degradations.add(error.reason, Level.OTHER_LLM if other_llm else Level.LOWER_PATH)
                if other_llm:
                    continue
                return None
            return await self._generated(query, sources, text, generation, place, degradations)
        return None

    async def _ask(
        self, generator: TextGenerator, prompt: Prompt, text: "GroundedText", deadline: Deadline
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
        text: "GroundedText",
        generation: Generation,
        place: int,
        degradations: Degradations,
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
                reasons=tuple(degradations.reasons),
            )
        generated = Synthesis(
            text=text.text,
            mode=AnswerMode.GENERATED,
            citations=await self._cite(query, sources, claims.cited),
            generator=place,
            model=generation.model,
            removed_claims=claims.removed,
            derived_claims=claims.derived,
            unverified_claims=claims.unverified,
            reasons=tuple(degradations.reasons),
        )
        return with_notice(generated, NOTICE_CUT if cut else None)

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
                citations.append(await self.quoted.citation(query, marker, quote))
        return tuple(citations)
