"""The workflows for `llamactl serve`: `[tool.llamaagents]` names `server`. For development.

llamactl takes the workflows out of `server` and drops the rest, so limits, audit and degradation
are part of the workflows. It closes nothing: the audit stream is sealed, and the last spans are
sent, when the process exits. In production use `foliotrace serve`.
"""

import signal
import threading
from types import FrameType

from llama_agents.server import WorkflowServer

from foliotrace_server.compose import assemble_for_other_host

try:
    from llama_agents.appserver.settings import (  # type: ignore[import-untyped] # llamactl's
        settings as _appserver,
    )
except ImportError:  # imported by something that serves nothing
    _bound_to = "127.0.0.1"
else:
    _bound_to = _appserver.host


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Treat SIGTERM as SIGINT; after SIGTERM uvicorn would skip the functions run at exit."""
    signal.raise_signal(signal.SIGINT)


_assembly, lease = assemble_for_other_host(_bound_to, serving=True)
if threading.current_thread() is threading.main_thread():  # others must not set handlers
    signal.signal(signal.SIGTERM, _interrupt)

server = WorkflowServer()
server.add_workflow("query", _assembly.query())
for _name, _workflow in _assembly.durable.items():
    server.add_workflow(_name, _workflow)
