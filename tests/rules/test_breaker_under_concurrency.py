"""After failures a circuit breaker rejects every caller, and admits one probe at a time."""

import asyncio
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foliotrace.errors import BreakerOpen, GeneratorUnavailable
from foliotrace.model import Deadline
from foliotrace.resilience import BreakerPolicy, BreakerStatus, RetryPolicy
from foliotrace.resilient import CircuitGuard, GuardPolicy

pytestmark = pytest.mark.anyio
DOWN = GeneratorUnavailable("503")


class HandClock:
    def __init__(self) -> None:
        self.at_s = 1000.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.at_s, UTC)

    def monotonic_s(self) -> float:
        return self.at_s


def guard_of(clock: HandClock, *, failures: int = 1, slots: int = 64) -> CircuitGuard:
    policy = GuardPolicy(
        retry=RetryPolicy(attempts=1, base_s=4, cap_s=60),
        breaker=BreakerPolicy(failures=failures, rest_s=5, cap_s=120),
        limit_s=300,
        slots=slots,
    )
    return CircuitGuard("service", policy, clock=clock)


class Service:
    """Counts the calls that reach it; each waits to be told how it ends."""

    def __init__(self) -> None:
        self.calls: list[asyncio.Future[None]] = []

    async def work(self, _: Deadline) -> None:
        call = asyncio.get_running_loop().create_future()
        self.calls.append(call)
        await call

    def ask(self, guard: CircuitGuard, clock: HandClock) -> asyncio.Task[None]:
        return asyncio.create_task(guard.call(self.work, Deadline(clock.at_s + 60)))


async def settled(*tasks: asyncio.Task[None]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)


async def turn() -> None:
    """Let every task run until it waits."""
    for _ in range(8):
        await asyncio.sleep(0)


async def test_fifty_callers_after_the_rest_send_one_probe() -> None:
    clock, service = HandClock(), Service()
    guard = guard_of(clock)
    first = service.ask(guard, clock)
    await turn()
    service.calls[0].set_exception(DOWN)
    await settled(first)
    clock.at_s += 6
    crowd = [service.ask(guard, clock) for _ in range(50)]
    await turn()
    assert len(service.calls) == 2
    refused = [task for task in crowd if task.done()]
    assert len(refused) == 49
    assert all(isinstance(task.exception(), BreakerOpen) for task in refused)
    service.calls[1].set_result(None)
    await settled(*crowd)
    assert guard.breaker.status is BreakerStatus.CLOSED


async def test_a_call_from_before_the_opening_does_not_speak_for_the_probe() -> None:
    clock, service = HandClock(), Service()
    guard = guard_of(clock)
    early = [service.ask(guard, clock) for _ in range(3)]
    await turn()
    service.calls[0].set_exception(DOWN)
    await settled(early[0])
    clock.at_s += 6
    probe = service.ask(guard, clock)
    await turn()
    early[1].cancel()
    service.calls[2].set_exception(DOWN)
    await settled(*early)
    assert guard.breaker.status is BreakerStatus.HALF_OPEN
    second = service.ask(guard, clock)
    await settled(second)
    assert isinstance(second.exception(), BreakerOpen)
    service.calls[3].set_result(None)
    await settled(probe)
    assert guard.breaker.status is BreakerStatus.CLOSED


async def test_callers_who_waited_for_a_slot_find_the_breaker_open_and_send_nothing() -> None:
    clock, service = HandClock(), Service()
    guard = guard_of(clock, slots=2)
    inside = [service.ask(guard, clock) for _ in range(2)]
    waiting = [service.ask(guard, clock) for _ in range(20)]
    await turn()
    service.calls[0].set_exception(DOWN)
    await settled(inside[0], *waiting)
    assert len(service.calls) == 2
    assert {task.exception().reason for task in waiting} == {"service_breaker_open"}
    inside[1].cancel()
    await settled(inside[1])


Move = tuple[str, int]
MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.just(0)),
        st.tuples(st.sampled_from(["answer", "fail"]), st.integers(0, 9)),
        st.tuples(st.just("give up"), st.integers(0, 9)),
        st.tuples(st.just("wait"), st.integers(1, 12)),
    ),
    max_size=50,
)


@settings(max_examples=300, deadline=None)
@given(moves=MOVES)
def test_whatever_callers_do_one_probes_at_a_time_and_a_service_that_is_back_is_asked(
    moves: list[Move],
) -> None:
    async def history() -> None:
        clock, service = HandClock(), Service()
        guard = guard_of(clock, failures=2, slots=3)
        tasks: list[asyncio.Task[None]] = []
        probes: list[asyncio.Future[None]] = []
        for what, which in moves:
            before, sent = guard.breaker, len(service.calls)
            under_way = [call for call in service.calls if not call.done()]
            asking = [task for task in tasks if not task.done()]
            if what == "ask":
                tasks.append(service.ask(guard, clock))
            elif what == "wait":
                clock.at_s += which
            elif what == "give up" and asking:
                asking[which % len(asking)].cancel()
            elif what == "answer" and under_way:
                under_way[which % len(under_way)].set_result(None)
            elif what == "fail" and under_way:
                under_way[which % len(under_way)].set_exception(DOWN)
            await turn()
            if what == "ask" and len(service.calls) > sent:
                assert before.status is not BreakerStatus.HALF_OPEN
                assert before.status is BreakerStatus.CLOSED or clock.at_s >= before.open_until_s
            if guard.breaker.status is BreakerStatus.HALF_OPEN and len(service.calls) > sent:
                probes.append(service.calls[-1])
            assert sum(not probe.done() for probe in probes) <= 1
        for task in tasks:
            task.cancel()
        await settled(*tasks)
        clock.at_s += 1000
        sent = len(service.calls)
        last = service.ask(guard, clock)
        await turn()
        assert len(service.calls) == sent + 1
        service.calls[-1].set_result(None)
        await settled(last)
        assert guard.breaker.status is BreakerStatus.CLOSED

    asyncio.run(history())
