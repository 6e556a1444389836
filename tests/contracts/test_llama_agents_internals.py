"""What `foliotrace_server.host.internals` relies on inside llama-agents; an upgrade fails here."""

import ast
import asyncio
from contextlib import AbstractContextManager, nullcontext
from inspect import signature
from pathlib import Path
from types import ModuleType

import pytest
from llama_agents.server import (
    HandlerQuery,
    MemoryWorkflowStore,
    PersistentHandler,
    SqliteWorkflowStore,
    WorkflowServer,
)
from llama_agents.server._runtime.idle_release_runtime import IdleReleaseDecorator
from llama_agents.server._runtime.persistence_runtime import PersistenceDecorator
from workflows import Context, Workflow, step
from workflows.events import Event, StartEvent, StopEvent
from workflows.plugins.basic import BasicRuntime

from foliotrace.catalog import ErrorCode
from foliotrace.errors import FileRefused
from foliotrace_server.host.internals import engine, stores
from foliotrace_server.http.problems import EXCEPTION_HANDLERS

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


class Waits(Workflow):
    @step
    async def only(self, ev: Begin) -> StopEvent:
        await asyncio.sleep(3600)
        return StopEvent(result="done")


def as_it_is(run_id: str) -> AbstractContextManager[None]:
    return nullcontext()


async def ended(store: stores.DurableStore, kind: str) -> PersistentHandler:
    server = engine.durable_server(store, EXCEPTION_HANDLERS, as_it_is)
    server.add_workflow("two", TwoSteps())
    await server.start()
    started = await engine.start_durable_run(server, store, "two", Begin(kind=kind), "h")
    assert store.is_replayable(started.run_id)
    await engine.wait_for_run(server, started)
    await engine.stop_server(server)
    return (await store.query(HandlerQuery(handler_id_in=["h"])))[0]


async def test_ticks_tell_when_a_run_can_be_replayed_and_how_far_it_is(tmp_path: Path) -> None:
    store = stores.DurableStore(tmp_path / "h.db")
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
    store = stores.DurableStore(tmp_path / "h.db")
    handler = await ended(store, kind)
    events = await store.query_events(str(handler.run_id))
    assert handler.error == shown
    assert "secret" not in "".join(event.event.model_dump_json() for event in events)


async def test_the_store_keeps_one_connection_in_wal_mode(tmp_path: Path) -> None:
    store = stores.DurableStore(tmp_path / "h.db")
    with store._connect() as first, store._connect() as second:
        assert first is second
        assert first.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


async def test_old_finished_runs_are_forgotten_wholly(tmp_path: Path) -> None:
    store = stores.DurableStore(tmp_path / "h.db")
    handler = await ended(store, "good")
    assert store.forget_finished("2000-01-01") == 0
    assert store.forget_finished("9999-01-01") == 1
    assert await store.query_events(str(handler.run_id)) == []


async def test_no_server_has_the_wildcard_cors_of_the_library(tmp_path: Path) -> None:
    durable = engine.durable_server(stores.DurableStore(tmp_path / "h.db"), {}, as_it_is)
    hot = engine.in_memory_server(stores.InMemoryStore(10), {})
    assert (durable.app.user_middleware, hot.app.user_middleware) == ([], [])
    release = durable._runtime._decorated
    assert isinstance(release, IdleReleaseDecorator)
    assert isinstance(release._decorated._decorated, BasicRuntime)  # type: ignore[attr-defined]


async def test_the_hot_store_finds_by_id_and_run_and_forgets_both() -> None:
    store = stores.InMemoryStore(2)
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


PRIVATE_NAMES = {
    "_build_state_store": MemoryWorkflowStore,
    "_evict_run_state_stores": MemoryWorkflowStore,
    "_state_store_cache": MemoryWorkflowStore(max_completed=1),
    "_connect": SqliteWorkflowStore,
    "_open_nolock": SqliteWorkflowStore,
    "_persistent_conn": None,  # checked on a store with a file
    "_runtime": WorkflowServer(),
    "_service": WorkflowServer(),
    "_decorated": None,  # checked on a server's chain of runtimes
    "_queues": BasicRuntime(),
}
"""Every private name that `internals` reads or overrides, and what has it."""


