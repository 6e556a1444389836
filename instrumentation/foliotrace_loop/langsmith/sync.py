"""Pushes feedback, datasets and experiments to LangSmith; pushed again, nothing is doubled.

Every id follows from the local one. What was pushed, and in which version, is noted in the loop's
own file, so that a second push sends what is new or changed.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final
from uuid import UUID, uuid5

import orjson

from foliotrace_loop.datasets.promote import Anonymizer
from foliotrace_loop.experiments import archive
from foliotrace_loop.feedback import FeedbackView
from foliotrace_loop.langsmith.forms import Part, example_parts, form, run_parts
from foliotrace_loop.langsmith.runs import project_id
from foliotrace_loop.langsmith.wire import (
    LangSmithApi,
    LangSmithConflict,
    LangSmithNotFound,
    Parameters,
)
from foliotrace_loop.ports import LoopError
from foliotrace_loop.shapes import Attempt, CaseResult, Experiment, Row
from foliotrace_loop.store import LoopStore
from foliotrace_loop.traces.identity import microseconds, moment, new_id, order_step

_NAMESPACE: Final = UUID("b5f0c1de-3f0c-4c85-9f0a-0d2f8a5c6e11")
_PUSHED: Final = (
    "CREATE TABLE IF NOT EXISTS langsmith_pushed"
    " (target TEXT, kind TEXT, id TEXT, digest TEXT, PRIMARY KEY (target, kind, id)) WITHOUT ROWID"
)
_BATCH: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """How many were new or changed."""

    feedback: int = 0
    untraced: int = 0  # ratings of runs without a trace: LangSmith cannot show them
    rows: int = 0
    experiments: int = 0


class LangSmithSync:
    """Pushes to one workspace."""

    def __init__(self, langsmith: LangSmithApi, store: LoopStore) -> None:
        self._langsmith = langsmith
        self._store = store
        self._has_notes = False

    def push_feedback(self, project: str, ratings: Sequence[FeedbackView]) -> Pushed:
        """Push ratings to the runs of a project. Raises LoopError, Unavailable.

        The root run of a trace that came over OTLP has the trace's id as its own.
        """
        traced = [each for each in ratings if each.trace_id is not None]
        new = self._unpushed("feedback", [(each.id, _feedback(each)) for each in traced])
        if new:
            session = project_id(self._langsmith, project)
            if session is None:
                raise LoopError(f"LangSmith has no project {project}: send traces to it first")
            for id_, body in new:
                self._put_feedback(id_, {**body, "session_id": session})
                self._note("feedback", id_, body)
        return Pushed(feedback=len(new), untraced=len(ratings) - len(traced))

    def push_dataset(self, name: str, rows: Sequence[Row]) -> Pushed:
        """Create the dataset, and create or change its examples. Raises LoopError, Unavailable."""
        dataset = self._dataset(name)
        held = self._example_ids(dataset)
        new = [
            (row.id, _example(row))
            for row in rows
            if row.id not in held or self._is_new("row", f"{name}/{row.id}", _example(row))
        ]
        for method, wanted in (("POST", False), ("PATCH", True)):
            chosen = [each for each in new if (each[0] in held) is wanted]
            for page in _pages(chosen):
                parts = [part for _, body in page for part in example_parts(body)]
                self._send_form(method, self._platform(f"/datasets/{dataset}/examples"), parts)
                for id_, body in page:
                    self._note("row", f"{name}/{id_}", body)
        return Pushed(rows=len(new))

    def push_experiment(self, experiment: Experiment, rows: Sequence[Row]) -> Pushed:
        """Push an experiment with its runs and scores, once. Raises LoopError, Unavailable."""
        if not self._is_new("experiment", experiment.id, experiment.id):
            return Pushed()
        dataset = self._dataset(experiment.suite.partition("/")[0])
        session = str(uuid5(_NAMESPACE, experiment.id))
        name = f"{experiment.name}-{experiment.id[-8:]}"
        body = {
            "id": session,
            "name": name,
            "reference_dataset_id": dataset,
            "start_time": experiment.created_at,
            "extra": {"metadata": _provenance(experiment)},
        }
        with suppress(LangSmithConflict):  # an earlier push was interrupted
            self._langsmith.call("POST", "/sessions", body)
        inputs = {row.id: row.inputs for row in rows}
        parts = list(_case_parts(experiment, name, session, inputs))
        for page in _pages(parts):
            self._send_form("POST", "/runs/multipart", [part for case in page for part in case])
        self._langsmith.call("PATCH", f"/sessions/{session}", {"end_time": _end(experiment)})
        self._note("experiment", experiment.id, experiment.id)
        return Pushed(experiments=1)

    def experiments(self) -> Iterator[Experiment]:
        """All experiments of the store, oldest first."""
        for id_ in archive.ids(self._store):
            yield archive.find(self._store, id_)

    def _put_feedback(self, id_: str, body: Mapping[str, Any]) -> None:
        try:
            self._langsmith.call("POST", "/feedback", body)
        except LangSmithConflict:
            changing = {key: body.get(key) for key in ("score", "value", "comment")}
            self._langsmith.call("PATCH", f"/feedback/{id_}", changing)

    def _dataset(self, name: str) -> str:
        found = self._named(name)
        if found is None:
            body = {"name": name, "data_type": "kv", "description": "pushed by foliotrace"}
            try:
                found = str(self._langsmith.call("POST", "/datasets", body)["id"])
            except LangSmithConflict:  # somebody else was faster
                found = self._named(name)
        if found is None:
            raise LoopError(f"LangSmith neither holds nor creates the dataset {name}")
        return found

    def _named(self, name: str) -> str | None:
        try:
            found = self._langsmith.call("GET", "/datasets", parameters={"name": name, "limit": 1})
        except LangSmithNotFound:
            return None
        return next((str(each["id"]) for each in found or () if each["name"] == name), None)

    def _example_ids(self, dataset: str) -> set[str]:
        ids: set[str] = set()
        while True:
            parameters: Parameters = {"dataset": dataset, "offset": len(ids), "limit": _BATCH}
            page = self._langsmith.call("GET", "/examples", parameters=parameters) or []
            ids |= {str(each["id"]) for each in page}
            if len(page) < _BATCH:
                return ids

    def _platform(self, path: str) -> str:
        is_versioned = self._langsmith.endpoint.endswith("/v1")
        return f"/platform{path}" if is_versioned else f"/v1/platform{path}"

    def _send_form(self, method: str, path: str, parts: Sequence[Part]) -> None:
        body, content_type = form(parts)
        try:
            self._langsmith.call(method, path, body=body, content_type=content_type)
        except LangSmithConflict:
            # The reply to an earlier attempt was lost: runs are there, examples may be older.
            if path != "/runs/multipart":
                self._langsmith.call("PATCH", path, body=body, content_type=content_type)

    def _unpushed(self, kind: str, values: Sequence[tuple[str, Any]]) -> list[tuple[str, Any]]:
        return [(id_, value) for id_, value in values if self._is_new(kind, id_, value)]

    def _is_new(self, kind: str, id_: str, value: object) -> bool:
        if not self._has_notes:
            self._store.write(lambda c: c.execute(_PUSHED))
            self._has_notes = True
        rows = self._store.rows(
            "SELECT digest FROM langsmith_pushed WHERE target = ? AND kind = ? AND id = ?",
            (self._langsmith.endpoint, kind, id_),
        )
        return not rows or rows[0][0] != _digest(value)

    def _note(self, kind: str, id_: str, value: object) -> None:
        row = (self._langsmith.endpoint, kind, id_, _digest(value))
        self._store.write(
            lambda c: c.execute("INSERT OR REPLACE INTO langsmith_pushed VALUES (?, ?, ?, ?)", row)
        )


def _feedback(rating: FeedbackView) -> dict[str, Any]:
    run = str(UUID(rating.trace_id or rating.run_id))
    return {
        "id": rating.id,
        "run_id": run,
        "trace_id": run,
        "key": rating.key,
        "score": rating.score,
        "value": Anonymizer()(rating.value),
        "comment": Anonymizer()(rating.comment),
        "created_at": rating.created_at.isoformat(),
        "modified_at": rating.updated_at.isoformat(),
        "feedback_source": {
            "type": "model" if rating.source == "online" else "api",
            "metadata": {"source": f"foliotrace:{rating.source}"},
        },
    }


def _example(row: Row) -> dict[str, Any]:
    retired = row.retired_at is not None
    metadata = {**row.metadata, "source_hash": row.source_hash, "evaluators": list(row.evaluators)}
    if retired:
        metadata["retired_at"] = row.retired_at
    return {
        "id": row.id,
        "inputs": dict(row.inputs),
        "outputs": dict(row.reference_outputs),
        "metadata": {name: each for name, each in metadata.items() if each},
        "split": "retired" if retired else row.split,
    }


def _provenance(experiment: Experiment) -> dict[str, Any]:
    known = {
        "git_sha": experiment.git_sha,
        "git_dirty": experiment.git_dirty,
        "suite": experiment.suite,
        "model": experiment.configuration.model,
        "prompt": experiment.configuration.prompt,
        "settings": experiment.configuration.settings,
        "cost_usd": str(experiment.cost_usd),
        "foliotrace_experiment": experiment.id,
    }
    return {name: each for name, each in known.items() if each is not None}


def _case_parts(
    experiment: Experiment, name: str, session: str, inputs: Mapping[str, Mapping[str, Any]]
) -> Iterator[list[Part]]:
    """The parts of each attempt: its run, then its scores."""
    start_us = microseconds(experiment.created_at) or 0
    for case in experiment.results:
        for number, attempt in enumerate(case.attempts):
            id_ = new_id(experiment.id, f"{case.row_id}/{number}", start_us)
            run = _run(case, attempt, id_, start_us, inputs.get(case.row_id))
            parts = list(run_parts({**run, "session_name": name}))
            for score in attempt.scores:
                feedback = {
                    "id": str(uuid5(_NAMESPACE, f"{id_}/{score.key}")),
                    "run_id": id_,
                    "trace_id": id_,
                    "session_id": session,
                    "key": score.key,
                    "score": score.score,
                    "comment": Anonymizer()(score.comment) or None,
                    "feedback_source": {"type": "api" if score.deterministic else "model"},
                }
                parts.append((f"feedback.{feedback['id']}", orjson.dumps(feedback)))
            yield parts


def _run(
    case: CaseResult,
    attempt: Attempt,
    id_: str,
    start_us: int,
    inputs: Mapping[str, Any] | None,
) -> dict[str, Any]:
    start = moment(start_us)
    return {
        "id": id_,
        "trace_id": id_,
        "dotted_order": order_step(start_us, id_),
        "name": "Target",
        "run_type": "chain",
        "start_time": start.isoformat(),
        "end_time": (start + timedelta(milliseconds=attempt.elapsed_ms)).isoformat(),
        "inputs": dict(inputs) if inputs is not None else {"query": case.name},
        "outputs": {"answer": Anonymizer()(attempt.answer)},
        "error": attempt.error or attempt.unavailable,
        "reference_example_id": case.row_id,
        "extra": {"metadata": {"foliotrace_run_id": attempt.run_id}},
    }


def _end(experiment: Experiment) -> str:
    start = datetime.fromisoformat(experiment.created_at)
    return (start + timedelta(seconds=experiment.elapsed_s)).isoformat()


def _pages(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(values), _BATCH):
        yield values[start : start + _BATCH]


def _digest(value: object) -> str:
    return sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS, default=str)).hexdigest()
