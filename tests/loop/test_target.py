"""The service as a target: what says something of the question, and what does not."""

from pathlib import Path

import pytest
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send
from tests.fakes.wire import SocketServer
from tests.server.small_service import serving

from foliotrace_loop.evaluators.rules import schema_exact
from foliotrace_loop.ports import LoopError, TargetUnavailable
from foliotrace_loop.shapes import Row
from foliotrace_server.client import AsyncFoliotraceClient
from foliotrace_server.compose import compose
from foliotrace_server.loop.target import ClientTarget
from foliotrace_server.settings import Settings

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


async def test_a_row_with_a_schema_is_an_extraction_and_its_record_is_compared(
    tmp_path: Path,
) -> None:
    schema = {"type": "object", "properties": {"total": {"type": "number"}}}
    async with (
        serving(compose(Settings(data_dir=tmp_path))) as http,
        AsyncFoliotraceClient(str(http.base_url)) as client,
    ):
        upload = await client.upload([("bill.txt", b"Invoice 7\nTotal: 12.50 EUR\n")])
        async for _ in client.follow(upload.accepted[0].job.id):
            pass
        content = (await client.documents()).documents[0].content_hash
        inputs = {"document": content, "schema": schema}
        outcome = await ClientTarget(client).answer(inputs)
        with pytest.raises(TargetUnavailable, match="ingest it first"):
            await ClientTarget(client).answer({**inputs, "document": "0" * 64})
        with pytest.raises(LoopError, match="document, schema and instructions"):
            await ClientTarget(client).answer({**inputs, "top_k": 3})
    for total, passed in ((12.5, True), (13, False)):
        row = Row(id="r", inputs=inputs, reference_outputs={"record": {"total": total}})
        score = schema_exact(outcome, row)
        assert score is not None
        assert (score[0] == 1.0) is passed
