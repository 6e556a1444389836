"""A slow path gets the next one beside it: who wins, what is told, and that nobody is left over."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.query.query_stack import HANDBOOK, Down, QueryStack

from foliotrace.errors import IndexUnavailable, Unavailable
from foliotrace.model import Deadline, Level, Passage, Query, RetrievalMode
from foliotrace.ports import Retriever
from foliotrace.query.retrieve.hedging import Outcome, first_good
from foliotrace.query.retrieve.paths import RetrievalPath
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
        return await self._inner.retrieve(query, top_k=top_k, deadline=deadline)


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


Rung = tuple[int, str]  # turns of the loop until it is done, and how


async def played(rungs: list[Rung], hedge_s: float | None) -> tuple[Outcome[str], list[str]]:
    left: list[str] = []

    async def ask(place: int) -> str:
        turns, end = rungs[place]
        try:
            for _ in range(turns):
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            left.append("cancelled")
            raise
        if end == "fails":
            raise IndexUnavailable("down")
        if end == "breaks":
            raise Broken
        return end

    return await first_good(ask, len(rungs), hedge_s=hedge_s), left


ENDS = st.sampled_from(["answers", "fails"])


@given(
    st.lists(st.tuples(st.integers(0, 12), ENDS), min_size=1, max_size=4),
    st.sampled_from([None, 0.0]),
)
def test_an_answer_is_found_whenever_one_could_answer(
    rungs: list[Rung], hedge_s: float | None
) -> None:
    async def play() -> None:
        outcome, left = await played(rungs, hedge_s)
        could = [place for place, (_, end) in enumerate(rungs) if end == "answers"]
        assert (outcome.found is not None) == bool(could)
        if could:
            assert outcome.place in could
            assert all(isinstance(e, Unavailable) for e in outcome.failures.values())
            assert outcome.place not in outcome.failures
        else:
            assert sorted(outcome.failures) == list(range(len(rungs)))
        if hedge_s is None:
            assert outcome.place == min(could, default=-1)
            assert left == []
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(play())


async def test_a_bug_in_one_path_ends_all_and_is_raised() -> None:
    before = asyncio.all_tasks()
    with pytest.raises(Broken):
        await played([(10_000, "answers"), (0, "breaks")], 0.0)
    assert asyncio.all_tasks() == before
