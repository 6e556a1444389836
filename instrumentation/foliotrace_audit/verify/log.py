"""A whole audit log: verify its streams, search and export its records."""

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import orjson

from foliotrace_audit import control
from foliotrace_audit.checkpoint import Checkpoint
from foliotrace_audit.files import others, segments, streams, tombstones
from foliotrace_audit.keys import AuditKeys, query_hash, tenant_key
from foliotrace_audit.record import EVENTS, MAX_LINE_BYTES, shorten
from foliotrace_audit.verify.evidence import Evidence
from foliotrace_audit.verify.segment_scan import Scan, ScanTask, scan_segment
from foliotrace_audit.verify.stream_check import check_stream
from foliotrace_audit.verify.stream_reading import StreamReading, read_stream
from foliotrace_audit.verify.verdict import TamperFinding, TamperKind, Verdict

# Processes and not threads: hashing lines of a few hundred bytes holds the interpreter's lock.
_PARALLEL_FROM_BYTES = 64 * 1024 * 1024
"""Below this, starting processes costs more than it saves."""


def verify_log(log_folder: Path, evidence: Evidence, *, jobs: int | None = None) -> Verdict:
    """Verify every stream under `log_folder` on `jobs` processes (None: one per core).

    Writes nothing, so it may run beside living writers. Raises OSError if a file cannot be read.
    """
    by_stream: dict[str, list[Checkpoint]] = defaultdict(list)
    for checkpoint in evidence.checkpoints:
        by_stream[checkpoint.stream].append(checkpoint)
    readings = [read_stream(folder, evidence.chain_keys) for folder in streams(log_folder)]
    tasks = [task for reading in readings for task in reading.tasks(by_stream[reading.name])]
    scans = dict(zip((task.path for task in tasks), _run(tasks, jobs), strict=True))
    announced = _announced_keys(readings, scans.values())
    known_outside = frozenset(c.stream for c in evidence.checkpoints)
    verdicts = [
        check_stream(
            reading, scans, by_stream.pop(reading.name, ()), evidence.public_keys, announced
        )
        for reading in readings
    ]
    missing = _missing_streams(by_stream, evidence)
    strange, notes = _strange_folders(log_folder)
    strange += _foreign_streams(readings, known_outside)
    return Verdict(
        streams=tuple(verdicts),
        findings=(
            *evidence.findings,
            *(f for v in verdicts for f in v.findings),
            *missing,
            *strange,
        ),
        doubts=evidence.doubts,
        notes=(*evidence.notes, *notes),
    )


def _announced_keys(readings: Iterable[StreamReading], scans: Iterable[Scan]) -> frozenset[str]:
    """Ids of the chain keys that records name; a tombstone that is proved names its segment's."""
    ids = {str(scan.opened.get("chain_key_id")) for scan in scans}
    for scan in scans:
        ids.update(
            str(record["new"]["chain"])
            for record in scan.controls
            if record["event"] == control.ControlEvent.KEY_ROTATED
        )
    for reading in readings:
        ids.update(part.segment_key_id for part in reading.tombstones.values() if part)
    return frozenset(ids)


def _strange_folders(log_folder: Path) -> tuple[list[TamperFinding], list[str]]:
    """(findings, notes) on folders that are no stream; one that holds segments was renamed."""
    findings, notes = [], []
    for folder in others(log_folder):
        if segments(folder) or tombstones(folder):
            detail = "it holds files of the log under a name that no writer makes"
            findings.append(TamperFinding(TamperKind.FOREIGN, folder.name, None, None, detail))
        else:
            notes.append(f"{folder.name} is no stream, and was not read")
    return findings, notes


def _foreign_streams(
    readings: Sequence[StreamReading], known_outside: Collection[str]
) -> list[TamperFinding]:
    """Streams that no key of the log wrote and no outside checkpoint knows, beside ones that do."""
    written = [r for r in readings if any(r.keys.values())]
    if not known_outside or not written:
        return []
    return [
        TamperFinding(TamperKind.FORGED, r.name, None, 0, "no key of the log wrote it")
        for r in readings
        if r not in written and r.segments and r.name not in known_outside
    ]


