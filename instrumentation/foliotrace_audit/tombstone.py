"""Tombstones: what retention leaves of a removed segment, its seal and a MAC. Pure.

Without one, a file that retention removed would look like a file that an intruder removed. The MAC
is what tells them apart: only a holder of the chain key can write it. The seal's own MAC is the
`prev` of the next segment, so the chain still verifies across the gap.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from foliotrace_audit import control
from foliotrace_audit.chain import is_authentic, mac_of
from foliotrace_audit.errors import TombstoneForged
from foliotrace_audit.keys import AuditKeys, MacKey
from foliotrace_audit.record import dump

# The chain key also signs records. With a prefix that no record begins with, a record's MAC can
# never be passed off as a tombstone's.
_DOMAIN = b"foliotrace-audit-expired\0"
_MAC_FIELD = b',"mac":"'


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A removed segment: its records, and the MACs that the chain goes through."""

    stream: str
    segment: int
    first_seq: int
    first_prev: str
    last_seq: int
    seal_mac: str
    chain_key_id: str


def write_tombstone(
    stream: str, segment: int, opened: bytes, seal: bytes, keys: AuditKeys, now: datetime
) -> bytes:
    """Two lines: the seal as it was stored, and what was removed, under the chain key in use.

    `opened` and `seal` are the segment's first and last line.
    """
    first, last = control.parse(opened), control.parse(seal)
    body = dump(
        {
            "event": control.ControlEvent.SEGMENT_EXPIRED,
            "timestamp": now,
            "stream": stream,
            "segment": segment,
            "first_seq": first["seq"],
            "first_prev": first["prev"],
            "last_seq": last["seq"],
            "seal_mac": last["mac"],
            "segment_key_id": first["chain_key_id"],
            "chain_key_id": keys.chain.id,
        }
    )[:-1]
    mac = keys.chain.hmac().hex(_DOMAIN + body)
    return b'%b%b%b%b"}\n' % (seal, body, _MAC_FIELD, mac)


def read_tombstone(content: bytes, chain_keys: Mapping[str, MacKey]) -> Tombstone | None:
    """The tombstone; None if it was written under a key that is not among `chain_keys`.

    Raises TombstoneForged.
    """
    seal, _, note = content.partition(b"\n")
    seal += b"\n"
    value = control.parse(note)
    key = chain_keys.get(str(value.get("chain_key_id")))
    if key is None:
        return None
    body, _, mac = note.rpartition(_MAC_FIELD)
    if (
        mac != key.hmac().hex(_DOMAIN + body) + b'"}\n'
        or mac_of(seal).decode() != value["seal_mac"]
    ):
        raise TombstoneForged("no holder of the chain key removed the segment")
    segment_key = chain_keys.get(value["segment_key_id"])
    if segment_key is not None and not is_authentic(seal, segment_key.hmac()):
        raise TombstoneForged("the seal is not authentic")
    return Tombstone(
        stream=value["stream"],
        segment=value["segment"],
        first_seq=value["first_seq"],
        first_prev=value["first_prev"],
        last_seq=value["last_seq"],
        seal_mac=value["seal_mac"],
        chain_key_id=value["segment_key_id"],
    )
