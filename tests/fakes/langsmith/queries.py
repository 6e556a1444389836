"""`POST /api/v2/runs/query` and its kin: what of a run is shown, and which runs are found."""

import ast
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.fakes.langsmith.state import Json, Refused, State, moment

DEFAULT_WINDOW = timedelta(days=1)


def shown(state: State, run: Json, selects: list[str] | None) -> Json:
    """The selected properties of a run; `id` alone if none are selected."""
    from langsmith.types.run_select_field import RunSelectField

    unknown = set(selects or ()) - set(RunSelectField.__args__)  # type: ignore[attr-defined]
    if unknown:
        raise Refused(422, f"selects: {min(unknown)} is unknown")
    whole = record(state, run)
    return {name.lower(): whole.get(name.lower()) for name in {"ID", *(selects or ())}}


def record(state: State, run: Json) -> Json:
    """A run with what the service derives."""
    start, end = run.get("start_time"), run.get("end_time")
    extra = run.get("extra") or {}
    usage = (run.get("outputs") or {}).get("usage_metadata") or {}
    usage = usage or (extra.get("metadata") or {}).get("usage_metadata") or {}
    ancestors = str(run.get("dotted_order") or "").split(".")[:-1]
    return {
        **run,
        "run_type": str(run.get("run_type", "chain")).upper(),
        "status": "ERROR" if run.get("error") else "SUCCESS" if end else "PENDING",
        "is_root": run.get("parent_run_id") is None,
        "parent_run_ids": [step[-36:] for step in ancestors],
        "latency_seconds": (
            (moment(end) - moment(start)).total_seconds() if start and end else None
        ),
        "metadata": extra.get("metadata") or {},
        "total_tokens": usage.get("total_tokens"),
        "prompt_tokens": usage.get("input_tokens"),
        "completion_tokens": usage.get("output_tokens"),
        "total_cost": usage.get("total_cost"),
        "feedback_stats": _feedback_stats(state, run["id"]),
    }


def query_runs(state: State, body: Json) -> Json:
    """One page, newest first. Raises Refused as the service documents it."""
    projects, dataset = body.get("project_ids"), body.get("reference_dataset_id")
    if bool(projects) == bool(dataset):
        raise Refused(422, "set exactly one of project_ids and reference_dataset_id")
    size = body.get("page_size", 100)
    if not 1 <= size <= 1000:
        raise Refused(422, "page_size is 1 to 1000")
    if dataset:
        projects = [
            p["id"] for p in state.projects.values() if p.get("reference_dataset_id") == dataset
        ]
    since = _time(body, "min_start_time", datetime.now(UTC) - DEFAULT_WINDOW)
    until = _time(body, "max_start_time", datetime.now(UTC))
    matches = parse(body["filter"]) if body.get("filter") else lambda run: True
    found = []
    for run in state.runs.values():
        if run["project_id"] not in projects or not since <= moment(run["start_time"]) <= until:
            continue
        whole = record(state, run)
        wanted = (
            body.get("is_root") in (None, whole["is_root"])
            and body.get("has_error") in (None, whole["status"] == "ERROR")
            and body.get("trace_id") in (None, run["trace_id"])
            and (not body.get("ids") or run["id"] in body["ids"])
            and body.get("run_type") in (None, whole["run_type"])
        )
        feedback = [f for f in state.feedback.values() if f.get("run_id") == run["id"]]
        if wanted and matches({**whole, "feedback": feedback}):
            found.append(run)
    found.sort(key=lambda run: (moment(run["start_time"]), run["id"]), reverse=True)
    start = int(body.get("cursor") or 0)
    page = found[start : start + size]
    more = str(start + size) if start + size < len(found) else None
    return {"items": [shown(state, run, body.get("selects")) for run in page], "next_cursor": more}


def _time(body: Json, name: str, default: datetime) -> datetime:
    return moment(body[name]) if body.get(name) else default


def _feedback_stats(state: State, run_id: str) -> Json:
    scores: dict[str, list[float]] = {}
    for each in state.feedback.values():
        if each.get("run_id") == run_id:
            scores.setdefault(each["key"], []).extend(
                [float(each["score"])] if each.get("score") is not None else []
            )
    return {
        key: {"n": len(each), "avg": sum(each) / len(each) if each else None}
        for key, each in scores.items()
    }


def parse(text: str) -> Callable[[Json], bool]:
    """A filter. It reads as a Python call once `and`, `or` and `not` are not keywords."""
    try:
        tree = ast.parse(re.sub(r"\b(and|or|not|in)\(", r"\1_(", text), mode="eval").body
    except SyntaxError:
        raise Refused(400, f"invalid filter: {text}") from None
    return lambda run: bool(_holds(tree, run))


def _holds(node: ast.expr, run: Json) -> bool:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        raise Refused(400, "invalid filter")
    operator, arguments = node.func.id, node.args
    if operator == "and_":
        return all(_holds(each, run) for each in arguments)
    if operator == "or_":
        return any(_holds(each, run) for each in arguments)
    if operator == "not_":
        return not _holds(arguments[0], run)
    name, value = arguments[0], _literal(arguments[1])
    assert isinstance(name, ast.Name)
    return any(_compare(operator, found, value) for found in _values(name.id, run))


def _values(name: str, run: Json) -> list[Any]:
    if name.startswith("feedback_"):
        return [each.get(name.removeprefix("feedback_")) for each in run["feedback"]]
    if name == "metadata_key":
        return list(run["metadata"])
    if name == "metadata_value":
        return list(run["metadata"].values())
    value = run.get("latency_seconds" if name == "latency" else name)
    if name in ("run_type", "status"):
        value = str(value).lower()
    return [value]


def _compare(operator: str, found: Any, value: Any) -> bool:
    if operator == "has":
        return value in (found or ())
    if isinstance(found, str) and isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\d", value):
        found, value = moment(found), moment(value)
    if operator == "eq":
        return bool(found == value)
    if operator == "neq":
        return bool(found != value)
    if found is None:
        return False
    held = {"gt": found > value, "gte": found >= value, "lt": found < value, "lte": found <= value}
    return bool(held[operator])


def _literal(node: ast.expr) -> Any:
    if isinstance(node, ast.Name):
        return {"true": True, "false": False, "null": None}[node.id]
    return ast.literal_eval(node)
