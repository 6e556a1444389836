"""A call that is repeated shows each attempt, and every later one is linked to the first."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from llama_index_instrumentation import get_dispatcher
from opentelemetry.trace import Span
from tests.fakes.openai import running_fake_openai
from tests.fakes.wire import Fault
from tests.otel.recorded_spans import recording
from tests.otlp_sink import attributes_of
from tests.server.observed_service import observed

from foliotrace import events
from foliotrace.adapters.local.clock import SystemClock
from foliotrace.errors import GeneratorUnavailable
from foliotrace.model import Deadline
from foliotrace.resilient import CircuitGuard, GuardPolicy
from foliotrace.settings import ResilienceSettings

pytestmark = pytest.mark.anyio
ATTEMPT = "foliotrace.attempt"
CHAT = "POST /v1/chat/completions"
dispatcher = get_dispatcher(__name__)


async def test_a_model_that_answers_at_the_third_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_fake_openai() as model:
        model.fail(CHAT, Fault.unavailable, times=2)
        llm = {"provider": "openai", "model": "gpt-4o-mini", "api_base": model.url}
        llm["api_key"] = "sk-fake-retried"
        guard = {"attempts": 3, "first_wait_s": 0.01}
        async with observed(tmp_path, monkeypatch, llm=llm, resilience=guard) as service:
            await service.ingest()
            answer = (await service.ask()).json()
            spans = service.trace(answer["trace_id"], ends_with="POST /v1/query")
    assert answer["degradation"]["level"] == 0, answer["degradation"]
    calls = sorted(
        (span for span in spans if span.name.startswith("chat")),
        key=lambda span: span.start_time_unix_nano,
    )
    assert [attributes_of(span).get(ATTEMPT) for span in calls] == [None, 2, 3]
    first, *later = calls
    assert [len(span.links) for span in calls] == [0, 1, 1]
    for span in later:
        (link,) = span.links
        assert (link.trace_id, link.span_id) == (first.trace_id, first.span_id)


@dispatcher.span
async def within() -> None:
    """A part of an attempt."""


@dispatcher.span
async def called(fails: bool, started: asyncio.Event) -> None:
    await within()
    started.set()
    await asyncio.sleep(0)
    if fails:
        raise GeneratorUnavailable("503")


def dependency(clock: SystemClock) -> CircuitGuard:
    settings = ResilienceSettings(first_wait_s=0.001, longest_wait_s=0.001, breaker_failures=100)
    policy = GuardPolicy.of(settings, limit_s=30)
    return CircuitGuard("model", policy, clock=clock)


async def test_of_calls_side_by_side_each_is_linked_to_its_own_first_attempt() -> None:
    clock = SystemClock()
    model = dependency(clock)
    started = [asyncio.Event() for _ in range(8)]

    async def one(number: int) -> None:
        left = iter([True, False] if number % 2 else [False])

        async def work(capped: Deadline) -> None:
            await called(next(left), started[number])

        await model.call(work, Deadline(clock.monotonic_s() + 30))

    with recording() as seen:
        with events.stage("synthesize"):
            await asyncio.gather(*(one(number) for number in range(8)))
        spans: Any = seen.spans
        assert seen.tree.open == {}
    failed = {s.get_span_context().span_id for s in spans if s.name == "called" and _error(s)}
    retried = [s for s in spans if ATTEMPT in (s.attributes or {})]
    assert {s.name for s in retried} == {"called"}
    linked = [s.links[0].context.span_id for s in retried]
    assert len(failed) == 4
    assert sorted(linked) == sorted(failed)
    assert not any(s.links for s in spans if s not in retried)


def _error(span: Span) -> bool:
    return bool(span.status.is_ok is False)  # type: ignore[attr-defined]


async def test_an_attempt_that_was_cut_off_is_linked_to_as_well() -> None:
    with recording() as seen:
        with events.stage("retrieve"):
            for number in (1, 2):
                with events.attempt("index-1", number):
                    working = asyncio.create_task(called(False, asyncio.Event()))
                    if number == 1:
                        await asyncio.sleep(0)
                        working.cancel()
                    await asyncio.gather(working, return_exceptions=True)
        first, second = (s for s in seen.spans if s.name == "called")
    assert first.attributes is not None
    assert first.attributes["foliotrace.outcome"] == "cancelled"
    assert [link.context.span_id for link in second.links] == [first.get_span_context().span_id]


async def test_six_failed_calls_of_two_models_take_less_than_six_kilobytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_fake_openai() as model:
        model.fail(CHAT, Fault.unavailable, times=20)
        llm = {"provider": "openai", "model": "gpt-4o-mini", "api_base": model.url}
        llm["api_key"] = "sk-fake-failing"
        guard = {"attempts": 3, "first_wait_s": 0.01}
        models = {"llm": llm, "llm_fallbacks": [{**llm, "model": "gpt-4o"}], "resilience": guard}
        async with observed(tmp_path, monkeypatch, **models) as service:
            await service.ingest()
            answer = (await service.ask()).json()
            spans = service.trace(answer["trace_id"], ends_with="POST /v1/query")
    calls = [span for span in spans if span.name.startswith("chat")]
    assert len(calls) == 6
    assert all(attributes_of(span)["error.type"] for span in calls)
    (shown,) = [event for span in calls for event in span.events]  # they failed at one place
    assert shown.name == "exception"
    (resource, *_) = service.sink.of("traces")[-1].message.resource_spans
    size = sum(span.ByteSize() + 4 for span in spans) + resource.resource.ByteSize()
    assert size <= 5.5 * 1024
