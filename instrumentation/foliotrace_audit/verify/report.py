"""Verdicts, records and checkpoints as text and JSON. Pure."""

from dataclasses import asdict
from typing import Any

import orjson

from foliotrace_audit.checkpoint import Checkpoint
from foliotrace_audit.verify.verdict import StreamVerdict, TamperFinding, Verdict, VerdictStatus

_COLUMNS = ("tenant", "user_id", "trace_id", "run_id", "success", "error_type")


def verdict_as_text(verdict: Verdict, *, accept_open: bool) -> str:
    """The conclusion, why, and one line for each stream."""
    status = verdict.status(accept_open=accept_open)
    lines = [f"{_HEADLINES[status]}: {verdict.records:,} records, {len(verdict.streams)} streams"]
    lines += [f"  {_finding(finding)}" for finding in verdict.findings]
    lines += [f"  {doubt}" for doubt in verdict.doubts]
    for stream in verdict.streams:
        lines.append(f"  {stream.stream}: {_proved(stream)}")
        lines += [f"    {text}" for text in (*stream.doubts, *stream.notes)]
    lines += [f"  {note}" for note in verdict.notes]
    return "\n".join(lines)


_HEADLINES = {
    VerdictStatus.SOUND: "sound",
    VerdictStatus.TAMPERED: "TAMPERED",
    VerdictStatus.UNANCHORED: "unanchored (the chain is intact, but no outside evidence proves it)",
    VerdictStatus.UNPROVEN: "cannot tell (what is there is intact, but its end is not proved)",
}


def _finding(finding: TamperFinding) -> str:
    file = "" if finding.segment is None else f"/{finding.segment:04d}.jsonl"
    record = "" if finding.seq is None else f" record {finding.seq}"
    return f"{finding.kind}: {finding.stream}{file}{record}: {finding.detail}"


def _proved(stream: StreamVerdict) -> str:
    upto = f"records to {stream.last_seq}"
    if stream.is_complete:
        return f"{upto}, proved to the end"
    live = ", being written" if stream.is_live else ""
    if stream.proved_seq is None:
        return f"{upto}, none proved complete{live}"
    return f"{upto}, proved complete to {stream.proved_seq}{live}"


def verdict_as_json(verdict: Verdict, *, accept_open: bool) -> str:
    """The verdict as indented JSON."""
    status = verdict.status(accept_open=accept_open)
    content = {
        "status": status,
        "exit_code": status.exit_code,
        "records": verdict.records,
        **asdict(verdict),
    }
    return orjson.dumps(content, option=orjson.OPT_INDENT_2).decode()


def record_as_text(record: dict[str, Any]) -> str:
    """One line: time, event, position in the log, and the main fields."""
    columns = (
        f"{name}={_printable(record[name])}" for name in _COLUMNS if record.get(name) is not None
    )
    place = f"{record['stream']}#{record['seq']}"
    return f"{record['timestamp']} {record['event']} {place} {' '.join(columns)}"


def _printable(value: object) -> str:
    """`value` without characters that could steer a terminal."""
    text = str(value)
    return text if text.isprintable() else ascii(text)


def checkpoint_as_text(checkpoint: Checkpoint) -> str:
    """One line: time, stream, last record proved, and the key."""
    final = " final" if checkpoint.final else ""
    development = " development key" if checkpoint.dev_key else ""
    return (
        f"{checkpoint.timestamp} {checkpoint.stream} segment {checkpoint.segment} "
        f"record {checkpoint.seq} {checkpoint.sign_key_id}{final}{development}"
    )


def cell(value: object) -> object:
    """A value as one spreadsheet cell; text that a spreadsheet would run as a formula is quoted."""
    if isinstance(value, (dict, list)):
        return orjson.dumps(value).decode()
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return value
