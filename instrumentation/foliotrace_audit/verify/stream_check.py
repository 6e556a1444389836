"""The rules that one stream must satisfy, applied to its scans. Pure but for the kept torn tails.

The chain proves that nothing inside it was changed; a checkpoint proves in addition that nothing up
to it was removed, and proves it against holders of the chain key too. Only checkpoints from outside
count: those in the stream's own folder can be deleted with the records they prove. They are checked
all the same, because one that contradicts its file is a finding.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from foliotrace_audit.chain import GENESIS
from foliotrace_audit.checkpoint import Checkpoint
from foliotrace_audit.control import ControlEvent, Tombstone
from foliotrace_audit.files import torn_path
from foliotrace_audit.keys import VerifyKey
from foliotrace_audit.verify.segment_scan import Scan
from foliotrace_audit.verify.stream_reading import StreamReading
from foliotrace_audit.verify.verdict import StreamVerdict, TamperFinding, TamperKind

Part = Scan | Tombstone | None
"""A segment: scanned, removed by retention, or with a tombstone that no known key wrote (None)."""


def check_stream(
    reading: StreamReading,
    scans: Mapping[Path, Scan],
    external: Sequence[Checkpoint],
    public_keys: Mapping[str, VerifyKey],
    announced: Collection[str],
) -> StreamVerdict:
    """The verdict on one stream, by its files and by the checkpoints about it.

    `announced`: ids of the chain keys that the log's records name.
    """
    parts: dict[int, Part] = dict(reading.tombstones)
    parts.update({number: scans[path] for number, path in reading.segments.items()})
    check = _StreamCheck(reading, dict(sorted(parts.items())), public_keys)
    check.findings.extend(reading.findings)
    check.claims(announced)
    check.chain()
    for checkpoint in reading.local:
        check.checkpoint(checkpoint)
    proving = [c for c in external if check.checkpoint(c) and not c.dev_key]
    return check.verdict(external, proving)


class _StreamCheck:
    """Collects the findings and notes of one stream."""

    def __init__(
        self,
        reading: StreamReading,
        parts: Mapping[int, Part],
        public_keys: Mapping[str, VerifyKey],
    ) -> None:
        self.findings: list[TamperFinding] = []
        self._notes = dict.fromkeys(reading.notes)
        self._reading = reading
        self._parts = parts
        self._public_keys = public_keys
        self._covered: dict[int, int] = {}  # segment: last record under a checkpoint that holds
        self._signed: dict[str, bool] = {}

    def chain(self) -> None:
        """Check every part, and that each follows the one before it."""
        before: Part = None
        last = max(self._parts, default=-1)
        for number in range(last + 1):  # from 0: the first file may be the one that is missing
            part = self._parts.get(number)
            if number not in self._parts:
                self._find(TamperKind.MISSING_SEGMENT, number, None, "no file and no tombstone")
            elif isinstance(part, Scan):
                self._scanned(number, part, is_last=number == last)
            elif isinstance(part, Tombstone):
                self._notes[f"segment {number} was removed by retention"] = None
                if (part.stream, part.segment) != (self._reading.name, number):
                    self._find(TamperKind.FOREIGN, number, None, "a tombstone of another segment")
            if part is None and number in self._reading.claims:
                part = self._reading.claims[number][0]
            if number == 0 or before is not None:
                self._follows(number, before, part)
            before = part

    def claims(self, announced: Collection[str]) -> None:
        """Refuse tombstones under a key that the log never had: nobody but a forger uses one."""
        for number, (_, key_id) in self._reading.claims.items():
            if key_id not in announced:
                detail = f"its tombstone names the chain key {key_id}, which the log never had"
                self._find(TamperKind.MISSING_SEGMENT, number, None, detail)

    def checkpoint(self, checkpoint: Checkpoint) -> bool:
        """Whether a known key signed it and it agrees with the files; records findings if not."""
        key = self._public_keys.get(checkpoint.sign_key_id)
        number, seq = checkpoint.segment, checkpoint.seq
        if key is None:
            self._notes[f"no public key {checkpoint.sign_key_id} to check its checkpoints"] = None
            return False
        if checkpoint.line not in self._signed:  # the local and the outside copy are often equal
            self._signed[checkpoint.line] = checkpoint.signed_by(key)
        if not self._signed[checkpoint.line]:
            self._find(TamperKind.BAD_SIGNATURE, number, seq, "the checkpoint's signature is wrong")
            return False
        if checkpoint.stream != self._reading.name:
            self._find(TamperKind.FOREIGN, number, seq, f"a checkpoint of {checkpoint.stream}")
            return False
        part = self._parts.get(number)
        if isinstance(part, Tombstone):
            if seq == part.last_seq and checkpoint.head != part.seal_mac:
                self._find(TamperKind.CHECKPOINT_MISMATCH, number, seq, "the seal is another one")
            return seq == part.last_seq and checkpoint.head == part.seal_mac
        if isinstance(part, Scan):
            return self._agrees(checkpoint, part)
        if number in self._reading.claims:
            claim = self._reading.claims[number][0]
            if seq > claim.last_seq or (
                seq == claim.last_seq and checkpoint.head != claim.seal_mac
            ):
                self._find(TamperKind.CHECKPOINT_MISMATCH, number, seq, "the seal is another one")
        if number > max(self._parts, default=-1):
            self._truncated(number, self._last_seq, checkpoint)
        return False

    def verdict(
        self, external: Sequence[Checkpoint], proving: Sequence[Checkpoint]
    ) -> StreamVerdict:
        """The verdict; `proving` are the checkpoints of `external` that hold."""
        doubts = []
        if any(c.dev_key for c in (*external, *self._reading.local)):
            if proving:  # chained to what the real keys signed
                self._notes["development keys signed its beginning"] = None
            else:
                doubts.append("development keys signed it")
        elif not proving:
            doubts.append("no outside checkpoint covers it")
        scans = {n: part for n, part in self._parts.items() if isinstance(part, Scan)}
        complete = any(c.final and c.seq == self._last_seq for c in proving)
        unchecked = [number for number in self._parts if not self._is_authentic(number)]
        for number in unchecked:
            self._notes[f"no chain key for segment {number}, and no checkpoint at its end"] = None
        return StreamVerdict(
            stream=self._reading.name,
            records=sum(scan.records for scan in scans.values()),
            last_seq=self._last_seq,
            proved_seq=max((c.seq for c in proving), default=None),
            is_complete=complete,
            is_authentic=not unchecked,
            is_live=self._reading.is_live,
            findings=tuple(self.findings),
            doubts=tuple(doubts),
            notes=tuple(self._notes),
        )

    @property
    def _last_seq(self) -> int:
        return max((part.last_seq for part in self._parts.values() if part), default=-1)

    def _is_authentic(self, number: int) -> bool:
        part = self._parts[number]
        if part is None:
            return False
        known = isinstance(part, Tombstone) or self._reading.keys[number] is not None
        return known or self._covered.get(number) == part.last_seq

    def _scanned(self, number: int, scan: Scan, *, is_last: bool) -> None:
        problem = scan.problem
        if problem is not None:
            self._find(problem.kind, number, problem.seq, problem.detail)
            return
        if scan.records:
            self._opened(number, scan)
        seals = [c for c in scan.controls if c["event"] == ControlEvent.SEGMENT_SEALED]
        if any(seal["seq"] != scan.last_seq for seal in seals):
            self._find(TamperKind.FORGED, number, seals[0]["seq"] + 1, "records follow the seal")
        elif seals and seals[0]["records"] != scan.records:
            self._find(TamperKind.DROPPED, number, scan.first_seq, "the seal counts other records")
        elif seals and scan.torn_bytes:
            self._find(TamperKind.FORGED, number, scan.last_seq + 1, "bytes follow the seal")
        elif not is_last and not seals:  # a final seal may be followed: the stream was resumed
            self._find(
                TamperKind.UNSEALED, number, scan.last_seq + 1, "the segment has no proper seal"
            )
        elif scan.torn_bytes and not self._reading.is_live:
            note = f"{scan.torn_bytes} torn bytes behind record {scan.last_seq}; not recovered yet"
            self._notes[note] = None
        self._controls(number, scan)

    def _opened(self, number: int, scan: Scan) -> None:
        place = (scan.opened.get("stream"), scan.opened.get("segment"))
        if place != (self._reading.name, number):
            self._find(TamperKind.FOREIGN, number, scan.first_seq, "the file belongs elsewhere")

    def _controls(self, number: int, scan: Scan) -> None:
        for record in scan.controls:
            if record["event"] == ControlEvent.RECORDS_LOST:
                self._notes[f"{record['count']} records lost at {record['timestamp']}"] = None
            if record["event"] == ControlEvent.TAIL_RECOVERED:
                self._kept_tail(number, record)

    def _kept_tail(self, number: int, recovered: Mapping[str, object]) -> None:
        size = recovered["torn_bytes"]
        self._notes[f"its writer died; {size} torn bytes were kept"] = None
        kept = torn_path(self._reading.folder, number)
        content = kept.read_bytes() if kept.exists() else b""
        if hashlib.sha256(content).hexdigest() != recovered["torn_sha256"]:
            self._find(
                TamperKind.EVIDENCE_REMOVED, number, None, f"{kept.name} is not what was kept"
            )

    def _follows(self, number: int, before: Part, part: Part) -> None:
        """Check the link from the part before, where both are known up to the link."""
        if part is None or (isinstance(part, Scan) and not part.records):
            return
        if isinstance(before, Scan) and before.problem is not None:
            return  # its end is unknown; the problem itself is a finding already
        seq, mac = (-1, GENESIS.decode()) if before is None else (before.last_seq, _head(before))
        if part.first_seq > seq + 1:
            detail = f"records {seq + 1} to {part.first_seq - 1} are missing"
            self._find(TamperKind.DROPPED, number, seq + 1, detail)
        elif part.first_seq != seq + 1 or part.first_prev != mac:
            self._find(TamperKind.FOREIGN, number, seq + 1, "it does not follow the segment before")
        elif isinstance(part, Scan) and isinstance(before, Scan):
            self._same_key(number, before, part)

    def _same_key(self, number: int, before: Scan, scan: Scan) -> None:
        allowed = {before.opened.get("chain_key_id")}
        allowed.update(
            c["new"]["chain"] for c in before.controls if c["event"] == ControlEvent.KEY_ROTATED
        )
        if scan.opened and scan.opened["chain_key_id"] not in allowed:
            detail = f"{scan.opened['chain_key_id']} was not announced"
            self._find(TamperKind.KEY_UNANNOUNCED, number, scan.first_seq, detail)

    def _agrees(self, checkpoint: Checkpoint, scan: Scan) -> bool:
        number, seq = checkpoint.segment, checkpoint.seq
        if scan.problem is not None and scan.problem.seq <= seq:
            return False  # the fault is a finding already; the checkpoint would only repeat it
        if seq > scan.last_seq:
            self._truncated(number, scan.last_seq, checkpoint)
            return False
        if scan.hashes.get(checkpoint.segment_bytes) != checkpoint.segment_sha256:
            self._find(
                TamperKind.CHECKPOINT_MISMATCH, number, seq, "a signed checkpoint contradicts it"
            )
            return False
        self._covered[number] = max(seq, self._covered.get(number, -1))
        return True

    def _truncated(self, number: int, last_seq: int, checkpoint: Checkpoint) -> None:
        detail = f"a checkpoint proves records up to {checkpoint.seq}"
        self._find(TamperKind.TRUNCATED, number, last_seq + 1, detail)

    def _find(self, kind: TamperKind, number: int, seq: int | None, detail: str) -> None:
        finding = TamperFinding(kind, self._reading.name, number, seq, detail)
        if finding not in self.findings:
            self.findings.append(finding)


def _head(part: Scan | Tombstone) -> str:
    return part.head if isinstance(part, Scan) else part.seal_mac
