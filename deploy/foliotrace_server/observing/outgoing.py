"""The running trace, told to the services that are called: a hook for httpx clients."""

import httpx
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_propagator = TraceContextTextMapPropagator()


async def carry_trace(request: httpx.Request) -> None:
    """Add `traceparent`, so that a gateway's or an own model server's spans join the trace."""
    _propagator.inject(request.headers)
