"""An OpenID Connect provider on a socket: publishes keys, counts who asks, signs tokens."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

AUDIENCE = "foliotrace"


@dataclass
class IdentityProvider:
    """`asked` counts requests for keys; while `is_down` each gets a 503."""

    url: str = ""
    keys: dict[str, Any] = field(default_factory=dict)  # private keys by id
    asked: int = 0
    is_down: bool = False

    def add_key(self, key_id: str, *, elliptic: bool = False) -> None:
        self.keys[key_id] = (
            ec.generate_private_key(ec.SECP256R1())
            if elliptic
            else rsa.generate_private_key(public_exponent=65537, key_size=2048)
        )

    def published(self) -> dict[str, Any]:
        found = []
        for key_id, key in self.keys.items():
            is_ec = isinstance(key, ec.EllipticCurvePrivateKey)
            kind = jwt.algorithms.ECAlgorithm if is_ec else jwt.algorithms.RSAAlgorithm
            found.append({**kind.to_jwk(key.public_key(), as_dict=True), "kid": key_id})
        return {"keys": found}

    def token(self, key_id: str = "one", *, algorithm: str = "RS256", **claims: Any) -> str:
        """A token for `claims`; None removes one of the usual claims."""
        now = int(time())
        usual = {"iss": self.url, "aud": AUDIENCE, "sub": "anna", "iat": now, "exp": now + 300}
        usual |= {"scope": "read ingest extract"} | claims
        body = {name: value for name, value in usual.items() if value is not None}
        return jwt.encode(body, self.keys[key_id], algorithm, headers={"kid": key_id})

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        body: dict[str, Any] = {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        if request.startswith(b"GET /keys"):
            self.asked += 1
            body = self.published()
        status = b"503 Down" if self.is_down else b"200 OK"
        sent = json.dumps(body).encode()
        head = b"HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
        writer.write(head % (status, len(sent)) + sent)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def identity_provider() -> AsyncIterator[IdentityProvider]:
    """A provider with the key `one`."""
    provider = IdentityProvider()
    provider.add_key("one")
    server = await asyncio.start_server(provider.answer, "127.0.0.1", 0)
    provider.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield provider
