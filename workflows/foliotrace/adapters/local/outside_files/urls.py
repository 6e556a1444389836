"""Fetches files from allowed hosts, never from an address inside the network we run in.

A name is resolved once, every address it has is checked, and the connection goes to the checked
address: a second look-up by the HTTP client could return another one. Each redirect is checked as
the first URL was.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import PurePosixPath
from typing import Final, TypeAlias
from urllib.parse import unquote

import httpx

from foliotrace.catalog import ErrorCode
from foliotrace.errors import DeadlineExceeded, NotAllowed, NotFound, SourceUnavailable
from foliotrace.ports import OutsideFile
from foliotrace.settings import OutsideFileSettings

Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
"""(host, port) -> its addresses. Raises OSError."""

_MAX_REDIRECTS: Final = 5
_PORTS: Final = {"http": 80, "https": 443}
_NAT64: Final = ip_network("64:ff9b::/96")
_UNKNOWN: Final = (404, 410)


async def _resolve(host: str, port: int) -> Sequence[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


class AllowedHosts:
    """The hosts whose files may be ingested: `name` or `name:port`."""

    def __init__(self, settings: OutsideFileSettings, resolve: Resolve = _resolve) -> None:
        self._hosts = {each.lower() for each in settings.url_hosts}
        self._private = [ip_network(each, strict=False) for each in settings.private_networks]
        self._limit_s = settings.fetch_s
        self._resolve = resolve

    @asynccontextmanager
    async def fetch(self, url: str) -> AsyncIterator[OutsideFile]:
        """The file behind `url`, redirects followed.

        Raises NotAllowed `source_not_allowed`, NotFound `source_not_found`, SourceUnavailable,
        DeadlineExceeded.
        """
        try:
            async with asyncio.timeout(self._limit_s):
                # trust_env: a proxy would resolve the name again
                async with httpx.AsyncClient(
                    trust_env=False, timeout=self._limit_s, verify=ssl.create_default_context()
                ) as client:
                    answer = await self._get(client, url)
                    try:
                        yield OutsideFile(name=_name_of(url), content=answer.aiter_bytes())
                    finally:
                        await answer.aclose()
        except httpx.HTTPError as error:
            raise SourceUnavailable() from error
        except TimeoutError:
            raise DeadlineExceeded("The file was not fetched in time.") from None

    async def _get(self, client: httpx.AsyncClient, url: str) -> httpx.Response:
        target = _parsed(url)
        for _ in range(_MAX_REDIRECTS + 1):
            request = await self._request(client, target)
            answer = await client.send(request, stream=True)
            if answer.is_success:
                return answer
            await answer.aclose()
            location = answer.headers.get("location")
            if not (answer.is_redirect and location):
                if answer.status_code in _UNKNOWN:
                    raise NotFound(code=ErrorCode.SOURCE_NOT_FOUND)
                raise SourceUnavailable(f"The host answered {answer.status_code}.")
            target = _parsed(str(target.join(location)))
        raise SourceUnavailable("Too many redirects.")

    async def _request(self, client: httpx.AsyncClient, target: httpx.URL) -> httpx.Request:
        """A request to a checked address of the URL's host."""
        host, port = target.host.rstrip(".").lower(), target.port or _PORTS[target.scheme]
        named = f"{host}:{port}"
        is_default = port == _PORTS[target.scheme]
        if not (named in self._hosts or (is_default and host in self._hosts)):
            raise _refused("The host is not on the list of allowed hosts.")
        try:
            addresses = await self._resolve(host, port)
        except OSError as error:
            raise SourceUnavailable() from error
        if not addresses or not all(self._may_connect(each) for each in addresses):
            raise _refused("The host has an address inside a private network.")
        return client.build_request(
            "GET",
            target.copy_with(host=addresses[0]),
            headers={"Host": target.netloc.decode("ascii"), "Accept-Encoding": "identity"},
            extensions={"sni_hostname": host},
        )

    def _may_connect(self, text: str) -> bool:
        address = ip_address(text.partition("%")[0])
        if any(address in network for network in self._private):
            return True
        return all(each.is_global and not each.is_multicast for each in _meant_by(address))


def _meant_by(address: IPv4Address | IPv6Address) -> Sequence[IPv4Address | IPv6Address]:
    """The address and the IPv4 addresses inside it, which a translator would connect to."""
    if isinstance(address, IPv4Address):
        return [address]
    inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64:
        inner.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return [address if address.ipv4_mapped is None else address.ipv4_mapped, *filter(None, inner)]


def _parsed(url: str) -> httpx.URL:
    try:
        target = httpx.URL(url)
    except httpx.InvalidURL:
        raise _refused("This is no URL.") from None
    if target.scheme not in _PORTS or not target.host or target.userinfo:
        raise _refused("Only http and https URLs without a password are fetched.")
    return target


def _refused(why: str) -> NotAllowed:
    return NotAllowed(why, code=ErrorCode.SOURCE_NOT_ALLOWED)


def _name_of(url: str) -> str:
    """The last part of the path, as a name for the document."""
    target = httpx.URL(url)
    return unquote(PurePosixPath(target.path).name) or target.host
