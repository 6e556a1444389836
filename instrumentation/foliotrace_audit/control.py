"""Records the log writes about itself. Their events hold a dot, which no audit event does. Pure."""

import hashlib
from datetime import datetime
from typing import Any

import orjson

from foliotrace_audit.keys import AuditKeys
from foliotrace_audit.record import dump
from foliotrace_audit.settings import DescribedEnum


class ControlEvent(DescribedEnum):
    """What the log says about itself."""

    SEGMENT_OPENED = (
        "segment.opened",
        "First record of a file: stream, segment, ids of the keys in use, `dev_key`.",
    )
    SEGMENT_SEALED = (
        "segment.sealed",
        "Last record of a file: its number and record count; `final` ends the stream.",
    )
    SEGMENT_EXPIRED = (
        "segment.expired",
        "Retention removed a sealed file of this or another stream; its seal stays.",
    )
    KEY_ROTATED = "key.rotated", "New keys are used from the next file on: old and new ids."
    TAIL_RECOVERED = (
        "tail.recovered",
        "A later writer ended a crashed stream; size and SHA-256 of a torn tail.",
    )
    RECORDS_LOST = (
        "records.lost",
        "Policy `continue` dropped this many records while the disk failed.",
    )


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


def segment_expired(
    stream: str, segment: int, first_seq: int, last_seq: int, seal_mac: str, now: datetime
) -> bytes:
    """Retention removed a file: which records it held, and the MAC of its seal."""
    return _record(
        ControlEvent.SEGMENT_EXPIRED,
        now,
        stream=stream,
        segment=segment,
        first_seq=first_seq,
        last_seq=last_seq,
        seal_mac=seal_mac,
    )


def parse(line: bytes) -> dict[str, Any]:
    """A stored line as a mapping; empty if it is not a JSON object."""
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}
