"""The OTel tree is LlamaIndex's tree, whole or with the plumbing contracted."""

import asyncio
import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_index_instrumentation import get_dispatcher
from opentelemetry import trace
from opentelemetry.trace import StatusCode
from tests.otel.recorded_spans import RecordedSpans, recording, shape
from workflows import Context, Workflow, step
from workflows.events import Event, HumanResponseEvent, InputRequiredEvent, StartEvent, StopEvent

from foliotrace import events
from foliotrace_otel.spans.open_span import OpenSpan

pytestmark = pytest.mark.anyio
dispatcher = get_dispatcher(__name__)
STAGES = {"retrieve": "stage.retrieve", "outer": "stage.outer", "inner": "stage.inner"}


class Part(Event):
    number: int


class Done(Event):
    number: int


class Fan(Workflow):
    @step
    async def split(self, ctx: Context, ev: StartEvent) -> Part | None:
        for number in range(4):
            ctx.send_event(Part(number=number))
        return None

    @step(num_workers=4)
    async def work(self, ctx: Context, ev: Part) -> Done:
        await asyncio.gather(*(look_up(n) for n in range(3)))
        return Done(number=ev.number)

    @step
    async def join(self, ctx: Context, ev: Done) -> StopEvent | None:
        found = ctx.collect_events(ev, [Done] * 4)
        return None if found is None else StopEvent(result=len(found))


@dispatcher.span
async def look_up(number: int) -> int:
    with events.stage("retrieve"):
        await asyncio.sleep(0.001 * (number % 3))
    return compute(number)


@dispatcher.span
def compute(number: int) -> int:
    return number * 2


def llama_index_names(seen: RecordedSpans) -> dict[Any, str]:
    return {id_: id_[:-37] for id_ in seen.truth.parents}


def our_parents(seen: RecordedSpans) -> tuple[dict[Any, Any], dict[Any, str]]:
    parents = {s.context.span_id: s.parent.span_id if s.parent else None for s in seen.spans}
    names = {}
    for span in seen.spans:
        name = STAGES.get(span.name, span.name)
        names[span.context.span_id] = str((span.attributes or {}).get("code.function.name", name))
    return parents, names


async def test_all_detail_is_llamaindexs_own_tree_under_fifty_runs_at_once() -> None:
    with recording(detail="all") as seen:
        results = await asyncio.gather(*(Fan(timeout=60).run() for _ in range(50)))
    assert results == [4] * 50
    assert shape(*our_parents(seen)) == shape(seen.truth.parents, llama_index_names(seen))
    assert len(seen.spans) == len(seen.truth.parents)
    assert len({s.context.trace_id for s in seen.spans}) == 50
    assert not seen.tree.open
    assert seen.tree.faults == 0


async def test_the_default_detail_contracts_the_steps_of_a_one_step_workflow() -> None:
    class Single(Workflow):
        @step
        async def only(self, ev: StartEvent) -> StopEvent:
            with events.stage("outer"), events.stage("inner"):
                return StopEvent(result=await look_up(1))

    with recording() as seen:
        await Single().run()
    run = seen.one("invoke_workflow Single")
    assert run.parent is None
    assert [s.name for s in seen.spans] == [
        "invoke_workflow Single",
        "outer",
        "inner",
        "look_up",
        "retrieve",
        "compute",
    ]
    assert seen.parent_name(seen.one("outer")) == run.name
    assert not seen.orphans()


async def test_a_workflow_of_several_steps_shows_them_unless_its_class_says_it_has_stages() -> None:
    class Staged(Fan):
        __foliotrace_stages__ = True

    with recording() as seen:
        await Fan().run()
    assert {"step split", "step work", "step join"} <= {s.name for s in seen.spans}
    with recording() as seen:
        await Staged().run()
    assert not [s for s in seen.spans if s.name.startswith("step")]
    assert {seen.parent_name(s) for s in seen.named("look_up")} == {"invoke_workflow Staged"}


async def test_spans_opened_by_others_nest_where_they_belong() -> None:
    tracer = None

    @dispatcher.span
    async def outer() -> None:
        with tracer.start_as_current_span("GET /index"):
            await inner()

    @dispatcher.span
    async def inner() -> None:
        with tracer.start_as_current_span("SELECT"):
            await asyncio.sleep(0)

    with recording() as seen:
        tracer = seen.provider.get_tracer("http")
        with tracer.start_as_current_span("POST /v1/query"):
            await asyncio.gather(*(outer() for _ in range(3)))
    outers = [s for s in seen.spans if s.name.endswith("outer")]
    inners = [s for s in seen.spans if s.name.endswith("inner")]
    assert {seen.parent_name(s) for s in outers} == {"POST /v1/query"}
    assert {seen.parent_name(s) for s in inners} == {"GET /index"}
    assert all((seen.parent_name(s) or "").endswith("inner") for s in seen.named("SELECT"))
    assert len({s.context.trace_id for s in seen.spans}) == 1


async def test_a_span_of_another_trace_does_not_capture_ours() -> None:
    @dispatcher.span
    async def outer() -> None:
        elsewhere = seen.provider.get_tracer("x").start_span("elsewhere", context=trace.Context())
        with trace.use_span(elsewhere, end_on_exit=True):
            compute(1)

    with recording() as seen:
        await outer()
    assert (seen.parent_name(seen.one("compute")) or "").endswith("outer")


