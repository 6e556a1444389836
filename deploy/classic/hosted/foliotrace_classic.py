"""Adapts the workflows to llama-deploy 0.9.2; `deployment.yml` names the objects below.

llama-deploy passes `context=` where a workflow takes `ctx=`, and cannot return a typed stop event.
So the result of a run is JSON text, which `tasks/run` and `tasks/{id}/results` both return.
"""

from collections.abc import AsyncIterator, Generator
from typing import Any

from llama_deploy.apiserver.settings import settings as apiserver
from workflows import Context, Workflow
from workflows.events import Event
from workflows.handler import WorkflowHandler

from foliotrace_server.compose import assemble_for_other_host


class Classic:
    """A workflow with the methods that llama-deploy calls."""

    def __init__(self, workflow: Workflow) -> None:
        self._workflow = workflow

    def run(self, *, context: Context | None = None, **fields: Any) -> "Running":
        """Start a run; `fields` are those of the start event."""
        return Running(self._workflow.run(ctx=context, **fields))

    def __getattr__(self, name: str) -> Any:
        """Delegate: llama-deploy creates sessions (`Context(workflow)`) from this object."""
        return getattr(self._workflow, name)


class Running:
    """The handler of a run; awaiting it returns the stop event as JSON text."""

    def __init__(self, handler: WorkflowHandler) -> None:
        self._handler = handler

    @property
    def ctx(self) -> Context | None:
        return self._handler.ctx

    def stream_events(self) -> AsyncIterator[Event]:
        return self._handler.stream_events()

    def __await__(self) -> Generator[Any, None, str]:
        return self._as_json().__await__()

    async def _as_json(self) -> str:
        return (await self._handler).model_dump_json()


_assembly, lease = assemble_for_other_host(apiserver.host)

query = Classic(_assembly.query())
ingest = Classic(_assembly.durable["ingest"])
extract = Classic(_assembly.durable["extract"])
