"""Questions that are woken together are answered one in each turn of the event loop."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from tests.query.query_stack import QueryStack

from foliotrace.model import Passage
from foliotrace.ports import AuditEntry
from foliotrace.query.fair_turns import FairTurns
from foliotrace.query.retrieve.document_routing import RoutedRetriever

pytestmark = pytest.mark.anyio


class TurnCount:
    """Counts the turns of the running loop."""

    def __init__(self) -> None:
        self.number = 0
        self._loop = asyncio.get_running_loop()
        self._count()

    def _count(self) -> None:
        self.number += 1
        self._next = self._loop.call_soon(self._count)

    def stop(self) -> None:
        self._next.cancel()


async def test_of_64_questions_woken_together_one_goes_on_in_each_turn_in_order() -> None:
    turns, count, woken = FairTurns(), TurnCount(), asyncio.Event()
    went_on: list[tuple[int, int]] = []

    async def question(number: int) -> None:
        await woken.wait()
        await turns.turn()
        went_on.append((count.number, number))

    asked = [asyncio.create_task(question(number)) for number in range(64)]
    await asyncio.sleep(0)
    woken.set()
    await asyncio.gather(*asked)
    count.stop()
    assert [number for _, number in went_on] == list(range(64))
    assert max(Counter(turn for turn, _ in went_on).values()) == 1


class CommitsTogether:
    """An audit log that commits what 64 callers wait for, and wakes them in the same turn."""

    def __init__(self) -> None:
        self._begun = 0
        self._committed = asyncio.Event()

    async def append(self, entry: AuditEntry) -> None:
        if entry.event == "query_received":
            self._begun += 1
            if self._begun == 64:
                self._committed.set()
            await self._committed.wait()


async def test_one_commit_of_the_audit_log_does_not_answer_64_questions_in_one_turn(
    stack: QueryStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stack.serve("Refunds are paid within 30 days of the return.")
    stack.use(audit=CommitsTogether())
    count = TurnCount()
    searched: Counter[int] = Counter()
    retrieve = RoutedRetriever.retrieve

    async def counted(self: RoutedRetriever, *args: Any, **named: Any) -> Sequence[Passage]:
        searched[count.number] += 1
        return await retrieve(self, *args, **named)

    monkeypatch.setattr(RoutedRetriever, "retrieve", counted)
    answers = await asyncio.gather(*(stack.ask(f"When is refund {n} paid?") for n in range(64)))
    count.stop()
    assert len(answers) == sum(searched.values()) == 64
    assert max(searched.values()) == 1


async def test_a_question_that_was_given_up_keeps_nobody_waiting() -> None:
    turns = FairTurns()
    await turns.turn()
    first, given_up, last = (asyncio.ensure_future(turns.turn()) for _ in range(3))
    await first
    given_up.cancel()
    await asyncio.wait_for(last, 5)
    assert given_up.cancelled()
    await asyncio.wait_for(turns.turn(), 5)


async def test_a_lone_question_waits_for_no_turn() -> None:
    turns, count = FairTurns(), TurnCount()
    before = count.number
    await turns.turn()
    count.stop()
    assert count.number == before


def test_a_loop_that_ended_in_between_is_no_obstacle() -> None:
    turns = FairTurns()
    for _ in range(2):
        asyncio.run(asyncio.wait_for(turns.turn(), 5))
