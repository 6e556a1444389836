"""`POST /v1/webhooks/llamacloud`: word that a job in the cloud has ended, believed when signed."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from foliotrace.adapters.llamacloud.webhooks import SIGNATURE_HEADER
from foliotrace.errors import InvalidRequest

_MOST_BYTES = 64 * 1024


class Webhooks:
    """Takes the raw body, because that is what is signed."""

    def __init__(self, hear: Callable[[bytes, str | None], Awaitable[object]]) -> None:
        self._hear = hear

    async def llamacloud(self, request: Request) -> Response:
        """204; 403 for what is not signed with our secret."""
        body = b""
        async for piece in request.stream():
            body += piece
            if len(body) > _MOST_BYTES:
                raise InvalidRequest("the webhook is too large", hint="Send events alone.")
        await self._hear(body, request.headers.get(SIGNATURE_HEADER))
        return Response(status_code=204)
