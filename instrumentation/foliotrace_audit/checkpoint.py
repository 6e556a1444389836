"""Signed checkpoints: the state of a stream at one moment, provable without any secret. Pure.

Each binds a record's MAC and the SHA-256 of its segment's bytes up to that record, so that an
auditor who holds only the public key can prove the file. Whoever holds checkpoints outside the
log's folder can prove that nothing before them was changed or removed, even by a holder of the
chain key.

A checkpoint leaves the host as an OTLP log record named `CHECKPOINT_EVENT`, whose attribute of the
same name is the signed line, and as a line of the JSON log. Both carry the line as it was signed,
so whoever holds either needs no conversion to verify.
"""

import base64
import binascii
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

import orjson

from foliotrace_audit.errors import CheckpointUnreadable
from foliotrace_audit.keys import SigningKey, VerifyKey
from foliotrace_audit.record import dump

_SIGNATURE_FIELD = b',"signature":"'
# Signed in front of every checkpoint, so that a signature the key makes for any other purpose can
# never be passed off as a checkpoint's.
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
        """SHA-256 of the line: the `prev` of the stream's next checkpoint."""
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


_TYPES = {f.name: f.type for f in fields(Checkpoint) if f.name != "line"}


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
        stated = {name: values[name] for name in _TYPES}
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointUnreadable("not a checkpoint line") from error
    for name, value in stated.items():
        if type(value) is not _TYPES[name]:  # not isinstance: True would pass as a number
            raise CheckpointUnreadable(f"checkpoint field {name} has a wrong type")
    return Checkpoint(**stated, line=text)


CHECKPOINT_EVENT: Final = "foliotrace.audit.checkpoint"
LOGGED_AS: Final = "audit.checkpoint"
EVENT_ATTRIBUTES: Final[Mapping[str, str]] = {
    "stream": "the stream's name",
    "segment": "the number of its file",
    "seq": "the last record that is proved",
    "final": "whether the stream ends there",
    "sign_key_id": "which key signed",
    "dev_key": "whether that is a development key",
}
"""Attributes beside the signed line in an event, named `foliotrace.audit.<name>`."""


def event_attributes(checkpoint: Checkpoint) -> dict[str, str | int | bool]:
    """`EVENT_ATTRIBUTES` of `checkpoint`."""
    return {f"foliotrace.audit.{name}": getattr(checkpoint, name) for name in EVENT_ATTRIBUTES}


def numbered_lines(lines: Sequence[bytes]) -> list[tuple[int, bytes]]:
    """(line number, signed line) for every checkpoint that `lines` of a file hold.

    Lines that are no JSON object are skipped in an exported log, where other programs may write
    too; in a file of bare checkpoints they are returned, to be reported as unreadable.
    """
    by_line = [signed_lines(line) for line in lines]
    is_exported = any(found != [line] for found, line in zip(by_line, lines, strict=True))
    return [
        (number, signed)
        for number, (found, line) in enumerate(zip(by_line, lines, strict=True), 1)
        if not is_exported or found != [line] or line.startswith(b"{")
        for signed in found
    ]


def signed_lines(line: bytes) -> list[bytes]:
    """The signed lines in one line of an export; `line` itself if it is not a known envelope.

    A batch of spans or metrics, or a log line about something else, holds none.
    """
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        return [line]
    if not isinstance(found, dict):
        return [line]
    if "resourceLogs" in found:
        return [text.encode() for text in _in_otlp(found)]
    if isinstance(found.get("event"), str):
        text = found.get("line") if found["event"] == LOGGED_AS else None
        return [text.encode()] if isinstance(text, str) else []
    return [] if "resourceSpans" in found or "resourceMetrics" in found else [line]


def _in_otlp(batch: dict[str, Any]) -> Iterator[str]:
    """The signed lines in one `LogsData` of OTLP JSON, as the collector's file exporter writes."""
    for resource in _dicts(batch.get("resourceLogs")):
        for scope in _dicts(resource.get("scopeLogs")):
            for record in _dicts(scope.get("logRecords")):
                for attribute in _dicts(record.get("attributes")):
                    value = attribute.get("value")
                    if attribute.get("key") == CHECKPOINT_EVENT and isinstance(value, dict):
                        text = value.get("stringValue")
                        yield text if isinstance(text, str) else ""


def _dicts(found: object) -> list[dict[str, Any]]:
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
