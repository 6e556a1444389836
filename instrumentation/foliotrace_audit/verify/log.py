"""A whole audit log: verify its streams."""

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from foliotrace_audit import control
from foliotrace_audit.checkpoint import Checkpoint
from foliotrace_audit.files import others, segments, streams, tombstones
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
    external_checkpoints = frozenset(c.stream for c in evidence.checkpoints)
    verdicts = [
        check_stream(
            reading, scans, by_stream.pop(reading.name, ()), evidence.public_keys, announced
        )
        for reading in readings
    ]
    missing = _missing_streams(by_stream, evidence)
    strange, notes = _strange_folders(log_folder)
    strange += _foreign_streams(readings, external_checkpoints)
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
    readings: Sequence[StreamReading], external_checkpoints: Collection[str]
) -> list[TamperFinding]:
    """Streams that no key of the log wrote and no outside checkpoint knows, beside ones that do."""
    written = [r for r in readings if any(r.keys.values())]
    if not external_checkpoints or not written:
        return []
    return [
        TamperFinding(TamperKind.FORGED, r.name, None, 0, "no key of the log wrote it")
        for r in readings
        if r not in written and r.segments and r.name not in external_checkpoints
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
