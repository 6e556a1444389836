"""Real data folders, served in this process."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from foliotrace_server.app import build_app
from foliotrace_server.client.asgi_transport import AsgiTransport
from foliotrace_server.compose import compose
from foliotrace_server.settings import load_settings

TEXTS = {
    "refunds.txt": "The refund window is 30 days after delivery.",
    "whales.txt": "A blue whale weighs up to 190 tonnes.",
}

_made: list[Path] = []


@asynccontextmanager
async def serving(folder: Path, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a service on `folder`."""
    app = build_app(compose(load_settings(None, data_dir=folder, **settings), serving=True))
    transport = AsgiTransport(app)
    async with (
        app.lifespan(None),
        httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=60) as client,
    ):
        yield client


async def ingest(client: httpx.AsyncClient, name: str, text: str) -> str:
    """Upload a text and wait until it is served; the document's id."""
    sent = await client.post("/v1/documents", files={"file": (name, text.encode())})
    assert sent.status_code == 202, sent.text
    document = str(sent.json()["accepted"][0]["document"]["id"])
    await served(client, document)
    return document


async def served(client: httpx.AsyncClient, document: str) -> None:
    """Wait until the document is served."""
    while True:
        shown = (await client.get(f"/v1/documents/{document}")).json()
        if shown["status"] == "ready":
            return
        assert shown["status"] in ("queued", "ingesting"), shown
        await asyncio.sleep(0.05)


async def filled(folder: Path) -> Path:
    """`folder` with TEXTS ingested, and no service on it. Made once, then copied."""
    if not _made:
        made = Path(tempfile.mkdtemp()) / "data"
        async with serving(made) as client:
            for name, text in TEXTS.items():
                await ingest(client, name, text)
            await client.post("/v1/query", json={"query": "refund window"})
            await asyncio.sleep(1)  # the background tasks of a start come to rest
        _made.append(made)
    shutil.copytree(_made[0], folder)
    return folder
