"""The service as a target: what says something of the question, and what does not."""

import pytest
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send
from tests.fakes.wire import SocketServer

from foliotrace_loop.ports import TargetUnavailable
from foliotrace_server.client import AsyncFoliotraceClient
from foliotrace_server.loop.target import ClientTarget

pytestmark = pytest.mark.anyio


async def asked(status: int) -> str | None:
    """The error of the outcome, asked of a service that answers with a problem of this status."""

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        problem = {"type": "urn:x", "title": "No.", "status": status, "code": "some_code"}
        await JSONResponse(problem, status)(scope, receive, send)

    server = SocketServer(refuse, port=0)
    server.start()
    try:
        async with AsyncFoliotraceClient(server.url) as client:
            return (await ClientTarget(client).answer({"query": "Why?"})).error
    finally:
        server.stop()


@pytest.mark.parametrize("status", [400, 422])
async def test_a_question_that_the_service_refuses_is_an_outcome(status: int) -> None:
    assert await asked(status) == "some_code"


@pytest.mark.parametrize("status", [401, 403, 404, 405, 409, 429, 503])
async def test_a_refused_key_or_a_wrong_address_is_no_regression(status: int) -> None:
    """The gate said 1, and a row whose right answer is a refusal passed."""
    with pytest.raises(TargetUnavailable, match="some_code"):
        await asked(status)
