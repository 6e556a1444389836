"""llama-agents' servers and the runs that they execute: started, awaited, cancelled, released."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from llama_agents.client.protocol import HandlerData  # type: ignore[import-untyped] # no py.typed
from llama_agents.server import HandlerQuery, PersistentHandler, WorkflowServer
from llama_agents.server._runtime.idle_release_runtime import IdleReleaseDecorator
from llama_agents.server._runtime.persistence_runtime import PersistenceDecorator
from llama_agents.server._service import handler_data_from_persistent
from workflows.events import StartEvent, StopEvent
from workflows.plugins.basic import BasicRuntime
from workflows.runtime.types.plugin import ExternalRunAdapter

from foliotrace_server.host.internals.stores import DurableStore, InMemoryStore

__all__ = [
    "HandlerData",
    "cancel_run",
    "durable_server",
    "handler_data",
    "in_memory_server",
    "is_active",
    "start_durable_run",
    "start_run",
    "stop_server",
    "wait_for_run",
    "wait_until_replayable",
]

_REPLAYABLE_POLL_S = 0.002
_RELEASE_S = 10.0


class _HoldingRuntime(BasicRuntime):
    """Holds the task of each run until it ends.

    The base and the event loop hold it weakly: a run that waits for an event would be collected as
    garbage, and the event be lost.
    """

    def __init__(self) -> None:
        super().__init__()
        self._runs: set[asyncio.Task[StopEvent]] = set()

    def run_workflow(self, run_id: str, *args: Any, **kwargs: Any) -> ExternalRunAdapter:  # noqa: ANN401 - the base's own
        """Start or resume a run."""
        adapter = super().run_workflow(run_id, *args, **kwargs)
        run = self._queues[run_id].complete
        self._runs.add(run)
        run.add_done_callback(self._runs.discard)
        return adapter


class _ContextualRuntime(_HoldingRuntime):
    """Starts each run in its own trace context; the engine would resume all runs in one."""

    def __init__(self, run_context: Callable[[str], AbstractContextManager[None]]) -> None:
        super().__init__()
        self._run_context = run_context

    def run_workflow(self, run_id: str, *args: Any, **kwargs: Any) -> ExternalRunAdapter:  # noqa: ANN401 - the base's own
        """Start or resume a run."""
        with self._run_context(run_id):
            return super().run_workflow(run_id, *args, **kwargs)


def in_memory_server(store: InMemoryStore, exception_handlers: dict[Any, Any]) -> WorkflowServer:
    """A server whose runs are lost when the process ends."""
    server = WorkflowServer(
        workflow_store=store, exception_handlers=exception_handlers, runtime=_HoldingRuntime()
    )
    return _without_wildcard_cors(server)


def durable_server(
    store: DurableStore,
    exception_handlers: dict[Any, Any],
    run_context: Callable[[str], AbstractContextManager[None]],
) -> WorkflowServer:
    """A server that resumes its runs after a crash, also the youngest (`grace=None`).

    `run_context` takes a run id and gives the context in which the run is started.
    """
    runtime = _ContextualRuntime(run_context)
    persistence = PersistenceDecorator(runtime, store=store, resume_fresh_handler_grace=None)
    server = WorkflowServer(
        workflow_store=store,
        exception_handlers=exception_handlers,
        runtime=IdleReleaseDecorator(persistence, store=store, idle_timeout=600.0),
    )
    return _without_wildcard_cors(server)


def _without_wildcard_cors(server: WorkflowServer) -> WorkflowServer:
    """Remove the library's credentialed wildcard CORS; it cannot be switched off by an argument."""
    server.app.user_middleware.clear()
    return server


def is_active(server: WorkflowServer, run_id: str) -> bool:
    """Whether the engine executes the run in this process, or is about to resume it.

    The store cannot tell: on a full disk a run ends without a record of it.
    """
    release = server._runtime._decorated
    assert isinstance(release, IdleReleaseDecorator)  # noqa: S101 - built by durable_server
    persistence = release._decorated
    assert isinstance(persistence, PersistenceDecorator)  # noqa: S101 - built by durable_server
    if persistence.resume_task is None or not persistence.resume_task.done():
        return True
    basic = persistence._decorated
    assert isinstance(basic, BasicRuntime)  # noqa: S101 - built by durable_server
    queues = basic._queues.get(run_id)
    return queues is not None and not queues.complete.done()


async def wait_until_replayable(
    store: DurableStore, run_id: str, active: Callable[[], bool] = lambda: True
) -> None:
    """Return when a crash can no longer lose the run: its start event is stored, or it has ended.

    The library acknowledges `run-nowait` before that; 3 to 10 of 42 killed runs were lost. A run
    that is not `active` any more has ended, whatever its record says.
    """
    while not store.is_replayable(run_id) and active():
        handlers = await store.query(HandlerQuery(run_id_in=[run_id]))
        if not handlers or handlers[0].status != "running":
            return
        await asyncio.sleep(_REPLAYABLE_POLL_S)


async def start_run(
    server: WorkflowServer, name: str, start_event: StartEvent, handler_id: str
) -> HandlerData:
    """Start workflow `name`; the handler's record."""
    workflow = server.get_workflows()[name]
    return await server._service.start_workflow(
        workflow, handler_id=handler_id, start_event=start_event
    )


async def start_durable_run(
    server: WorkflowServer,
    store: DurableStore,
    name: str,
    start_event: StartEvent,
    handler_id: str,
) -> HandlerData:
    """Start workflow `name`; the handler's record, once a crash cannot lose the run."""
    started = await start_run(server, name, start_event, handler_id)
    assert started.run_id is not None  # noqa: S101 - the service has just made it
    run_id = started.run_id
    await wait_until_replayable(store, run_id, lambda: is_active(server, run_id))
    return started


async def wait_for_run(server: WorkflowServer, handler: HandlerData) -> HandlerData:
    """Wait for the end of a run; its record then."""
    return await server._service.await_workflow(handler)


def handler_data(handler: PersistentHandler) -> HandlerData:
    """A stored record in the form of the protocol."""
    return handler_data_from_persistent(handler)


async def cancel_run(server: WorkflowServer, handler_id: str) -> bool:
    """Cancel a run; False if it is not active."""
    return await server._service.cancel_handler(handler_id) is not None


async def stop_server(server: WorkflowServer) -> None:
    """Stop the server and wait for its runs to be released; they stay `running` in the store."""
    await server.stop()
    release = server._runtime._decorated
    assert isinstance(release, IdleReleaseDecorator)  # noqa: S101 - built by durable_server
    if release.stop_task is not None:
        await release.stop_task
    basic = release._decorated._decorated  # type: ignore[attr-defined] # the persistence decorator
    assert isinstance(basic, BasicRuntime)  # noqa: S101 - built by durable_server
    runs = [queues.complete for queues in list(basic._queues.values())]
    if runs:  # one whose step ignores its cancellation would keep the process for ever
        await asyncio.wait(runs, timeout=_RELEASE_S)
