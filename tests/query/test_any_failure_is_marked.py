"""Whatever fails, in whatever order: an answer with its level and reasons, alike everywhere."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.query.query_stack import (
    HANDBOOK,
    Down,
    QueryStack,
    Scripted,
    open_query_stack,
    streamed_text,
)

from foliotrace.catalog import Reason
from foliotrace.errors import (
    BudgetExceeded,
    GeneratorRefused,
    GeneratorUnavailable,
    IndexUnavailable,
)
from foliotrace.model import Answer, AnswerMode, Deadline, Level, Passage, Query, RetrievalMode
from foliotrace.ports import Retriever, TextGenerator
from foliotrace.query.retrieve.paths import RetrievalPath
from foliotrace.query.workflow import AnswerDegraded

MODES = (RetrievalMode.MANAGED, RetrievalMode.HYBRID, RetrievalMode.KEYWORD)
QUESTION = "When are refunds paid?"
GOOD = "Refunds are paid within 30 days of the return [1]."
PATHS = st.lists(st.booleans(), min_size=1, max_size=3)
WAYS = ("good", "down", "cut before text", "over budget", "refused", "unsupported", "cut by budget")
MODELS = st.lists(st.sampled_from(WAYS), max_size=3)


class As:
    """Finds what `inner` finds, as the path of another mode."""

    ready = True

    def __init__(self, mode: RetrievalMode, inner: Retriever) -> None:
        self._mode, self._inner = mode, inner

    async def retrieve(self, query: Query, *, top_k: int, deadline: Deadline) -> Sequence[Passage]:
        found = await self._inner.retrieve(query, top_k=top_k, deadline=deadline)
        return [replace(passage, path=self._mode) for passage in found]


def generator(place: int, ending: str) -> TextGenerator:
    name = f"model-{place}"
    down = GeneratorUnavailable("down", reason=f"llm_{place}_down")
    if ending == "down":
        return Scripted(model=name, error=down)
    if ending == "cut before text":
        return Scripted("Refu", model=name, error=down, error_after=1)
    if ending == "over budget":
        return Scripted(model=name, error=BudgetExceeded("too dear"))
    if ending == "refused":
        return Scripted(model=name, error=GeneratorRefused("no", reason="llm_refused"))
    if ending == "unsupported":
        return Scripted("The moon is made of cheese [1].", model=name)
    reason = "budget" if ending == "cut by budget" else "stop"
    return Scripted(GOOD, model=name, finish_reason=reason)


def expected(
    up: Sequence[bool], endings: Sequence[str]
) -> tuple[Level, AnswerMode, tuple[str, ...]]:
    """The rules of degradation once more, in plain steps: level, mode and reasons."""
    falls = up.index(True) if True in up else len(up)
    reasons = {f"{MODES[place]}_down": place for place in range(falls)}  # each once, in order
    level = Level.LOWER_PATH if falls else Level.NONE
    if falls == len(up):
        return Level.TEMPLATE, AnswerMode.TEMPLATE, tuple(reasons)
    for place, ending in enumerate(endings):
        own = Level.OTHER_LLM if place else Level.NONE
        if ending == "good":
            return max(level, own), AnswerMode.GENERATED, tuple(reasons)
        if ending == "cut by budget":
            reasons[Reason.ANSWER_CUT_BY_BUDGET] = place
            return max(level, own or Level.LOWER_PATH), AnswerMode.GENERATED, tuple(reasons)
        words = {"over budget": "budget_exceeded", "refused": "llm_refused"}
        words["unsupported"] = Reason.GENERATED_ANSWER_UNSUPPORTED
        reasons[words.get(ending, f"llm_{place}_down")] = place
        if ending == "unsupported":
            break
    if endings:
        level = Level.LOWER_PATH
    return level, AnswerMode.EXTRACTIVE, tuple(reasons)


def test_every_sequence_of_failures_is_answered_with_the_same_mark_everywhere(
    tmp_path: Path,
) -> None:
    with asyncio.Runner() as runner:
        opened = open_query_stack(tmp_path)
        at = runner.run(opened.__aenter__())
        runner.run(at.serve(*HANDBOOK))

        @settings(
            max_examples=150, deadline=None, suppress_health_check=[HealthCheck.differing_executors]
        )
        @given(up=PATHS, endings=MODELS, watched=st.booleans())
        def holds(up: list[bool], endings: list[str], watched: bool) -> None:
            runner.run(_holds(at, up, endings, watched))

        try:
            holds()
        finally:
            runner.run(opened.__aexit__(None, None, None))


async def _holds(at: QueryStack, up: list[bool], endings: list[str], watched: bool) -> None:
    paths = tuple(
        RetrievalPath(mode, As(mode, at.keyword().retriever))
        if works
        else RetrievalPath(mode, Down(f"{mode}_down"))
        for mode, works in zip(MODES, up, strict=False)
    )
    at.use_paths(*paths)
    at.use(generators=tuple(generator(place, ending) for place, ending in enumerate(endings)))
    emitted: list[AnswerDegraded] = []
    if watched:
        events, answer = await at.watch(QUESTION)
        assert streamed_text(events) == answer.text
        emitted = [event for event in events if isinstance(event, AnswerDegraded)]
    else:
        answer = await at.ask(QUESTION)
    mark = answer.degradation
    level, mode, reasons = expected(up, endings)
    assert (mark.level, mark.answer, mark.reasons) == (level, mode, reasons)
    assert bool(mark.reasons) == bool(mark.level)
    _agree(at, answer)
    if watched and level:
        assert (emitted[-1].level, tuple(emitted[-1].reasons)) == (level, reasons)
        levels = [event.level for event in emitted]
        assert levels == sorted(levels)
    else:
        assert emitted == []


def _agree(at: QueryStack, answer: Answer) -> None:
    mark, record = answer.degradation, at.audit.entries[-1]
    assert (record.degradation_level, record.degradation_reasons) == (mark.level, mark.reasons)
    assert at.runs.kept[answer.run_id].degradation == mark


def test_a_dead_vocabulary_behind_a_living_path_is_marked(tmp_path: Path) -> None:
    async def asked() -> Answer:
        async with open_query_stack(tmp_path) as at:
            await at.serve(*HANDBOOK)

            class Broken:
                terms = at.index.terms
                terms_of_each = at.index.terms_of_each
                question = at.index.question

                def weights(self, *_: object, **__: object) -> Sequence[float]:
                    raise IndexUnavailable("damaged", reason="keyword_index_damaged")

            at.use(vocabulary=Broken())
            return await at.ask(QUESTION)

    mark = asyncio.run(asked()).degradation
    assert (mark.level, mark.reasons) == (Level.LOWER_PATH, ("keyword_index_damaged",))
