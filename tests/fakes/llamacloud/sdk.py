"""The SDK's two clients behind one face, so that one test runs on both."""

import inspect
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from llama_cloud import (
    AsyncLlamaCloud,
    DefaultAsyncHttpxClient,
    DefaultHttpxClient,
    LlamaCloud,
)
from tests.fakes.llamacloud.cloud import FakeLlamaCloud

# Reading the system's certificates for every client would take longer than the tests.
NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


async def settle(outcome: Any) -> Any:
    """The result of a call to either client."""
    return await outcome if inspect.isawaitable(outcome) else outcome


async def collect(outcome: Any) -> list[Any]:
    """Every item of every page of either client's list call."""
    if hasattr(outcome, "__aiter__"):
        return [item async for item in outcome]
    return list(outcome)


@asynccontextmanager
async def client_of(kind: str, fake: FakeLlamaCloud, **options: Any) -> AsyncIterator[Any]:
    """The `sync` or `async` client, strictly validating, without retries, closed at the end."""
    build = LlamaCloud if kind == "sync" else AsyncLlamaCloud
    http = DefaultHttpxClient if kind == "sync" else DefaultAsyncHttpxClient
    settings: dict[str, Any] = {"max_retries": 0, "timeout": 10.0} | options
    settings["http_client"] = http(verify=NO_CERTIFICATES)
    client = build(
        api_key=settings.pop("api_key", fake.api_key),
        base_url=fake.url,
        _strict_response_validation=True,
        **settings,
    )
    try:
        yield client
    finally:
        await settle(client.close())
