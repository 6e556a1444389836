"""The workflows for `llamactl serve`: `[tool.llamaagents]` names `server`. For development.

llamactl takes the workflows out of `server` and drops the rest, so limits, audit and degradation
are part of the workflows. It closes nothing: the audit stream is sealed, and the last spans are
sent, when the process exits. In production use `foliotrace serve`.
"""

import atexit
import signal
import threading
from types import FrameType

from llama_agents.server import WorkflowServer

from foliotrace.adapters.local.files.lease import WriterLease
from foliotrace_server.compose import assemble
from foliotrace_server.settings import load_settings


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Treat SIGTERM as SIGINT; after SIGTERM uvicorn would skip the functions run at exit."""
    signal.raise_signal(signal.SIGINT)


_settings = load_settings()
lease = WriterLease.acquire(_settings.data_dir)
_assembly = assemble(_settings, serving=True)
atexit.register(_assembly.seal)
if threading.current_thread() is threading.main_thread():  # others must not set handlers
    signal.signal(signal.SIGTERM, _interrupt)

server = WorkflowServer()
server.add_workflow("query", _assembly.query())
for _name, _workflow in _assembly.durable.items():
    server.add_workflow(_name, _workflow)
