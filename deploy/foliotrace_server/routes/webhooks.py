"""`POST /v1/webhooks/llamacloud`: word that a job in the cloud has ended, believed when signed."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from foliotrace.adapters.llamacloud.webhooks import SIGNATURE_HEADER
from foliotrace_server.request_body import read_body

_MOST_BYTES = 64 * 1024


class Webhooks:
    """Takes the raw body, because that is what is signed."""

    def __init__(self, hear: Callable[[bytes, str | None], Awaitable[object]]) -> None:
        self._hear = hear

    async def llamacloud(self, request: Request) -> Response:
        """204; 403 for what is not signed with our secret, 413 for more than an event."""
        body = await read_body(request, _MOST_BYTES)
        await self._hear(body, request.headers.get(SIGNATURE_HEADER))
        return Response(status_code=204)
