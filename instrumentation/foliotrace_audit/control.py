"""Records the log writes about itself, and the tombstones of removed segments. Pure.

Their events hold a dot, which no audit event does.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

import orjson

from foliotrace_audit.chain import is_authentic, mac_of
from foliotrace_audit.errors import TombstoneForged
from foliotrace_audit.keys import AuditKeys, MacKey
from foliotrace_audit.record import dump
from foliotrace_audit.settings import DescribedEnum


class ControlEvent(DescribedEnum):
    """Events of the log's own records."""

    SEGMENT_OPENED = "segment.opened", "First record of a file: stream, segment, ids of its keys."
    SEGMENT_SEALED = "segment.sealed", "Last record of a file; `final` ends the stream."
    SEGMENT_EXPIRED = "segment.expired", "Retention removed a sealed file; its seal stays."
    KEY_ROTATED = "key.rotated", "New keys are used from the next file on: old and new ids."
    TAIL_RECOVERED = "tail.recovered", "A crashed stream was ended; size and SHA-256 of torn bytes."
    RECORDS_LOST = "records.lost", "Policy `continue` dropped records; `count` says how many."


def _record(event: ControlEvent, now: datetime, **fields: object) -> bytes:
    return dump({"event": event, "timestamp": now, **fields})


def segment_opened(stream: str, segment: int, keys: AuditKeys, now: datetime) -> bytes:
    """The first record of a segment.

    It binds the file to its place, so that an authentic file moved elsewhere is noticed, and names
    the chain key, so that a verifier with many keys need not try them all.
    """
    return _record(
        ControlEvent.SEGMENT_OPENED,
        now,
        stream=stream,
        segment=segment,
        chain_key_id=keys.chain.id,
        query_key_id=keys.query.id,
        sign_key_id=keys.sign.id,
        dev_key=keys.dev_key,
    )


def segment_sealed(segment: int, records: int, now: datetime, *, final: bool) -> bytes:
    """The last record of a segment, itself counted in `records`."""
    return _record(ControlEvent.SEGMENT_SEALED, now, segment=segment, records=records, final=final)


def key_rotated(old: AuditKeys, new: AuditKeys, now: datetime) -> bytes:
    """Old and new ids, written under the old chain key just before the seal.

    Under the old key, because only its holder may name a successor: otherwise an intruder could
    continue the log under a key of their own.
    """
    names = ("chain", "query", "sign")
    return _record(
        ControlEvent.KEY_ROTATED,
        now,
        old=dict(zip(names, old.ids, strict=True)),
        new=dict(zip(names, new.ids, strict=True)),
    )


def tail_recovered(by: str, segment: int, torn: bytes, now: datetime) -> bytes:
    """The bytes after the last whole record of a dead stream, as their size and hash.

    `by` is the stream of the process that recovered them.
    """
    return _record(
        ControlEvent.TAIL_RECOVERED,
        now,
        by=by,
        segment=segment,
        torn_bytes=len(torn),
        torn_sha256=hashlib.sha256(torn).hexdigest(),
    )


def records_lost(count: int, since: datetime, now: datetime) -> bytes:
    """How many records policy `continue` dropped between `since` and `now`."""
    return _record(ControlEvent.RECORDS_LOST, now, count=count, since=since)


def parse(line: bytes) -> dict[str, Any]:
    """A stored line as a mapping; empty if it is not a JSON object."""
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


# The chain key also signs records. With a prefix that no record begins with, a record's MAC can
# never be passed off as a tombstone's.
_DOMAIN = b"foliotrace-audit-expired\0"


_MAC_FIELD = b',"mac":"'


@dataclass(frozen=True, slots=True)
class Tombstone:
    """What retention leaves of a removed segment: its seal, and a MAC.

    Without it, a file that retention removed would look like one that an intruder removed. The MAC
    tells them apart: only a holder of the chain key can write it. The seal's own MAC is the `prev`
    of the next segment, so the chain still verifies across the gap.
    """

    stream: str
    segment: int
    first_seq: int
    first_prev: str
    last_seq: int
    seal_mac: str
    segment_key_id: str

    @classmethod
    def of(cls, stream: str, segment: int, opened: bytes, seal: bytes) -> "Tombstone":
        """The tombstone of a segment whose first line is `opened` and whose last is `seal`."""
        first, last = parse(opened), parse(seal)
        return cls(
            stream=stream,
            segment=segment,
            first_seq=first["seq"],
            first_prev=first["prev"],
            last_seq=last["seq"],
            seal_mac=last["mac"],
            segment_key_id=first["chain_key_id"],
        )

    def expired(self, now: datetime) -> bytes:
        """The record that retention removed the segment, for the stream of the process that did."""
        return _record(
            ControlEvent.SEGMENT_EXPIRED,
            now,
            stream=self.stream,
            segment=self.segment,
            first_seq=self.first_seq,
            last_seq=self.last_seq,
            seal_mac=self.seal_mac,
        )


def write_tombstone(
    stream: str, segment: int, opened: bytes, seal: bytes, keys: AuditKeys, now: datetime
) -> bytes:
    """Two lines: the seal as it was stored, and what was removed, under the chain key in use."""
    tombstone = Tombstone.of(stream, segment, opened, seal)
    body = _record(
        ControlEvent.SEGMENT_EXPIRED, now, **asdict(tombstone), chain_key_id=keys.chain.id
    )[:-1]
    mac = keys.chain.hmac().hex(_DOMAIN + body)
    return b'%b%b%b%b"}\n' % (seal, body, _MAC_FIELD, mac)


def claimed_tombstone(content: bytes) -> tuple[Tombstone, str]:
    """(what a tombstone's text claims, the id of the chain key that it names), unproved.

    Raises TombstoneForged where the text is no tombstone, whoever wrote it.
    """
    seal, _, note = content.partition(b"\n")
    value = parse(note)
    names: dict[str, type] = {field.name: str for field in fields(Tombstone)}
    names.update(segment=int, first_seq=int, last_seq=int, chain_key_id=str)
    if any(type(value.get(name)) is not kind for name, kind in names.items()):
        raise TombstoneForged("it is not what retention writes")
    claim = Tombstone(**{field.name: value[field.name] for field in fields(Tombstone)})
    sealed = parse(seal)
    if (
        sealed.get("event"),
        sealed.get("seq"),
        mac_of(seal + b"\n").decode("ascii", "replace"),
    ) != (
        ControlEvent.SEGMENT_SEALED,
        claim.last_seq,
        claim.seal_mac,
    ):
        raise TombstoneForged("its seal is not the segment's")
    return claim, value["chain_key_id"]


def read_tombstone(content: bytes, chain_keys: Mapping[str, MacKey]) -> Tombstone | None:
    """The tombstone; None if it was written under a key that is not among `chain_keys`.

    Raises TombstoneForged.
    """
    claim, key_id = claimed_tombstone(content)
    key = chain_keys.get(key_id)
    if key is None:
        return None
    seal, _, note = content.partition(b"\n")
    body, _, mac = note.rpartition(_MAC_FIELD)
    if mac != key.hmac().hex(_DOMAIN + body) + b'"}\n':
        raise TombstoneForged("no holder of the chain key removed the segment")
    segment_key = chain_keys.get(claim.segment_key_id)
    if segment_key is not None and not is_authentic(seal + b"\n", segment_key.hmac()):
        raise TombstoneForged("the seal is not authentic")
    return claim
