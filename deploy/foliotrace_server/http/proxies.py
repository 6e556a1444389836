"""Reverse proxies whose word is taken: who the client is, and what it asked for.

Headers named `X-Forwarded-*` count only on connections from a listed address; on every other one
they are what any client may write.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from starlette.types import Scope


@dataclass(frozen=True, slots=True)
class Peer:
    """Who opened the connection, and whether its headers may name somebody else."""

    address: str | None
    is_trusted: bool


class TrustedProxies:
    """The addresses and networks of the operator's proxies."""

    def __init__(self, addresses: Iterable[str] = ()) -> None:
        self._networks = tuple(ip_network(each, strict=False) for each in addresses)

    def trusts(self, address: str | None) -> bool:
        """Whether the address is a listed proxy's."""
        if address is None or not self._networks:
            return False
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        mapped = getattr(parsed, "ipv4_mapped", None)
        return any((mapped or parsed) in network for network in self._networks)

    def peer(self, scope: Scope) -> Peer:
        """Who opened this connection."""
        client = scope.get("client")
        address = client[0] if client else None
        return Peer(address, self.trusts(address))

    def as_forwarded(self, scope: Scope) -> Scope:
        """The request as the client sent it to the first of our proxies."""
        reported = {name: value.decode("latin-1") for name, value in scope["headers"]}
        changed = dict(scope)
        hops = [
            hop.strip() for hop in reported.get(b"x-forwarded-for", "").split(",") if hop.strip()
        ]
        for hop in reversed(hops):  # the last one that is not ours; those before it are hearsay
            changed["client"] = (hop, 0)
            if not self.trusts(hop):
                break
        if reported.get(b"x-forwarded-proto") in ("http", "https"):
            changed["scheme"] = reported[b"x-forwarded-proto"]
        host = reported.get(b"x-forwarded-host", "")
        if host and "," not in host:
            others = [(name, value) for name, value in scope["headers"] if name != b"host"]
            changed["headers"] = [(b"host", host.encode("latin-1")), *others]
        return changed
