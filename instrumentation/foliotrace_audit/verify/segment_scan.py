"""Scans one segment file against its key and its checkpoints. No state; safe in any process.

A sound record costs one prefix comparison and one MAC: its JSON is not parsed. Only the first line
that is not as expected is examined, to say what was done to the file.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from foliotrace_audit import control
from foliotrace_audit.chain import HmacSha256, head, is_authentic, mac_of
from foliotrace_audit.control import ControlEvent
from foliotrace_audit.record import MAX_LINE_BYTES
from foliotrace_audit.verify.verdict import TamperKind

# The log's own records are parsed, because the rules need their fields; audit records are not.
_CONTROL_PREFIXES = (
    b'"event":"segment.',
    b'"event":"key.',
    b'"event":"tail.',
    b'"event":"records.',
)


@dataclass(frozen=True, slots=True)
class ScanTask:
    """A segment file, and its chain key's secret if known.

    `wanted_sizes` are the lengths (bytes from the start) that checkpoints state a SHA-256 of.
    """

    path: Path
    secret: bytes | None
    wanted_sizes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SegmentFault:
    """The first place where a segment is not what its key holder wrote."""

    kind: TamperKind
    seq: int
    detail: str


@dataclass(frozen=True, slots=True)
class Scan:
    """What a segment holds up to its first problem.

    `hashes` maps each wanted length to the SHA-256 of that much of the file.
    """

    first_seq: int
    first_prev: str
    last_seq: int
    head: str
    records: int
    controls: tuple[Mapping[str, Any], ...]
    hashes: Mapping[int, str]
    torn_bytes: int
    problem: SegmentFault | None

    @property
    def opened(self) -> Mapping[str, Any]:
        """The first record if it is a proper one, else empty."""
        first = self.controls[0] if self.controls else {}
        is_proper = first.get("event") == ControlEvent.SEGMENT_OPENED
        return first if is_proper and first["seq"] == self.first_seq else {}

    @property
    def sealed(self) -> Mapping[str, Any]:
        """The seal, if the segment has one, else empty."""
        last = self.controls[-1] if self.controls else {}
        return last if last.get("event") == ControlEvent.SEGMENT_SEALED else {}


def scan_segment(task: ScanTask) -> Scan:
    """Walk the whole chain of one file in constant memory. Raises OSError."""
    hmac = HmacSha256(task.secret) if task.secret is not None else None
    with task.path.open("rb", buffering=1 << 20) as file:
        # Taken as claimed: whether the file follows the one before it is checked later, when both
        # are known, so that segments can be scanned in any order.
        first_seq, first_prev = _first_link(file.readline(MAX_LINE_BYTES))
        file.seek(0)
        walk = _Walk(first_seq, first_prev)
        problem = walk.run(file, hmac)
        hashes = _hash_prefixes(file, task.wanted_sizes)
    return Scan(
        first_seq=first_seq,
        first_prev=first_prev.decode("ascii", "replace"),
        last_seq=walk.seq - 1,
        head=walk.prev.decode("ascii", "replace"),
        records=walk.seq - first_seq,
        controls=tuple(walk.controls),
        hashes=hashes,
        torn_bytes=walk.torn_bytes,
        problem=problem,
    )


class _Walk:
    """Position in a segment while it is read: the next sequence number, and the MAC before it."""

    def __init__(self, seq: int, prev: bytes) -> None:
        self.seq = seq
        self.prev = prev
        self.controls: list[dict[str, Any]] = []
        self.torn_bytes = 0

    def run(self, file: BinaryIO, hmac: HmacSha256 | None) -> SegmentFault | None:
        """Read to the end or the first problem."""
        seq, prev, readline = self.seq, self.prev, file.readline
        problem = None
        while line := readline(MAX_LINE_BYTES):
            start = head(seq, prev)
            if not (line.startswith(start) and _is_genuine(line, hmac)):
                if not line.endswith(b"\n") and len(line) < MAX_LINE_BYTES:
                    self.torn_bytes = len(line)  # a crash, or a living writer: not tampering
                else:
                    problem = _diagnose(line, seq, prev, file, hmac)
                break
            prev = mac_of(line)
            if line.startswith(_CONTROL_PREFIXES, len(start)):
                self.controls.append(control.parse(line))
            seq += 1
        self.seq, self.prev = seq, prev
        return problem


def _first_link(line: bytes) -> tuple[int, bytes]:
    """(seq, prev) that the first record claims; (0, b"") for a line that is no record."""
    record = control.parse(line)
    seq, prev = record.get("seq"), record.get("prev")
    if type(seq) is int and seq >= 0 and isinstance(prev, str):
        return seq, prev.encode()
    return 0, b""


def _diagnose(
    line: bytes, seq: int, prev: bytes, rest: BinaryIO, hmac: HmacSha256 | None
) -> SegmentFault:
    """Name what is wrong with `line`, which should be record `seq`."""
    if not _is_genuine(line, hmac):
        # Before authentic records it was one of them; at the end it may never have been one.
        if any(_is_genuine(later, hmac) for later in _lines(rest)):
            return SegmentFault(TamperKind.EDITED, seq, "the record does not match its MAC")
        return SegmentFault(
            TamperKind.FORGED, seq, "the last record was changed or added without the key"
        )
    found, _ = _first_link(line)
    if found < seq:
        return SegmentFault(TamperKind.REPEATED, seq, f"record {found} is repeated here")
    if found == seq:
        return SegmentFault(
            TamperKind.FOREIGN, seq, "an authentic record that does not follow the one before"
        )
    for later in _lines(rest):
        if _first_link(later)[0] == seq and _is_genuine(later, hmac):
            return SegmentFault(TamperKind.REORDERED, seq, f"record {found} comes before it")
    return SegmentFault(TamperKind.DROPPED, seq, f"records {seq} to {found - 1} are missing")


def _is_genuine(line: bytes, hmac: HmacSha256 | None) -> bool:
    """Whether it is authentic; without a key, only whether it has the form of a record."""
    if hmac is not None:
        return is_authentic(line, hmac)
    return line[-75:-67] == b',"mac":"' and line.endswith(b'"}\n')


def _lines(file: BinaryIO) -> Iterator[bytes]:
    while line := file.readline(MAX_LINE_BYTES):
        yield line


def _hash_prefixes(file: BinaryIO, sizes: tuple[int, ...]) -> dict[int, str]:
    """SHA-256 of the file's first `size` bytes for each size; sizes beyond its end are left out."""
    file.seek(0)
    hashes: dict[int, str] = {}
    digest, done = hashlib.sha256(), 0
    for size in sorted(set(sizes)):
        while done < size:
            piece = file.read(min(size - done, 1 << 20))
            if not piece:
                return hashes
            digest.update(piece)
            done += len(piece)
        hashes[size] = digest.hexdigest()
    return hashes
