"""The running trace, told to the services that are called: a hook for httpx clients.

What goes out is `traceparent` alone: two random ids and a flag. The caller's `tracestate` and the
baggage stay here, because they may say more and are not ours to give away.
"""

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias
from urllib.parse import urlsplit

import httpx
from opentelemetry import trace

from foliotrace_otel import traceparent

RequestHook: TypeAlias = Callable[[httpx.Request], Awaitable[None]]
_HEADER: Final = "traceparent"


async def carry_trace(request: httpx.Request) -> None:
    """Add `traceparent`, so that a gateway's or an own model server's spans join the trace."""
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        request.headers[_HEADER] = traceparent(context)


def carry_trace_to(url: str) -> RequestHook:
    """As `carry_trace`, to the host of `url` alone; a redirect elsewhere loses the header."""
    host = urlsplit(url).hostname

    async def carry(request: httpx.Request) -> None:
        if request.url.host == host:
            await carry_trace(request)
        else:
            request.headers.pop(_HEADER, None)

    return carry
