"""What a verification can conclude."""

from dataclasses import asdict, dataclass
from typing import Any

import orjson

from foliotrace_audit.checkpoint import Checkpoint
from foliotrace_audit.settings import DescribedEnum


class TamperKind(DescribedEnum):
    """How a log was tampered with."""

    EDITED = "edited", "A record's bytes do not match its MAC."
    FORGED = "forged", "Bytes at the end of a file that no holder of the chain key wrote there."
    DROPPED = "dropped", "Records are missing between two others."
    REORDERED = "reordered", "A record comes before one that was written earlier."
    REPEATED = "repeated", "A record occurs again."
    FOREIGN = "foreign", "An authentic record or file of another place."
    TRUNCATED = "truncated", "The end is missing: a checkpoint proves that there was more."
    UNSEALED = "unsealed", "A file that another one follows does not end with its seal."
    MISSING_SEGMENT = "missing_segment", "A whole file is missing and retention did not remove it."
    MISSING_STREAM = "missing_stream", "A whole stream is missing."
    CHECKPOINT_MISMATCH = "checkpoint_mismatch", "A signed checkpoint contradicts the file."
    BAD_SIGNATURE = "bad_signature", "A checkpoint's signature or form is wrong."
    KEY_UNANNOUNCED = "key_unannounced", "The chain key changed without a `key.rotated` record."
    EVIDENCE_REMOVED = "evidence_removed", "A kept torn tail is missing or changed."


class VerdictStatus(DescribedEnum):
    """The conclusion, and the command's exit code."""

    SOUND = "sound", "Nothing was changed, removed or added, and outside evidence proves it."
    TAMPERED = "tampered", "Records were changed, removed or added; the findings say which."
    UNANCHORED = "unanchored", "The chain is intact, but nothing from outside the log proves it."
    UNPROVEN = "unproven", "What is there is intact; an end is unproved, or a key is missing."

    @property
    def exit_code(self) -> int:
        """0 sound, 1 tampered, 2 cannot tell."""
        return {VerdictStatus.SOUND: 0, VerdictStatus.TAMPERED: 1}.get(self, 2)


@dataclass(frozen=True, slots=True)
class TamperFinding:
    """One proof of tampering. `seq` is the first sequence number that is not as it was written."""

    kind: TamperKind
    stream: str
    segment: int | None
    seq: int | None
    detail: str


@dataclass(frozen=True, slots=True)
class StreamVerdict:
    """One stream. Up to `proved_seq` outside evidence proves it complete (None: nothing does).

    `is_complete`: proved to its very end. `is_authentic`: every record was checked against its key
    or under a signed checkpoint. `is_live`: a process is writing it now.
    """

    stream: str
    records: int
    last_seq: int
    proved_seq: int | None
    is_complete: bool
    is_authentic: bool
    is_live: bool
    findings: tuple[TamperFinding, ...]
    doubts: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The whole log. `doubts` say why no outside evidence anchors it; empty if some does."""

    streams: tuple[StreamVerdict, ...]
    findings: tuple[TamperFinding, ...]
    doubts: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def records(self) -> int:
        """Records read."""
        return sum(stream.records for stream in self.streams)

    def status(self, *, accept_open: bool = False) -> VerdictStatus:
        """The conclusion.

        With `accept_open`, what follows a stream's newest outside checkpoint need only be
        authentic, not proved complete.
        """
        if self.findings:
            return VerdictStatus.TAMPERED
        if self.doubts or any(s.doubts or s.proved_seq is None for s in self.streams):
            return VerdictStatus.UNANCHORED
        proved = (s.is_authentic and (accept_open or s.is_complete) for s in self.streams)
        return VerdictStatus.SOUND if self.streams and all(proved) else VerdictStatus.UNPROVEN


_COLUMNS = ("tenant", "caller", "user_id", "trace_id", "run_id", "success", "error_type")


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
    mark = "NOT AS WRITTEN " if record.get("verified") is False else ""
    return f"{mark}{record['timestamp']} {record['event']} {place} {' '.join(columns)}"


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
