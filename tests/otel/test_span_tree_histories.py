"""Random programs of tasks, threads, cancellations and failures keep LlamaIndex's own tree."""

import asyncio
import threading
from contextlib import suppress
from contextvars import copy_context
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_index_instrumentation import get_dispatcher
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from opentelemetry.trace import StatusCode
from tests.otel.recorded_spans import recording, shape
from tests.otel.test_span_tree import llama_index_names, our_parents

from foliotrace import events

dispatcher = get_dispatcher(__name__)
KINDS = (
    "stage",
    "call",
    "task",
    "thread",
    "carried thread",
    "fails",
    "cancelled",
    "gather",
    "sync",
)
programs = st.recursive(
    st.just([]),
    lambda inner: st.lists(st.tuples(st.sampled_from(KINDS), inner), max_size=3),
    max_leaves=12,
)


@dispatcher.span
async def call(program: Any) -> None:
    await asyncio.sleep(0)
    await run(program)


@dispatcher.span
async def fails(program: Any) -> None:
    await run(program)
    raise LookupError


@dispatcher.span
async def cancelled(program: Any) -> None:
    await run(program)
    await asyncio.sleep(3600)


@dispatcher.span
def sync(program: Any) -> None:
    for _, inner in program:
        sync(inner)


def in_a_thread(program: Any, *, carried: bool) -> threading.Thread:
    work = (copy_context().run, sync, program) if carried else (sync, program)
    return threading.Thread(target=work[0], args=work[1:])


async def one(kind: str, inner: Any) -> None:
    if kind == "stage":
        with events.stage("inner"):
            await run(inner)
    elif kind == "call":
        await call(inner)
    elif kind == "task":
        await asyncio.create_task(call(inner))
    elif kind in {"thread", "carried thread"}:
        thread = in_a_thread(inner, carried=kind == "carried thread")
        thread.start()
        await asyncio.to_thread(thread.join)
    elif kind == "fails":
        with suppress(LookupError):
            await fails(inner)
    elif kind == "cancelled":
        await cancelling(inner)
    elif kind == "gather":
        await asyncio.gather(call(inner), fails(inner), call(inner), return_exceptions=True)
    else:
        sync(inner)


async def cancelling(inner: Any) -> None:
    task = asyncio.create_task(cancelled(inner))
    for _ in range(5):
        await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def run(program: Any) -> None:
    for kind, inner in program:
        await one(kind, inner)


async def side_by_side(many: list[Any]) -> None:
    await asyncio.gather(*(run(program) for program in many))


@settings(max_examples=60, deadline=None)
@given(st.lists(programs, min_size=1, max_size=4))
def test_programs_side_by_side_keep_their_trees_and_their_failures(many: list[Any]) -> None:
    with recording(detail="all") as seen:
        asyncio.run(side_by_side(many))
    assert shape(*our_parents(seen)) == shape(seen.truth.parents, llama_index_names(seen))
    roots = [span for span in seen.spans if span.parent is None]
    assert len({s.context.trace_id for s in seen.spans}) == len(roots)
    stopped = [s for s in seen.spans if (s.attributes or {}).get("foliotrace.outcome")]
    failed = [s for s in seen.spans if s.status.status_code is StatusCode.ERROR]
    assert len(failed) + len(stopped) == len(seen.truth.dropped)
    assert (seen.tree.open, seen.tree.faults) == ({}, 0)


@pytest.mark.parametrize("sampled", [True, False])
@settings(max_examples=30, deadline=None)
@given(many=st.lists(programs, min_size=1, max_size=4))
def test_nothing_is_orphaned_or_left_open_in_the_default_detail(
    sampled: bool, many: list[Any]
) -> None:
    with recording(sampler=None if sampled else ParentBased(ALWAYS_OFF)) as seen:
        asyncio.run(side_by_side(many))
    assert not seen.orphans()
    assert (seen.tree.open, seen.tree.faults) == ({}, 0)
    assert sampled or not seen.spans
