"""One layer retries each guard, and an open breaker costs no request."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from foliotrace.adapters.local.clock import SystemClock
from foliotrace.errors import BreakerOpen, DeadlineExceeded, GeneratorRefused, GeneratorUnavailable
from foliotrace.model import Deadline, Usage
from foliotrace.ports import Delta, Generation, Prompt
from foliotrace.resilience import BreakerPolicy, BreakerStatus, RetryPolicy
from foliotrace.resilient import CircuitGuard, GuardPolicy, ResilientGenerator
from foliotrace.settings import ResilienceSettings

pytestmark = pytest.mark.anyio
PROMPT = Prompt(system="s", user="u", version="1")


class HandClock:
    def __init__(self) -> None:
        self.at_s = 1000.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.at_s, UTC)

    def monotonic_s(self) -> float:
        return self.at_s

    async def sleep(self, seconds: float) -> None:
        self.at_s += seconds


class Script:
    """An LLM that does what it is told, call by call; an exception is raised, a string answered."""

    ready = True

    model = "scripted-1"

    def __init__(self, *moves: Exception | str) -> None:
        self.moves: Sequence[Exception | str] = moves
        self.requests = 0

    async def generate(self, prompt: Prompt, *, max_tokens: int, deadline: Deadline) -> Generation:
        move = self.moves[min(self.requests, len(self.moves) - 1)]
        self.requests += 1
        if isinstance(move, Exception):
            raise move
        if move == "hang":
            await asyncio.sleep(3600)
        return Generation(text=move, model=self.model, usage=Usage())

    async def stream(
        self, prompt: Prompt, *, max_tokens: int, deadline: Deadline
    ) -> AsyncGenerator[Delta, None]:
        self.requests += 1
        for move in self.moves:
            if isinstance(move, Exception):
                raise move
            yield Delta(text=move)


def resilient(
    inner: Script, clock: HandClock, *, has_lower_rung: bool = False, limit_s: float = 300.0
) -> ResilientGenerator:
    policy = GuardPolicy(
        retry=RetryPolicy(attempts=3, base_s=4, cap_s=60),
        breaker=BreakerPolicy(failures=4, rest_s=5, cap_s=120),
        limit_s=limit_s,
        slots=2,
        has_lower_rung=has_lower_rung,
    )
    return ResilientGenerator(
        inner, CircuitGuard("llm", policy, clock=clock, draw=lambda: 0.0, sleep=clock.sleep)
    )


async def ask(generator: ResilientGenerator, clock: HandClock, within_s: float = 300.0) -> str:
    deadline = Deadline(clock.monotonic_s() + within_s)
    return (await generator.generate(PROMPT, max_tokens=10, deadline=deadline)).text


async def test_a_call_against_a_dead_service_makes_three_requests() -> None:
    clock, inner = HandClock(), Script(GeneratorUnavailable("503"))
    with pytest.raises(GeneratorUnavailable):
        await ask(resilient(inner, clock), clock)
    assert inner.requests == 3


async def test_a_passing_fault_is_mended_by_asking_again() -> None:
    clock, inner = HandClock(), Script(GeneratorUnavailable("503"), "fine")
    assert await ask(resilient(inner, clock), clock) == "fine"


async def test_with_a_lower_rung_a_long_wait_is_not_waited() -> None:
    clock, inner = HandClock(), Script(GeneratorUnavailable("429", retry_after_s=5.0))
    with pytest.raises(GeneratorUnavailable):
        await ask(resilient(inner, clock, has_lower_rung=True), clock, within_s=10.0)
    assert inner.requests == 1


async def test_what_another_attempt_cannot_mend_is_not_repeated_nor_held_against_the_service() -> (
    None
):
    clock, inner = HandClock(), Script(GeneratorRefused("content policy"))
    generator = resilient(inner, clock)
    for _ in range(6):
        with pytest.raises(GeneratorRefused):
            await ask(generator, clock)
    assert inner.requests == 6
    assert generator.guard.breaker.status is BreakerStatus.CLOSED


async def fail(generator: ResilientGenerator, clock: HandClock, times: int) -> None:
    for _ in range(times):
        with pytest.raises((GeneratorUnavailable, BreakerOpen)):
            await ask(generator, clock)


async def test_the_breaker_counts_calls_and_not_their_attempts() -> None:
    clock, inner = HandClock(), Script(GeneratorUnavailable("503"))
    generator = resilient(inner, clock)
    await fail(generator, clock, 3)
    assert (inner.requests, generator.guard.breaker.failures) == (9, 3)
    assert generator.guard.breaker.status is BreakerStatus.CLOSED
    await fail(generator, clock, 1)
    assert generator.guard.breaker.status is BreakerStatus.OPEN


async def test_a_call_that_a_retry_mends_clears_the_record() -> None:
    clock, inner = HandClock(), Script(*[GeneratorUnavailable("503")] * 4, "fine")
    generator = resilient(inner, clock)
    await fail(generator, clock, 1)
    assert generator.guard.failing
    assert await ask(generator, clock) == "fine"
    assert (generator.guard.breaker.failures, generator.guard.failing) == (0, False)


async def test_an_open_breaker_costs_no_request_and_says_when_to_come_back() -> None:
    clock, inner = HandClock(), Script(GeneratorUnavailable("503"))
    generator = resilient(inner, clock)
    await fail(generator, clock, 4)
    before = inner.requests
    with pytest.raises(BreakerOpen) as refused:
        await ask(generator, clock)
    assert inner.requests == before
    assert refused.value.retry_after_s is not None
    assert 0 < refused.value.retry_after_s <= 5


async def test_retry_after_is_kept_as_a_cool_down() -> None:
    clock, inner = HandClock(), Script(GeneratorUnavailable("429", retry_after_s=120.0), "fine")
    generator = resilient(inner, clock, has_lower_rung=True)
    with pytest.raises(GeneratorUnavailable):
        await ask(generator, clock)
    for wait_s in (2.0, 60.0):
        clock.at_s += wait_s
        with pytest.raises(BreakerOpen) as refused:
            await ask(generator, clock)
    assert (inner.requests, refused.value.retry_after_s) == (1, 58.0)
    clock.at_s += 59
    assert await ask(generator, clock) == "fine"
    assert generator.guard.breaker.status is BreakerStatus.CLOSED


async def test_no_header_shuts_a_service_out_for_more_than_an_hour() -> None:
    clock, inner = HandClock(), Script(GeneratorUnavailable("429", retry_after_s=1e9), "fine")
    generator = resilient(inner, clock, has_lower_rung=True)
    await fail(generator, clock, 1)
    clock.at_s += 3601
    assert await ask(generator, clock) == "fine"


async def test_a_call_whose_breaker_others_have_opened_waits_for_no_retry() -> None:
    clock, inner = HandClock(), Script(GeneratorUnavailable("503", reason="llm_503"))
    guard = guard_of(clock, failures=2, attempts=3)
    generator = ResilientGenerator(inner, guard)
    await fail(generator, clock, 1)
    guard.breaker = replace(guard.breaker, status=BreakerStatus.OPEN, open_until_s=clock.at_s)
    before, at_s = inner.requests, clock.at_s
    with pytest.raises(GeneratorUnavailable) as failed:  # the probe, which is tried once
        await ask(generator, clock)
    assert (failed.value.reason, inner.requests, clock.at_s) == ("llm_503", before + 1, at_s)


async def test_after_its_rest_a_probe_closes_the_breaker() -> None:
    clock = HandClock()
    inner = Script(*[GeneratorUnavailable("503")] * 12, "back")
    generator = resilient(inner, clock)
    await fail(generator, clock, 4)
    assert generator.guard.breaker.status is BreakerStatus.OPEN
    clock.at_s += 6
    assert await ask(generator, clock) == "back"
    assert generator.guard.breaker.status is BreakerStatus.CLOSED


async def test_a_hanging_service_is_left_at_the_limit() -> None:
    clock, inner = HandClock(), Script("hang")
    with pytest.raises(DeadlineExceeded):
        await ask(resilient(inner, clock, has_lower_rung=True, limit_s=0.02), clock, within_s=1.0)


async def test_calls_beyond_the_slots_wait_no_longer_than_their_deadline() -> None:
    clock, inner = HandClock(), Script("hang")
    generator = resilient(inner, clock)
    held = [asyncio.create_task(ask(generator, clock)) for _ in range(2)]
    await asyncio.sleep(0.01)
    with pytest.raises(DeadlineExceeded) as late:
        await ask(generator, clock, within_s=0.02)
    assert late.value.reason == "llm_busy"
    for task in held:
        task.cancel()
    await asyncio.gather(*held, return_exceptions=True)
    assert generator.guard.breaker.status is BreakerStatus.CLOSED


async def test_a_stream_is_one_attempt_and_its_failure_counts() -> None:
    clock, inner = HandClock(), Script("first", GeneratorUnavailable("cut"))
    generator = resilient(inner, clock)
    seen: list[str] = []

    async def read() -> None:
        deadline = Deadline(clock.at_s + 9)
        async for delta in generator.stream(PROMPT, max_tokens=5, deadline=deadline):
            seen.append(delta.text)  # noqa: PERF401 - the pieces before the failure matter

    with pytest.raises(GeneratorUnavailable):
        await read()
    assert (seen, inner.requests) == (["first"], 1)
    assert generator.guard.breaker.failures == 1


async def test_a_caller_that_gives_up_at_the_deadline_counts_as_a_failure() -> None:
    clock = SystemClock()
    policy = GuardPolicy.of(ResilienceSettings(breaker_failures=2, breaker_rest_s=60), limit_s=30)
    guard = CircuitGuard("index", policy, clock=clock)

    async def hang(_: Deadline) -> None:
        await asyncio.Event().wait()

    for _ in range(2):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await guard.call(hang, Deadline(clock.monotonic_s() + 0.011))
    assert guard.breaker.status is BreakerStatus.OPEN
    early = CircuitGuard("index", policy, clock=clock)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await early.call(hang, Deadline(clock.monotonic_s() + 30))
    assert early.breaker.status is BreakerStatus.CLOSED


class Says:
    """An LLM that streams one word, or refuses, as it is set."""

    ready = True

    model = "says-1"
    up = True

    def __init__(self) -> None:
        self.requests = 0

    async def generate(self, prompt: Prompt, *, max_tokens: int, deadline: Deadline) -> Generation:
        raise NotImplementedError

    async def stream(
        self, prompt: Prompt, *, max_tokens: int, deadline: Deadline
    ) -> AsyncGenerator[Delta, None]:
        self.requests += 1
        if not self.up:
            raise GeneratorUnavailable("503")
        yield Delta(text="fine")
        yield Delta(done=Generation(text="fine", model=self.model, usage=Usage()))


async def streamed(generator: ResilientGenerator, clock: HandClock) -> str:
    """Read as the journey does: nobody asks for more after the last piece."""
    pieces = generator.stream(PROMPT, max_tokens=5, deadline=Deadline(clock.at_s + 9))
    async for piece in pieces:
        if piece.done is not None:
            return piece.done.text
    raise AssertionError("it ended without a result")


async def test_a_good_stream_clears_the_record() -> None:
    clock, inner = HandClock(), Says()
    generator = ResilientGenerator(inner, guard_of(clock, failures=3))
    for _ in range(4):
        inner.up = False
        for _ in range(2):
            with pytest.raises(GeneratorUnavailable):
                await streamed(generator, clock)
        inner.up = True
        assert await streamed(generator, clock) == "fine"
        assert generator.guard.breaker.failures == 0


async def test_a_good_stream_as_the_probe_closes_the_breaker() -> None:
    clock, inner = HandClock(), Says()
    generator = ResilientGenerator(inner, guard_of(clock, failures=1))
    inner.up = False
    with pytest.raises(GeneratorUnavailable):
        await streamed(generator, clock)
    inner.up = True
    clock.at_s += 6
    assert await streamed(generator, clock) == "fine"
    assert generator.guard.breaker.status is BreakerStatus.CLOSED


def guard_of(clock: HandClock, *, failures: int, attempts: int = 1) -> CircuitGuard:
    policy = GuardPolicy(
        retry=RetryPolicy(attempts=attempts, base_s=4, cap_s=60),
        breaker=BreakerPolicy(failures=failures, rest_s=5, cap_s=120),
        limit_s=300,
        slots=32,
    )
    return CircuitGuard("llm", policy, clock=clock, sleep=clock.sleep)
