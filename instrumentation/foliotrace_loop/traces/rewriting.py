"""A run between file and service: what the journal keeps of it, and what is sent."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple

import orjson

from foliotrace_loop.traces.identity import iso, microseconds, parent_of
from foliotrace_loop.traces.records import Record

RAW: Final = ("inputs", "outputs", "error", "extra", "serialized", "events")
"""Fields that are stored, and later sent, as JSON text: only times of events change."""
_USAGE: Final = {
    "prompt_tokens": "input_tokens",
    "completion_tokens": "output_tokens",
    "total_tokens": "total_tokens",
    "total_cost": "total_cost",
}


class State(StrEnum):
    """What became of a run."""

    PENDING = "pending"
    SENT = "sent"  # acknowledged
    DEAD = "dead"  # will not be sent again unless `traces retry` says so


class RunJson(NamedTuple):
    """A run as it is sent, but for its project: a JSON object, and JSON of its `RAW` fields."""

    id: str
    head: bytes
    fields: Sequence[tuple[str, bytes]]


def row_of(seq: int, record: Record) -> tuple[tuple[Any, ...], str]:
    """A record as the journal keeps it: what numbers it, with the reason if it is no run; its body.

    A body is a line of JSON for the head and one for each of `RAW`, empty where there is none.
    """
    run, fault = record.run, record.problem
    parent = start = end = None
    if run is not None:
        try:
            parent = parent_of(run)
            start, end = microseconds(run.get("start_time")), microseconds(run.get("end_time"))
            start = end if start is None else start
            if start is None:
                fault = "it has neither start_time nor end_time"
        except (ValueError, OverflowError) as error:
            fault = str(error)
    if run is None or fault is not None:
        old_id = record.place if run is None else str(run["id"])
        body = orjson.dumps(run, default=str)
        row = (seq, old_id, parent, None, None, len(body), f"{record.place}: {fault}")
        return row, body.decode() + "\n" * len(RAW)
    old_id = str(run["id"])
    known = {
        "name": str(run.get("name") or "run"),
        "run_type": str(run.get("run_type") or "chain").lower(),
    }
    if run.get("tags") is not None:
        known["tags"] = run["tags"]
    lines = [orjson.dumps(known, default=str)]
    for name in RAW:
        value = _extra(run, old_id) if name == "extra" else run.get(name)
        lines.append(b"" if value is None else orjson.dumps(value, default=str))
    body = b"\n".join(lines)
    return (seq, old_id, parent, start, end, len(body), None), body.decode()


def sent_run(row: tuple[Any, ...], shift: int) -> RunJson:
    """A run as it is sent; `row` is what `Journal.runs` selects."""
    dotted, start, end, orphan_of, body = row
    head, *raw = body.encode().split(b"\n")
    steps = dotted.split(".")
    id_ = steps[-1][-36:]
    # Ids, times and orders need no escapes in JSON.
    known = f',"id":"{id_}","trace_id":"{steps[0][-36:]}","dotted_order":"{dotted}"'
    if len(steps) > 1:
        known += f',"parent_run_id":"{steps[-2][-36:]}"'
    if end is not None:
        known += f',"end_time":"{iso(end + shift)}"'
    known += f',"start_time":"{iso(start + shift)}"}}'
    fields = [each for each in zip(RAW, raw, strict=True) if each[1]]
    if orphan_of is not None or raw[-1]:
        fields = [(name, _rewritten(name, text, shift, orphan_of)) for name, text in fields]
    return RunJson(id_, head[:-1] + known.encode(), fields)


def letter_of(body: str) -> dict[str, Any] | None:
    """What the journal holds of a run that is not sent."""
    head, *raw = body.split("\n")
    run: dict[str, Any] | None = orjson.loads(head)
    if run is not None:
        run |= {name: orjson.loads(text) for name, text in zip(RAW, raw, strict=True) if text}
    return run


def _rewritten(name: str, text: bytes, shift: int, orphan_of: str | None) -> bytes:
    """A field with shifted events, or with the parent that an orphan had."""
    if name == "events":
        events = orjson.loads(text)
        if isinstance(events, list):
            return orjson.dumps([_event(each, shift) for each in events])
    if name == "extra" and orphan_of is not None:
        extra = orjson.loads(text)
        extra["metadata"]["original_parent_run_id"] = orphan_of
        return orjson.dumps(extra)
    return text


def _extra(run: Mapping[str, Any], old_id: str) -> dict[str, Any]:
    """The run's `extra` with what an export holds elsewhere, and where the run comes from."""
    extra = dict(held) if isinstance(held := run.get("extra"), dict) else {}
    metadata: dict[str, Any] = {}
    for each in (run.get("metadata"), extra.get("metadata")):
        if isinstance(each, dict):
            metadata |= each
    outputs = run.get("outputs")
    if not (isinstance(outputs, dict) and "usage_metadata" in outputs):
        usage = {new: run[old] for old, new in _USAGE.items() if run.get(old) is not None}
        if usage:
            metadata.setdefault("usage_metadata", usage)
    metadata["original_run_id"] = old_id
    extra["metadata"] = metadata
    return extra


def _event(event: object, shift: int) -> object:
    if not isinstance(event, dict):
        return event
    try:
        at = microseconds(event.get("time"))
    except ValueError:
        return event
    return event if at is None else {**event, "time": iso(at + shift)}
