"""What `foliotrace_server.host.internals` relies on inside llama-agents; an upgrade fails here."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest
from llama_agents.server import HandlerQuery, PersistentHandler
from llama_agents.server._runtime.idle_release_runtime import IdleReleaseDecorator
from workflows import Context, Workflow, step
from workflows.events import Event, StartEvent, StopEvent
from workflows.plugins.basic import BasicRuntime

from foliotrace.catalog import ErrorCode
from foliotrace.errors import FileRefused
from foliotrace_server.host import internals
from foliotrace_server.host.upstream_errors import EXCEPTION_HANDLERS

pytestmark = pytest.mark.anyio


class Begin(StartEvent):
    kind: str = "good"


class Half(Event):
    pass


class TwoSteps(Workflow):
    @step
    async def first(self, ctx: Context, ev: Begin) -> Half:
        if ev.kind == "bug":
            raise RuntimeError("secret detail")
        if ev.kind == "refused":
            raise FileRefused("a.pdf is empty", name="a.pdf", code=ErrorCode.FILE_EMPTY, hint="")
        return Half()

    @step
    async def second(self, ev: Half) -> StopEvent:
        return StopEvent(result="done")


def as_it_is(run_id: str) -> AbstractContextManager[None]:
    return nullcontext()


async def ended(store: internals.DurableStore, kind: str) -> PersistentHandler:
    server = internals.durable_server(store, EXCEPTION_HANDLERS, as_it_is)
    server.add_workflow("two", TwoSteps())
    await server.start()
    started = await internals.start_durably(server, store, "two", Begin(kind=kind), "h")
    assert store.is_replayable(started.run_id)
    await internals.wait_durably(server, started)
    await internals.stop_durably(server)
    return (await store.query(HandlerQuery(handler_id_in=["h"])))[0]


async def test_ticks_tell_when_a_run_can_be_replayed_and_how_far_it_is(tmp_path: Path) -> None:
    store = internals.DurableStore(tmp_path / "h.db")
    assert not store.is_replayable("none")
    handler = await ended(store, "good")
    assert handler.status == "completed"
    assert store.steps_done(str(handler.run_id)) == 2


@pytest.mark.parametrize(
    ("kind", "shown"), [("bug", ErrorCode.INTERNAL_ERROR), ("refused", "a.pdf is empty")]
)
async def test_only_the_words_of_our_own_errors_are_kept(
    tmp_path: Path, kind: str, shown: str
) -> None:
    store = internals.DurableStore(tmp_path / "h.db")
    handler = await ended(store, kind)
    events = await store.query_events(str(handler.run_id))
    assert handler.error == shown
    assert "secret" not in "".join(event.event.model_dump_json() for event in events)


async def test_the_store_keeps_one_connection_in_wal_mode(tmp_path: Path) -> None:
    store = internals.DurableStore(tmp_path / "h.db")
    with store._connect() as first, store._connect() as second:
        assert first is second
        assert first.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


async def test_old_finished_runs_are_forgotten_wholly(tmp_path: Path) -> None:
    store = internals.DurableStore(tmp_path / "h.db")
    handler = await ended(store, "good")
    assert store.forget_finished("2000-01-01") == 0
    assert store.forget_finished("9999-01-01") == 1
    assert await store.query_events(str(handler.run_id)) == []


async def test_no_server_has_the_wildcard_cors_of_the_library(tmp_path: Path) -> None:
    durable = internals.durable_server(internals.DurableStore(tmp_path / "h.db"), {}, as_it_is)
    hot = internals.in_memory_server(internals.InMemoryStore(10), {})
    assert (durable.app.user_middleware, hot.app.user_middleware) == ([], [])
    release = durable._runtime._decorated
    assert isinstance(release, IdleReleaseDecorator)
    assert isinstance(release._decorated._decorated, BasicRuntime)  # type: ignore[attr-defined]


async def test_the_hot_store_finds_by_id_and_run_and_forgets_both() -> None:
    store = internals.InMemoryStore(2)
    for number in range(5):
        running = PersistentHandler(
            handler_id=f"h{number}", workflow_name="w", status="running", run_id=f"r{number}"
        )
        await store.update(running)
        assert store.running == 1
        await store.update(running.model_copy(update={"status": "completed"}))
    assert store.running == 0
    assert [h.handler_id for h in await store.query(HandlerQuery(run_id_in=["r4", "r0"]))] == ["h4"]
    assert await store.query(HandlerQuery(handler_id_in=["h0"])) == []
    found = await store.query(HandlerQuery(handler_id_in=["h3"], status_in=["running"]))
    assert found == []
    assert await store.delete(HandlerQuery(handler_id_in=["h4"])) == 1
    assert set(store._handler_of_run) == {"r3"}