async def test_an_error_is_told_once_at_its_origin_and_marks_every_span_it_passes() -> None:
    secret = "jane@example.org asked about scurvy"

    @dispatcher.span
    async def outer() -> None:
        await inner()

    @dispatcher.span
    async def inner() -> None:
        raise ValueError(secret)

    with recording() as seen, pytest.raises(ValueError, match="scurvy"):
        await outer()
    assert [s.status.status_code for s in seen.spans] == [StatusCode.ERROR] * 2
    assert [s.attributes["error.type"] for s in seen.spans] == ["ValueError"] * 2
    assert [len(s.events) for s in seen.spans] == [0, 1]
    event = seen.spans[1].events[0]
    assert event.attributes["exception.type"] == "builtins.ValueError"
    assert "test_span_tree.py" in event.attributes["exception.stacktrace"]
    assert secret not in "".join(span.to_json() for span in seen.spans)


async def test_a_failure_inside_contracted_plumbing_is_not_lost() -> None:
    class Broken(Workflow):
        @step
        async def only(self, ev: StartEvent) -> StopEvent:
            raise LookupError("no")

    with recording() as seen, pytest.raises(LookupError):
        await Broken().run()
    run = seen.one("invoke_workflow Broken")
    assert run.status.status_code is StatusCode.ERROR
    assert [event.name for event in run.events] == ["exception"]


async def test_cancelling_is_not_an_error() -> None:
    @dispatcher.span
    async def slow() -> None:
        await asyncio.sleep(60)

    with recording() as seen:
        task = asyncio.create_task(slow())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    (span,) = seen.spans
    assert span.status.status_code is StatusCode.UNSET
    assert span.attributes["foliotrace.outcome"] == "cancelled"
    assert not span.events


class Ask(InputRequiredEvent):
    prefix: str = ""


class Reply(HumanResponseEvent):
    response: str = ""


class Human(Workflow):
    @step
    async def ask(self, ctx: Context, ev: StartEvent) -> StopEvent:
        with events.stage("outer"):
            reply = await ctx.wait_for_event(Reply, waiter_event=Ask(prefix="?"))
        return StopEvent(result=reply.response)


async def test_waiting_for_a_person_is_not_an_error_and_stays_in_one_trace() -> None:
    with recording() as seen:
        run = Human(timeout=30).run()
        async for event in run.stream_events():
            if isinstance(event, Ask):
                run.ctx.send_event(Reply(response="yes"))
        assert await run == "yes"
    assert {s.status.status_code for s in seen.spans} == {StatusCode.UNSET}
    assert len({s.context.trace_id for s in seen.spans}) == 1
    assert seen.named("outer")[0].attributes["foliotrace.outcome"] == "waiting"
    assert not seen.orphans()
    assert not seen.tree.open


def test_threads_that_carry_the_context_nest_and_others_start_their_own_trace() -> None:
    @dispatcher.span
    def outer() -> None:
        with ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(copy_context().run, compute, n) for n in range(8)]:
                done.result()
        alone = threading.Thread(target=compute, args=(1,))
        alone.start()
        alone.join()

    with recording() as seen:
        outer()
    parents = [seen.parent_name(s) for s in seen.named("compute")]
    assert sum(p is None for p in parents) == 1
    assert sum((p or "").endswith("outer") for p in parents) == 8


def test_a_fault_of_the_handler_is_counted_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with recording() as seen:
        seen.tree._plans = None  # type: ignore[assignment]  # a handler that cannot work
        assert [compute(n) for n in range(3)] == [0, 2, 4]
    assert seen.tree.faults == 3
    assert [r.message for r in caplog.records] == ["telemetry.handler_failed"]


async def test_nothing_is_left_after_ten_thousand_calls_of_every_ending() -> None:
    @dispatcher.span
    async def ends(how: int) -> None:
        if how == 1:
            raise KeyError(how)
        if how == 2:
            raise asyncio.CancelledError

    with recording() as seen:
        seen.memory.export = lambda spans: None  # type: ignore[assignment,method-assign,return-value]
        for number in range(10_000):
            try:
                await ends(number % 3)
            except (KeyError, asyncio.CancelledError):
                continue
    assert (seen.tree.open, seen.handler.streams.waiting, seen.tree.faults) == (
        {},
        {},
        0,
    )
    assert not seen.handler.completed_spans
    assert not seen.handler.dropped_spans


programs = st.recursive(
    st.just([]),
    lambda inner: st.lists(st.tuples(st.sampled_from("sfea"), inner), max_size=3),
    max_leaves=12,
)


async def run_program(program: Any) -> None:
    for kind, inner in program:
        if kind == "s":
            with events.stage("inner"):
                await run_program(inner)
        elif kind == "f":
            await nested(inner)
        elif kind == "a":
            await asyncio.gather(nested(inner), nested(inner))
        else:
            try:
                await fails(inner)
            except ValueError:
                continue


@dispatcher.span
async def nested(program: Any) -> None:
    await asyncio.sleep(0)
    await run_program(program)


@dispatcher.span
async def fails(program: Any) -> None:
    await run_program(program)
    raise ValueError


@settings(max_examples=40, deadline=None)
@given(programs)
def test_any_program_keeps_its_tree_and_its_failures(program: Any) -> None:
    with recording(detail="all") as seen:
        asyncio.run(run_program(program))
    assert shape(*our_parents(seen)) == shape(seen.truth.parents, llama_index_names(seen))
    failed = [s for s in seen.spans if s.status.status_code is StatusCode.ERROR]
    assert len(failed) == len(seen.truth.dropped)
    assert sum(len(s.events) for s in seen.spans) == len(seen.truth.dropped)


def open_spans() -> list[OpenSpan]:
    return [found for found in gc.get_objects() if type(found) is OpenSpan]


def test_an_ended_span_is_freed_without_the_garbage_collector() -> None:
    with recording() as seen:
        gc.collect()
        gc.disable()
        try:
            before = open_spans()  # other tests leave some open
            with events.stage("outer"), events.stage("inner"):
                pass
            left = [found for found in open_spans() if found not in before]
        finally:
            gc.enable()
    assert len(seen.spans) == 2
    assert left == []
