"""Hosts workflows whose runs end with the process: questions."""

from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

from llama_agents.server import PersistentHandler
from workflows import Workflow
from workflows.errors import WorkflowCancelledByUser
from workflows.events import StartEvent
from workflows.handler import WorkflowHandler

from foliotrace.catalog import ErrorCode
from foliotrace.errors import Conflict, FoliotraceError, TooBusy
from foliotrace.model import Principal
from foliotrace_server.host.internals.engine import (
    HandlerData,
    handler_data,
    in_memory_server,
    start_run,
)
from foliotrace_server.host.internals.stores import InMemoryStore
from foliotrace_server.http.identity import caller
from foliotrace_server.http.problems import EXCEPTION_HANDLERS

_KEPT_FINISHED: Final = 1000
_DEFAULT: Final = Principal()


class InMemoryHost:
    """Hosts workflows in memory.

    `run` executes the `direct` workflows in the caller's task, without the server's bookkeeping: a
    third of the CPU. `start` gives the `hosted` ones to the server. A workflow object belongs to
    one runtime, hence two objects of each workflow.
    """

    def __init__(
        self, hosted: dict[str, Workflow], direct: dict[str, Workflow], *, max_running: int
    ) -> None:
        self.workflows = hosted
        self.store = InMemoryStore(_KEPT_FINISHED)
        self.server = in_memory_server(self.store, EXCEPTION_HANDLERS)
        for name, workflow in hosted.items():
            self.server.add_workflow(name, workflow)
        self._direct = direct
        self._owners: dict[str, Principal] = {}  # by handler id, the default tenant's left out
        self._running: dict[str, WorkflowHandler] = {}
        self._max_running = max_running

    def has_handler(self, handler_id: str) -> bool:
        """Whether the handler belongs to this host."""
        return handler_id in self.store.handlers

    def owner(self, handler_id: str) -> Principal:
        """Whose run it is."""
        return self._owners.get(handler_id, _DEFAULT)

    async def run(self, name: str, handler_id: str, start_event: StartEvent) -> HandlerData:
        """Run to the end in this task. Raises what the workflow raises, Conflict, TooBusy."""
        self._check_capacity(handler_id)
        now = datetime.now(UTC)
        record = PersistentHandler.model_construct(
            handler_id=handler_id,
            workflow_name=name,
            status="running",
            run_id=uuid4().hex,
            started_at=now,
            updated_at=now,
        )
        await self.store.update(record)
        running = self._direct[name].run(start_event=start_event)
        self._running[handler_id] = running
        try:
            record.result = await running.stop_event_result()
            record.status = "completed"
        except WorkflowCancelledByUser:
            record.status = "cancelled"
        except BaseException as error:
            code = error.error_code if isinstance(error, FoliotraceError) else None
            record.status, record.error = "failed", code or ErrorCode.INTERNAL_ERROR
            raise
        finally:
            del self._running[handler_id]
            record.updated_at = record.completed_at = datetime.now(UTC)
            await self.store.update(record)
        return handler_data(record)

    async def start(self, name: str, handler_id: str, start_event: StartEvent) -> HandlerData:
        """Start in the background and return at once. Raises Conflict, TooBusy."""
        self._check_capacity(handler_id)
        return await start_run(self.server, name, start_event, handler_id)

    async def cancel(self, handler_id: str) -> bool:
        """Cancel a run started by `run`; False if there is none."""
        running = self._running.get(handler_id)
        if running is None:
            return False
        await running.cancel_run()
        return True

    def _check_capacity(self, handler_id: str) -> None:
        earlier = self.store.handlers.get(handler_id)
        if earlier is not None and earlier.status == "running":
            raise Conflict(code=ErrorCode.JOB_ALREADY_RUNNING)
        if self.store.running >= self._max_running:
            raise TooBusy("too many runs are active", retry_after_s=1.0)
        self._own(handler_id)

    def _own(self, handler_id: str) -> None:
        owner = caller()
        self._owners.pop(handler_id, None)
        if owner.tenant != _DEFAULT.tenant or owner.collections is not None:
            self._owners[handler_id] = owner
        if len(self._owners) > 2 * (_KEPT_FINISHED + self._max_running):  # the store drops old runs
            for oldest in list(self._owners)[:_KEPT_FINISHED]:
                if not self.has_handler(oldest):
                    del self._owners[oldest]
