"""Signed checkpoints: what stood in a stream at one moment, provable without any secret. Pure.

Each binds a record's MAC and the SHA-256 of its segment's bytes up to that record, so that an
auditor who holds only the public key can prove the file. Whoever holds checkpoints outside the
log's folder can prove that nothing before them was changed or removed, even by a holder of the
chain key.
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass
from datetime import datetime

import orjson

from foliotrace_audit.errors import CheckpointUnreadable
from foliotrace_audit.keys import SigningKey, VerifyKey
from foliotrace_audit.record import dump

_SIGNATURE_FIELD = b',"signature":"'
_DOMAIN = b"foliotrace-audit-checkpoint\0"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of `stream` right after record `seq`, the last of `segment_bytes` in `segment`.

    `head` is that record's MAC; `final` says that the stream ends there. `prev` is the SHA-256 of
    the stream's checkpoint before it (empty for the first). `line` is the exact signed text.
    """

    stream: str
    segment: int
    seq: int
    head: str
    segment_bytes: int
    segment_sha256: str
    final: bool
    timestamp: str
    dev_key: bool
    sign_key_id: str
    prev: str
    line: str

    def digest(self) -> str:
        """What the next checkpoint of the stream carries as `prev`."""
        return hashlib.sha256(self.line.encode()).hexdigest()

    def signed_by(self, key: VerifyKey) -> bool:
        """Whether `key` signed exactly this line."""
        line = self.line.encode()
        body, _, rest = line.rpartition(_SIGNATURE_FIELD)
        try:
            signature = base64.b64decode(rest[:-2], validate=True)
        except binascii.Error:
            return False
        return key.accepts(signature, _DOMAIN + body)


_TYPES = {
    "stream": str, "segment": int, "seq": int, "head": str, "segment_bytes": int,
    "segment_sha256": str, "final": bool, "timestamp": str, "dev_key": bool, "sign_key_id": str,
    "prev": str,
}  # fmt: skip
_FIELDS = tuple(_TYPES)


def sign_checkpoint(
    key: SigningKey,
    *,
    stream: str,
    segment: int,
    seq: int,
    head: bytes,
    segment_bytes: int,
    segment_sha256: str,
    final: bool,
    timestamp: datetime,
    dev_key: bool,
    prev: str,
) -> Checkpoint:
    """A checkpoint by `key`: Ed25519 over a domain prefix and the bytes before `signature`."""
    body = dump(
        {
            "v": 1,
            "stream": stream,
            "segment": segment,
            "seq": seq,
            "head": head.decode(),
            "segment_bytes": segment_bytes,
            "segment_sha256": segment_sha256,
            "final": final,
            "timestamp": timestamp,
            "dev_key": dev_key,
            "sign_key_id": key.id,
            "prev": prev,
        }
    )[:-1]
    signature = base64.b64encode(key.private.sign(_DOMAIN + body))
    return read_checkpoint(b'%b%b%b"}' % (body, _SIGNATURE_FIELD, signature))


def read_checkpoint(line: bytes) -> Checkpoint:
    """The checkpoint on `line`. Raises CheckpointUnreadable; the signature is not checked here."""
    try:
        text = line.strip().decode()
        values = orjson.loads(text)
        fields = {name: values[name] for name in _FIELDS}
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointUnreadable("not a checkpoint line") from error
    for name, value in fields.items():
        if type(value) is not _TYPES[name]:
            raise CheckpointUnreadable(f"checkpoint field {name} is not {_TYPES[name].__name__}")
    return Checkpoint(**fields, line=text)
