"""Checkpoints as they lie where they were sent: lines, a collector's file, a kept log. Pure.

A checkpoint leaves the host as an OTLP log record named `CHECKPOINT_EVENT`, whose attribute of the
same name is the signed line, and as a line of the JSON log. Both carry the line as it was signed,
so whoever holds either needs no conversion to verify.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from foliotrace_audit.checkpoint import Checkpoint

CHECKPOINT_EVENT: Final = "foliotrace.audit.checkpoint"
LOGGED_AS: Final = "audit.checkpoint"
EVENT_ATTRIBUTES: Final[Mapping[str, str]] = {
    "stream": "the stream's name",
    "segment": "the number of its file",
    "seq": "the last record that is proved",
    "final": "whether the stream ends there",
    "sign_key_id": "which key signed",
    "dev_key": "whether that key was made up",
}
"""What stands beside the signed line in an event, under `foliotrace.audit.<name>`."""


def event_attributes(checkpoint: Checkpoint) -> dict[str, str | int | bool]:
    """`EVENT_ATTRIBUTES` of `checkpoint`."""
    return {f"foliotrace.audit.{name}": getattr(checkpoint, name) for name in EVENT_ATTRIBUTES}


def numbered_lines(lines: Sequence[bytes]) -> list[tuple[int, bytes]]:
    """(number of the line, signed line) for what a file's `lines` hold.

    In a kept log, text that is no JSON object is what other programs wrote, and is passed over.
    """
    held = [signed_lines(line) for line in lines]
    if any(found != [line] for found, line in zip(held, lines, strict=True)):
        held = [
            [] if found == [line] and not line.startswith(b"{") else found
            for found, line in zip(held, lines, strict=True)
        ]
    return [(number, signed) for number, found in enumerate(held, 1) for signed in found]


def signed_lines(line: bytes) -> list[bytes]:
    """The signed lines that `line` holds; `line` itself where it is no envelope that we know.

    An envelope of other things (a batch of spans, a line of the log about something else) holds
    none.
    """
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        return [line]
    if not isinstance(found, dict):
        return [line]
    if "resourceLogs" in found:
        return [text.encode() for text in _in_otlp(found)]
    if isinstance(found.get("event"), str):
        text = found.get("line") if found["event"] == LOGGED_AS else None
        return [text.encode()] if isinstance(text, str) else []
    return [] if "resourceSpans" in found or "resourceMetrics" in found else [line]


def _in_otlp(batch: dict[str, Any]) -> Iterator[str]:
    """The signed lines in one `LogsData` of OTLP JSON, as the collector's file exporter writes."""
    for resource in _dicts(batch.get("resourceLogs")):
        for scope in _dicts(resource.get("scopeLogs")):
            for record in _dicts(scope.get("logRecords")):
                for attribute in _dicts(record.get("attributes")):
                    value = attribute.get("value")
                    if attribute.get("key") == CHECKPOINT_EVENT and isinstance(value, dict):
                        text = value.get("stringValue")
                        yield text if isinstance(text, str) else ""


def _dicts(found: object) -> list[dict[str, Any]]:
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