def _missing_streams(
    by_stream: dict[str, list[Checkpoint]], evidence: Evidence
) -> list[TamperFinding]:
    """Streams that checkpoints speak of and the log does not have."""
    findings = []
    for stream, checkpoints in sorted(by_stream.items()):
        for checkpoint in checkpoints:
            key = evidence.public_keys.get(checkpoint.sign_key_id)
            if key is None or checkpoint.dev_key:
                continue  # anybody could have signed it
            if not checkpoint.signed_by(key):
                detail = "the checkpoint's signature is wrong"
                findings.append(
                    TamperFinding(TamperKind.BAD_SIGNATURE, stream, None, checkpoint.seq, detail)
                )
            else:
                detail = f"a checkpoint of {checkpoint.timestamp} proves that it was there"
                findings.append(TamperFinding(TamperKind.MISSING_STREAM, stream, None, 0, detail))
                break
    return findings


def _run(tasks: Sequence[ScanTask], jobs: int | None) -> list[Scan]:
    jobs = min(jobs or os.cpu_count() or 1, len(tasks))
    if jobs <= 1 or sum(task.path.stat().st_size for task in tasks) < _PARALLEL_FROM_BYTES:
        return [scan_segment(task) for task in tasks]
    # Spawned, not forked: the caller may have threads, and a forked child inherits their locks.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        return list(pool.map(scan_segment, tasks))


Record = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFilter:
    """The values a record must have; None accepts any. `hashes`: any of these query hashes."""

    event: str | None = None
    tenant: str | None = None
    user_id: str | None = None
    trace_id: str | None = None
    run_id: str | None = None
    document_id: str | None = None
    hashes: frozenset[str] | None = None
    success: bool | None = None
    since: datetime | None = None
    until: datetime | None = None

    def accepts(self, record: Record) -> bool:
        """Whether `record` has all of them."""
        for name in ("event", "tenant", "user_id", "trace_id", "run_id", "success"):
            value = getattr(self, name)
            if value is not None and record.get(name) != _stored(value):
                return False
        if self.hashes is not None and record.get("query_hash") not in self.hashes:
            return False
        if self.document_id is not None and _stored(self.document_id) not in (
            record.get("document_ids", ())
        ):
            return False
        return self._in_time(record)

    def _in_time(self, record: Record) -> bool:
        if self.since is None and self.until is None:
            return True
        when = datetime.fromisoformat(record["timestamp"])
        return (self.since is None or when >= self.since) and (
            self.until is None or when < self.until
        )

    def needles(self) -> list[tuple[bytes, ...]]:
        """A matching line contains one member of each tuple.

        Searching bytes first spares parsing the JSON of nearly every line in a large log.
        """
        names = ("event", "tenant", "user_id", "trace_id", "run_id", "document_id")
        wanted: list[tuple[str, ...]] = [
            (getattr(self, name),) for name in names if getattr(self, name) is not None
        ]
        if self.hashes is not None:
            wanted.append(tuple(self.hashes))
        return [tuple(orjson.dumps(_stored(value)) for value in values) for values in wanted]


def _stored(value: object) -> object:
    """`value` as a record holds it."""
    return shorten(value) if isinstance(value, str) else value


def hashes_of(keys: AuditKeys, tenant: str, text: str) -> frozenset[str]:
    """The hashes of `text` for `tenant` under every query key that the folder still has."""
    return frozenset(query_hash(tenant_key(key, tenant), text) for key in keys.all_query.values())


def find_records(log_folder: Path, wanted: RecordFilter) -> Iterator[Record]:
    """Audit records that `wanted` accepts, stream by stream in written order, with their `stream`.

    Reads in constant memory; skips lines that are not records, which `verify` reports. Raises
    OSError.
    """
    needles = wanted.needles()
    for stream in streams(log_folder):
        for path in segments(stream).values():
            with path.open("rb", buffering=1 << 20) as file:
                while line := file.readline(MAX_LINE_BYTES):
                    if all(any(n in line for n in either) for either in needles):
                        # The bytes may stand in another field: the parsed record decides.
                        record = control.parse(line)
                        if record.get("event") in EVENTS and wanted.accepts(record):
                            yield {"stream": stream.name, **record}


def unfinished(records: Iterable[Record]) -> list[Record]:
    """The `*_received` records without a `*_completed` or `*_failed` record of the same run.

    Matched by run id, or by trace id where there is none.
    """
    started: dict[tuple[str, str, str], Record] = {}
    for record in records:
        family, _, stage = record["event"].partition("_")
        join = (family, str(record.get("tenant")), str(record.get("run_id") or record["trace_id"]))
        if stage == "received":
            started[join] = record
        else:
            started.pop(join, None)
    return list(started.values())
