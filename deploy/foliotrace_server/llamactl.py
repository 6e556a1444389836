"""`llamactl serve` hosts the same workflows: `server` is what `[tool.llamaagents]` names.

llamactl takes the workflows out of it and drops the rest, so the limits, the audit and the
degradation marks are the journeys' own. It closes nothing that it hosts: the audit stream is sealed
and the last spans are sent when the process exits. For development; `foliotrace serve` is the
service.
"""

import atexit
import signal
import threading
from types import FrameType

from llama_agents.server import WorkflowServer

from foliotrace.adapters.local.files.lease import WriterLease
from foliotrace_server.compose import compose_parts
from foliotrace_server.settings import load_settings


def _end_in_order(number: int, frame: FrameType | None) -> None:
    """Take TERM for an interrupt: uvicorn ends its work on both, but then dies of TERM itself."""
    signal.raise_signal(signal.SIGINT)


_settings = load_settings()
lease = WriterLease.acquire(_settings.data_dir)
_parts = compose_parts(_settings, serving=True)
atexit.register(_parts.seal)
if threading.current_thread() is threading.main_thread():  # nobody else may set handlers
    signal.signal(signal.SIGTERM, _end_in_order)

server = WorkflowServer()
server.add_workflow("query", _parts.query())
for _name, _workflow in _parts.durable.items():
    server.add_workflow(_name, _workflow)
