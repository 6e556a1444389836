"""The SDK's client as we want it: strict, without its own retries, at a normalised address."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, TypeAlias
from urllib.parse import urlsplit

import httpx
from llama_cloud import AsyncLlamaCloud, DefaultAsyncHttpxClient

from foliotrace.errors import Misconfigured

REGIONS: Final = {
    "us": "https://api.cloud.llamaindex.ai",
    "eu": "https://api.cloud.eu.llamaindex.ai",
}

BeforeRequest: TypeAlias = Callable[[httpx.Request], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudAccess:
    """How to reach LlamaCloud. `where` is a region ("us", "eu") or a base URL.

    `before_request` sees every request before it is sent, redirected ones too.
    """

    api_key: str = field(repr=False)
    where: str = "us"
    project_id: str | None = None
    organization_id: str | None = None
    timeout_s: float = 60.0
    before_request: BeforeRequest | None = None


def base_url(where: str) -> str:
    """The base URL of a region or an address; the vendor's pages give one without a scheme.

    Raises Misconfigured when it is neither.
    """
    given = where.strip().rstrip("/")
    if given.lower() in REGIONS:
        return REGIONS[given.lower()]
    url = given if "://" in given else f"https://{given}"
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or ("." not in host and host != "localhost"):
        raise Misconfigured(
            f"llamacloud.where is neither a region ({', '.join(REGIONS)}) nor a URL",
            hint="Set it to eu, us or https://...",
        )
    return url


def connect(access: CloudAccess) -> AsyncLlamaCloud:
    """A client for one event loop. Every request is made once; replies must have their shape."""
    hooks = [access.before_request] if access.before_request is not None else []
    return AsyncLlamaCloud(
        api_key=access.api_key,
        base_url=base_url(access.where),
        max_retries=0,
        timeout=access.timeout_s,
        http_client=DefaultAsyncHttpxClient(event_hooks={"request": hooks}),
        _strict_response_validation=True,
    )
