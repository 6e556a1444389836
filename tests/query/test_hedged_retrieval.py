"""A slow path gets the next one beside it: who wins, what is told, and that nobody is left over."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.query.query_stack import HANDBOOK, Down, QueryStack

from foliotrace.adapters.local.clock import SystemClock
from foliotrace.errors import IndexUnavailable, Unavailable
from foliotrace.model import Deadline, Level, Passage, Principal, Query, RetrievalMode
from foliotrace.ports import Retriever
from foliotrace.query.retrieve.paths import Retrieval, RetrievalPath, retrieve
from foliotrace.settings import QuerySettings

pytestmark = pytest.mark.anyio
QUESTION = "When are refunds paid?"


class Gated:
    """Answers as `inner` does once the gate is open; knows whether it was cancelled."""

    ready = True

    def __init__(self, inner: Retriever | None = None) -> None:
        self._inner = inner
        self.gate = asyncio.Event()
        self.asked = 0
        self.cancelled = 0

    async def retrieve(self, query: Query, *, top_k: int, deadline: Deadline) -> Sequence[Passage]:
        self.asked += 1
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        assert self._inner is not None
        found = await self._inner.retrieve(query, top_k=top_k, deadline=deadline)
        return [replace(passage, path=RetrievalMode.MANAGED) for passage in found]


def hedging(
    stack: QueryStack, upper: Retriever, lower: RetrievalPath, *, after_s: float | None
) -> None:
    stack.use(settings=QuerySettings(hedge_after_s=after_s, retrieval_deadline_s=20.0))
    stack.use_paths(RetrievalPath(RetrievalMode.MANAGED, upper), lower)


async def test_a_silent_path_is_overtaken_marked_and_cancelled(stack: QueryStack) -> None:
    await stack.serve(*HANDBOOK)
    silent = Gated()
    hedging(stack, silent, stack.keyword(), after_s=0.01)
    answer = await stack.ask(QUESTION)
    mark = answer.degradation
    assert (mark.level, mark.retrieval) == (Level.LOWER_PATH, RetrievalMode.KEYWORD)
    assert mark.reasons == ("managed_hedged",)
    assert answer.citations
    assert (silent.asked, silent.cancelled) == (1, 1)


async def test_a_path_that_answers_in_time_is_not_hedged(stack: QueryStack) -> None:
    await stack.serve(*HANDBOOK)
    prompt, lower = Gated(stack.keyword().retriever), Gated()
    prompt.gate.set()
    hedging(stack, prompt, RetrievalPath(RetrievalMode.KEYWORD, lower), after_s=20.0)
    answer = await stack.ask(QUESTION)
    assert (answer.degradation.level, lower.asked) == (Level.NONE, 0)


async def test_the_better_path_wins_while_the_lower_one_is_at_work(stack: QueryStack) -> None:
    await stack.serve(*HANDBOOK)
    slow = Gated(stack.keyword().retriever)

    class Opening(Gated):
        ready = True

        async def retrieve(
            self, query: Query, *, top_k: int, deadline: Deadline
        ) -> Sequence[Passage]:
            slow.gate.set()
            return await super().retrieve(query, top_k=top_k, deadline=deadline)

    lower = Opening()
    hedging(stack, slow, RetrievalPath(RetrievalMode.KEYWORD, lower), after_s=0.01)
    answer = await stack.ask(QUESTION)
    assert (answer.degradation.level, answer.degradation.reasons) == (Level.NONE, ())
    assert (lower.asked, lower.cancelled) == (1, 1)


async def test_a_lower_path_that_fails_leaves_the_slow_one_its_chance(stack: QueryStack) -> None:
    await stack.serve(*HANDBOOK)
    slow = Gated(stack.keyword().retriever)

    class Failing(Down):
        ready = True

        async def retrieve(
            self, query: Query, *, top_k: int, deadline: Deadline
        ) -> Sequence[Passage]:
            slow.gate.set()
            return await super().retrieve(query, top_k=top_k, deadline=deadline)

    hedging(stack, slow, RetrievalPath(RetrievalMode.KEYWORD, Failing()), after_s=0.01)
    answer = await stack.ask(QUESTION)
    assert answer.degradation.retrieval is RetrievalMode.MANAGED
    assert (answer.degradation.level, answer.degradation.reasons) == (Level.NONE, ())
    assert answer.citations


async def test_without_the_option_paths_are_asked_one_after_the_other(stack: QueryStack) -> None:
    await stack.serve(*HANDBOOK)
    slow, lower = Gated(stack.keyword().retriever), Gated()
    hedging(stack, slow, RetrievalPath(RetrievalMode.KEYWORD, lower), after_s=None)
    asking = asyncio.ensure_future(stack.ask(QUESTION))
    while not slow.asked:
        await asyncio.sleep(0)
    for _ in range(100):
        await asyncio.sleep(0)
    assert lower.asked == 0
    slow.gate.set()
    assert (await asking).degradation.level is Level.NONE


class Broken(Exception):
    """No outage: a bug."""


class Rung:
    """Ends after some turns of the loop: with a passage, an outage or a bug."""

    ready = True

    def __init__(self, turns: int, end: str, cancelled: list[str]) -> None:
        self._turns, self._end, self._cancelled = turns, end, cancelled

    async def retrieve(self, query: Query, *, top_k: int, deadline: Deadline) -> Sequence[Passage]:
        try:
            for _ in range(self._turns):
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            self._cancelled.append("cancelled")
            raise
        if self._end == "fails":
            raise IndexUnavailable("down")
        if self._end == "breaks":
            raise Broken
        return []


MODES = [mode for mode in RetrievalMode if mode is not RetrievalMode.NONE]


async def retrieved(
    rungs: list[tuple[int, str]], hedge_s: float | None
) -> tuple[Retrieval, list[str]]:
    cancelled: list[str] = []
    paths = [
        RetrievalPath(mode, Rung(*rung, cancelled))
        for mode, rung in zip(MODES, rungs, strict=False)
    ]
    retrieval = await retrieve(
        Query(text=QUESTION, principal=Principal()),
        paths,
        clock=SystemClock(),
        deadline=Deadline(float("inf")),
        limit_s=600.0,
        hedge_s=hedge_s,
    )
    return retrieval, cancelled


ENDS = st.sampled_from(["answers", "fails"])


@given(
    st.lists(st.tuples(st.integers(0, 12), ENDS), min_size=1, max_size=4),
    st.sampled_from([None, 0.0]),
)
def test_an_answer_is_found_whenever_one_could_answer(
    rungs: list[tuple[int, str]], hedge_s: float | None
) -> None:
    async def play() -> None:
        retrieval, cancelled = await retrieved(rungs, hedge_s)
        could = [MODES[place] for place, (_, end) in enumerate(rungs) if end == "answers"]
        assert all(isinstance(error, Unavailable) for error in retrieval.failures)
        if could:
            assert retrieval.mode in could
            assert len(retrieval.failures) == MODES.index(retrieval.mode)
        else:
            assert retrieval.mode is RetrievalMode.NONE
            assert len(retrieval.failures) == len(rungs)
        if hedge_s is None:
            assert retrieval.mode is (could[0] if could else RetrievalMode.NONE)
            assert cancelled == []
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(play())


async def test_a_bug_in_one_path_ends_all_and_is_raised() -> None:
    before = asyncio.all_tasks()
    with pytest.raises(Broken):
        await retrieved([(10_000, "answers"), (0, "breaks")], 0.0)
    assert asyncio.all_tasks() == before
