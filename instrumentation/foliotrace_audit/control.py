"""Records the log writes about itself. Their events hold a dot, which no audit event does. Pure."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from foliotrace_audit.keys import AuditKeys
from foliotrace_audit.record import dump

SEGMENT_OPENED = "segment.opened"
SEGMENT_SEALED = "segment.sealed"
SEGMENT_EXPIRED = "segment.expired"
KEY_ROTATED = "key.rotated"
TAIL_RECOVERED = "tail.recovered"
RECORDS_LOST = "records.lost"

CONTROL_EVENTS: Mapping[str, str] = {
    SEGMENT_OPENED: "First record of a file: stream, segment, ids of the keys in use, `dev_key`.",
    SEGMENT_SEALED: "Last record of a file: its number and record count; `final` ends the stream.",
    SEGMENT_EXPIRED: "Retention removed a sealed file of this or another stream; its seal stays.",
    KEY_ROTATED: "New keys follow from the next file on: old and new ids.",
    TAIL_RECOVERED: "A later writer ended a crashed stream; size and SHA-256 of a torn tail.",
    RECORDS_LOST: "Policy `continue` dropped this many records while the disk refused them.",
}


def segment_opened(stream: str, segment: int, keys: AuditKeys, now: datetime) -> bytes:
    """The first record of a segment: binds the file to its place and its keys."""
    return dump(
        {
            "event": SEGMENT_OPENED,
            "timestamp": now,
            "stream": stream,
            "segment": segment,
            "chain_key_id": keys.chain.id,
            "query_key_id": keys.query.id,
            "sign_key_id": keys.sign.id,
            "dev_key": keys.dev_key,
        }
    )


def segment_sealed(segment: int, records: int, now: datetime, *, final: bool) -> bytes:
    """The last record of a segment, itself counted in `records`."""
    return dump(
        {
            "event": SEGMENT_SEALED,
            "timestamp": now,
            "segment": segment,
            "records": records,
            "final": final,
        }
    )


def key_rotated(old: AuditKeys, new: AuditKeys, now: datetime) -> bytes:
    """Old and new ids, written under the old chain key just before the seal."""
    names = ("chain", "query", "sign")
    return dump(
        {
            "event": KEY_ROTATED,
            "timestamp": now,
            "old": dict(zip(names, old.ids, strict=True)),
            "new": dict(zip(names, new.ids, strict=True)),
        }
    )


def tail_recovered(by: str, segment: int, torn: bytes, now: datetime) -> bytes:
    """What was found behind the last whole record of a stream whose writer had died."""
    return dump(
        {
            "event": TAIL_RECOVERED,
            "timestamp": now,
            "by": by,
            "segment": segment,
            "torn_bytes": len(torn),
            "torn_sha256": hashlib.sha256(torn).hexdigest(),
        }
    )


def records_lost(count: int, since: datetime, now: datetime) -> bytes:
    """How many records policy `continue` dropped between `since` and `now`."""
    return dump({"event": RECORDS_LOST, "timestamp": now, "count": count, "since": since})


def segment_expired(
    stream: str, segment: int, first_seq: int, last_seq: int, seal_mac: str, now: datetime
) -> bytes:
    """That retention removed a file, and what proves that it was sealed."""
    return dump(
        {
            "event": SEGMENT_EXPIRED,
            "timestamp": now,
            "stream": stream,
            "segment": segment,
            "first_seq": first_seq,
            "last_seq": last_seq,
            "seal_mac": seal_mac,
        }
    )


def parse(line: bytes) -> dict[str, Any]:
    """A stored line as a mapping; empty if it is no JSON object."""
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}