def private_names(module: ModuleType) -> set[str]:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    stored, read, overridden = set(), set(), set()
    for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text())):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            (stored if isinstance(node.ctx, ast.Store) else read).add(node.attr)
        if isinstance(node, ast.ClassDef):
            methods = {n.name for n in node.body if isinstance(n, functions)}
            bases = [getattr(module, base.id) for base in node.bases if isinstance(base, ast.Name)]
            overridden |= {m for m in methods for base in bases if hasattr(base, m)}
            stored |= methods - overridden
    return {n for n in (read - stored) | overridden if n.startswith("_") and n[:2] != "__"}


def test_every_private_name_that_internals_uses_is_listed() -> None:
    assert private_names(stores) | private_names(engine) == set(PRIVATE_NAMES)


@pytest.mark.parametrize("name", [name for name, owner in PRIVATE_NAMES.items() if owner])
def test_the_library_still_has_the_private_name(name: str) -> None:
    assert hasattr(PRIVATE_NAMES[name], name)


async def test_the_private_names_mean_what_internals_takes_them_for(tmp_path: Path) -> None:
    store = stores.DurableStore(tmp_path / "h.db")
    server = engine.durable_server(store, {}, as_it_is)
    release = server._runtime._decorated
    assert isinstance(release, IdleReleaseDecorator)
    assert release.stop_task is None
    persistence = release._decorated
    assert isinstance(persistence, PersistenceDecorator)
    assert persistence.resume_task is None
    assert isinstance(persistence._decorated, BasicRuntime)
    assert persistence._decorated._queues == {}
    service = server._service
    assert {"handler_id", "start_event"} <= set(signature(service.start_workflow).parameters)
    assert callable(service.await_workflow)
    assert callable(service.cancel_handler)
    tables = {
        "handlers": {"handler_id", "run_id", "status", "completed_at"},
        "ticks": {"run_id", "tick_data"},
        "events": {"run_id"},
        "workflow_state": {"run_id"},
    }
    with store._connect() as connection:
        assert store._persistent_conn is connection
        for table, columns in tables.items():
            found = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
            assert columns <= found


async def test_an_active_run_is_known_to_the_engine_and_released_at_the_stop(
    tmp_path: Path,
) -> None:
    store = stores.DurableStore(tmp_path / "h.db")
    server = engine.durable_server(store, EXCEPTION_HANDLERS, as_it_is)
    server.add_workflow("two", TwoSteps())
    await server.start()
    started = await engine.start_durable_run(server, store, "two", Begin(), "h")
    await engine.wait_for_run(server, started)
    assert not engine.is_active(server, "another run")
    await engine.stop_server(server)
    assert not engine.is_active(server, str(started.run_id))


async def test_the_state_of_a_finished_run_leaves_the_store_in_memory() -> None:
    store = stores.InMemoryStore(1)
    server = engine.in_memory_server(store, {})
    server.add_workflow("two", TwoSteps())
    async with server.contextmanager():
        for number in range(3):
            data = await engine.start_run(server, "two", Begin(), f"h{number}")
            await engine.wait_for_run(server, data)
    assert len(store.handlers) <= 2
    assert {key[0] for key in store._state_store_cache} <= {
        str(handler.run_id) for handler in store.handlers.values()
    }


async def test_a_run_is_active_until_it_has_ended_and_can_be_cancelled_and_forgotten(
    tmp_path: Path,
) -> None:
    store = stores.DurableStore(tmp_path / "h.db")
    server = engine.durable_server(store, EXCEPTION_HANDLERS, as_it_is)
    server.add_workflow("wait", Waits())
    await server.start()
    started = await engine.start_durable_run(server, store, "wait", Begin(), "h")
    assert engine.is_active(server, str(started.run_id))
    assert await engine.cancel_run(server, "h")
    await engine.stop_server(server)
    assert not engine.is_active(server, str(started.run_id))
    assert not await engine.cancel_run(server, "absent")
    store.forget(["h"])
    assert await store.query(HandlerQuery(handler_id_in=["h"])) == []
    store.close()


async def test_an_ended_runs_state_leaves_memory_with_it() -> None:
    store = stores.InMemoryStore(1)
    server = engine.in_memory_server(store, EXCEPTION_HANDLERS)
    server.add_workflow("two", TwoSteps())
    await server.start()
    for handler_id in ("first", "second", "third"):
        started = await engine.start_run(server, "two", Begin(), handler_id)
        await engine.wait_for_run(server, started)
    await server.stop()
    assert len(store._state_store_cache) <= 1
    assert len(store._handler_of_run) <= 1
