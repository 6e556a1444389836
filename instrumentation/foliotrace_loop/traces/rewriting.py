"""A run between file and service: what the journal keeps of it, and what is sent."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

import orjson

from foliotrace_loop.traces.identity import iso, microseconds, parent_of
from foliotrace_loop.traces.records import Record

_KEPT: Final = (
    *("name", "run_type", "inputs", "outputs", "error", "extra", "events", "tags", "serialized"),
)
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


def row_of(seq: int, record: Record) -> tuple[tuple[Any, ...], bytes]:
    """A record as a row of the journal and its body; a record that is no run is dead at once."""
    run, problem = record.run, record.problem
    parent = start = end = None
    if run is not None:
        try:
            parent = parent_of(run)
            start, end = microseconds(run.get("start_time")), microseconds(run.get("end_time"))
            start = end if start is None else start
            if start is None:
                problem = "it has neither start_time nor end_time"
        except (ValueError, OverflowError) as error:
            problem = str(error)
    body = orjson.dumps(run, default=str)
    old_id = record.place if run is None else str(run["id"])
    state = State.PENDING if problem is None else State.DEAD
    reason = None if problem is None else f"{record.place}: {problem}"
    return (seq, old_id, parent, start, end, len(body), state, reason), body


def sent_run(row: tuple[Any, ...], shift: int) -> dict[str, Any]:
    """A run as it is sent, but for its project; `row` is what `Journal.runs` selects."""
    _, old_id, parent, start, end, depth, id_, trace_id, dotted, body = row
    held = orjson.loads(body)
    run = {name: held[name] for name in _KEPT if held.get(name) is not None}
    run["name"] = str(run.get("name") or "run")
    run["run_type"] = str(run.get("run_type") or "chain").lower()
    run["extra"] = _extra(held, old_id, parent if depth == 0 else None)
    if isinstance(run.get("events"), list):
        run["events"] = [_event(each, shift) for each in run["events"]]
    run |= {"id": id_, "trace_id": trace_id, "dotted_order": dotted}
    run["start_time"] = iso(start + shift)
    if end is not None:
        run["end_time"] = iso(end + shift)
    if depth:
        run["parent_run_id"] = dotted.split(".")[-2][-36:]
    return run


def _extra(held: Mapping[str, Any], old_id: str, orphan_of: str | None) -> dict[str, Any]:
    """The run's `extra` with what an export holds elsewhere, and where the run comes from."""
    extra = dict(held["extra"]) if isinstance(held.get("extra"), dict) else {}
    inner, outer = extra.get("metadata"), held.get("metadata")
    metadata: dict[str, Any] = {}
    for each in (outer, inner):
        metadata |= each if isinstance(each, dict) else {}
    usage = {new: held[old] for old, new in _USAGE.items() if held.get(old) is not None}
    outputs = held.get("outputs")
    told = isinstance(outputs, dict) and "usage_metadata" in outputs
    if usage and not told:
        metadata.setdefault("usage_metadata", usage)
    metadata["original_run_id"] = old_id
    if orphan_of is not None:
        metadata["original_parent_run_id"] = orphan_of
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
