"""`llamactl serve` hosts the same workflows: `server` is what `[tool.llamaagents]` names.

llamactl takes the workflows out of it and drops the rest, so the limits, the audit and the
degradation marks are the journeys' own. For development; `foliotrace serve` is the service.
"""

from llama_agents.server import WorkflowServer

from foliotrace.adapters.local.lease import WriterLease
from foliotrace_server.compose import compose_parts
from foliotrace_server.settings import load_settings

_settings = load_settings()
lease = WriterLease.acquire(_settings.data_dir)
_parts = compose_parts(_settings)

server = WorkflowServer()
server.add_workflow("query", _parts.query())
for _name, _workflow in _parts.durable.items():
    server.add_workflow(_name, _workflow)
