"""Where domain events stand in a trace: on their span, as events of it, or on the run's."""

from decimal import Decimal
from typing import Any, ClassVar

from llama_index_instrumentation import get_dispatcher
from tests.otel.recorded_spans import recording
from workflows import Workflow, step
from workflows.events import StartEvent, StopEvent

from foliotrace import events
from foliotrace.events import DomainEvent
from foliotrace_otel import semconv

dispatcher = get_dispatcher(__name__)


def test_each_retry_and_breaker_of_a_stage_is_an_event_of_its_own() -> None:
    with recording() as seen:
        with events.stage("synthesize"):
            for name in ("llm", "llm_2"):
                for number in (1, 2):
                    events.emit(
                        events.CallRetried(
                            dependency=name, attempt=number, wait_s=0.1, reason="llm_503"
                        )
                    )
                events.emit(events.BreakerChanged(dependency=name, status="open"))
                events.emit(events.GeneratorFailed(model=name, reason="llm_503"))
        stage = seen.one("synthesize")
    happened = [(e.name, (e.attributes or {})) for e in stage.events]
    retries = [a for name, a in happened if name == "foliotrace.call_retried"]
    assert [(a["foliotrace.retry.dependency"], a["foliotrace.retry.attempt"]) for a in retries] == [
        ("llm", 1), ("llm", 2), ("llm_2", 1), ("llm_2", 2),
    ]  # fmt: skip
    assert all(a["foliotrace.retry.wait_s"] == 0.1 for a in retries)
    breakers = [a for name, a in happened if name == "foliotrace.breaker_changed"]
    assert [a["foliotrace.breaker.dependency"] for a in breakers] == ["llm", "llm_2"]
    assert not [key for key in stage.attributes or {} if "retry" in key or "breaker" in key]
    assert semconv.ERROR_TYPE not in (stage.attributes or {})  # the stage itself did not fail
    assert stage.status.is_unset


def test_no_event_of_the_service_puts_an_error_type_on_a_span_that_did_not_fail() -> None:
    for event in DomainEvent.__subclasses__():
        if event.recorded_as == "event":
            continue
        named = {semconv.CONCEPTS.get(n, n) for n in event.span_attributes.values()}
        assert semconv.ERROR_TYPE not in named, event
        assert semconv.INPUT_TOKENS not in named, event
        assert semconv.OUTPUT_TOKENS not in named, event
        assert semconv.REQUEST_MODEL not in named, event


def test_a_paid_call_leaves_usage_to_the_span_of_the_model() -> None:
    with recording() as seen:
        with events.stage("synthesize"):
            paid = {"prompt_tokens": 10, "completion_tokens": 5, "cost_usd": Decimal("0.25")}
            events.emit(events.ModelCallPaid(model="gpt", **paid))  # type: ignore[arg-type]
            events.emit(events.ModelCallPaid(model="gpt-2", **paid))  # type: ignore[arg-type]
        stage = seen.one("synthesize")
    assert not [k for k in stage.attributes or {} if k.startswith("gen_ai.") or "cost" in k]
    assert [(e.attributes or {})["foliotrace.cost.usd"] for e in stage.events] == [0.25, 0.25]


class Done(DomainEvent):
    span_attributes: ClassVar = {"state": "foliotrace.state"}
    recorded_as: ClassVar = "run"

    state: str


class Steps(Workflow):
    @step
    async def only(self, ev: StartEvent) -> StopEvent:
        with events.stage("validate"):
            events.emit(Done(state="done"))
        return StopEvent(result=None)


async def _run() -> Any:
    return await Steps().run()


def test_what_an_event_says_of_the_run_stands_on_the_span_of_the_run() -> None:
    import asyncio

    with recording() as seen:
        asyncio.run(_run())
        stage, run = seen.one("validate"), seen.one("invoke_workflow Steps")
    assert (run.attributes or {})["foliotrace.state"] == "done"
    assert "foliotrace.state" not in (stage.attributes or {})
