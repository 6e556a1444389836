"""What the composition root hands to a host: ours, llamactl's, or llama-deploy's.

Nothing here comes from llama-agents, which llama-deploy 0.9.2 cannot stand beside.
"""

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workflows import Workflow

from foliotrace.ingest.services import IngestServices
from foliotrace.model import ExecutionMode
from foliotrace.ports import Runs
from foliotrace_server.contract import CapabilityBody
from foliotrace_server.observing.telemetry import Observability


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """The services and workflows that a host runs."""

    ingest: IngestServices  # the stores among them
    runs: Runs
    query: Callable[[], Workflow]  # a new one for each host
    durable: Mapping[str, Workflow]  # ingest, extract and the user's, by name
    capabilities: Callable[[], Mapping[str, CapabilityBody]]
    check_schema: Callable[[dict[str, Any]], object]
    check_extract_path: Callable[[ExecutionMode | None], object] = lambda asked: None
    background: Sequence[Callable[[], Coroutine[Any, Any, None]]] = ()  # run until cancelled
    webhook: Callable[[bytes, str | None], Awaitable[object]] | None = None  # raw body, signature
    closing: Sequence[Callable[[], Awaitable[None]]] = ()  # in order, at the end
    seal: Callable[[], None] = lambda: None  # instead, for a host that ends without a word: at exit
    observability: Observability | None = None
