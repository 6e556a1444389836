"""A run between file and service: what the journal keeps of it, and what is sent."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import orjson

from foliotrace_loop.traces.identity import iso, microseconds, parent_of
from foliotrace_loop.traces.records import Record

RAW: Final = ("inputs", "outputs", "error", "extra", "serialized")
"""Fields that are stored, and later sent, as JSON text: they do not change any more."""
_HEAD: Final = ("name", "run_type", "tags", "events")
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


def row_of(seq: int, record: Record) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """A record as rows of the journal; a record that is no run is dead at once."""
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
        head = orjson.dumps(run, default=str)
        why = f"{record.place}: {fault}"
        row = (seq, old_id, parent, None, None, len(head), State.DEAD, why)
        return row, (seq, head, *(None for _ in RAW))
    old_id = str(run["id"])
    extra = _extra(run, old_id)
    head = orjson.dumps({name: run[name] for name in _HEAD if run.get(name) is not None})
    held = (extra if name == "extra" else run.get(name) for name in RAW)
    raw = [None if each is None else orjson.dumps(each, default=str) for each in held]
    size = len(head) + sum(len(each) for each in raw if each is not None)
    return (seq, old_id, parent, start, end, size, State.PENDING, None), (seq, head, *raw)


def sent_run(row: tuple[Any, ...], shift: int) -> dict[str, Any]:
    """A run as it is sent, but for its project; `row` is what `Journal.runs` selects."""
    _, parent, start, end, dotted, head, *raw = row
    run: dict[str, Any] = orjson.loads(head)
    run["name"] = str(run.get("name") or "run")
    run["run_type"] = str(run.get("run_type") or "chain").lower()
    if isinstance(run.get("events"), list):
        run["events"] = [_event(each, shift) for each in run["events"]]
    steps = dotted.split(".")
    run |= {"id": steps[-1][-36:], "trace_id": steps[0][-36:], "dotted_order": dotted}
    run["start_time"] = iso(start + shift)
    if end is not None:
        run["end_time"] = iso(end + shift)
    for name, text in zip(RAW, raw, strict=True):
        if text is not None:
            run[name] = orjson.Fragment(text)
    if len(steps) > 1:
        run["parent_run_id"] = steps[-2][-36:]
    elif parent is not None:
        extra = orjson.loads(raw[RAW.index("extra")])
        extra["metadata"]["original_parent_run_id"] = parent
        run["extra"] = extra
    return run


def letter_of(head: bytes, raw: Sequence[bytes | None]) -> dict[str, Any] | None:
    """What the journal holds of a run that is not sent."""
    run: dict[str, Any] | None = orjson.loads(head)
    if run is not None:
        held = zip(RAW, raw, strict=True)
        run |= {name: orjson.loads(text) for name, text in held if text is not None}
    return run


def _extra(run: Mapping[str, Any], old_id: str) -> dict[str, Any]:
    """The run's `extra` with what an export holds elsewhere, and where the run comes from."""
    extra = dict(run["extra"]) if isinstance(run.get("extra"), dict) else {}
    metadata: dict[str, Any] = {}
    for each in (run.get("metadata"), extra.get("metadata")):
        metadata |= each if isinstance(each, dict) else {}
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
