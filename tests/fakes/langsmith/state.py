"""What the fake holds: projects, runs, feedback, datasets, annotation queues."""

import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Json = dict[str, Any]
TENANT = "11111111-1111-4111-8111-111111111111"


class Refused(Exception):
    """A request that the real service would refuse."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


def now() -> str:
    return datetime.now(UTC).isoformat()


def moment(text: str) -> datetime:
    """An aware time. The service takes a time without zone as UTC."""
    try:
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise Refused(422, f"{text!r} is not a time") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def uuid_text(value: Any) -> str:
    try:
        return str(uuid.UUID(str(value)))
    except ValueError:
        raise Refused(422, f"{value!r} is not a UUID") from None


@dataclass
class State:
    """Everything stored. Runs are upserted by id; `receipts` counts how often each was sent."""

    projects: dict[str, Json] = field(default_factory=dict)
    runs: dict[str, Json] = field(default_factory=dict)
    receipts: Counter[str] = field(default_factory=Counter)
    arrival: list[str] = field(default_factory=list)
    feedback: dict[str, Json] = field(default_factory=dict)
    datasets: dict[str, Json] = field(default_factory=dict)
    examples: dict[str, Json] = field(default_factory=dict)
    queues: dict[str, Json] = field(default_factory=dict)
    queued: dict[str, list[Json]] = field(default_factory=dict)

    def project(self, name: str) -> Json:
        """The project of this name, created when it is first named."""
        found = next((p for p in self.projects.values() if p["name"] == name), None)
        return found or self.create_project({"name": name})

    def create_project(self, body: Json) -> Json:
        if any(p["name"] == body["name"] for p in self.projects.values()):
            raise Refused(409, f"the project {body['name']} exists")
        id_ = uuid_text(body.get("id") or uuid.uuid4())
        project = {"reference_dataset_id": None, "extra": None, "start_time": now(), **body}
        self.projects[id_] = {**project, "id": id_, "tenant_id": TENANT}
        return self.projects[id_]

    def post_run(self, run: Json) -> None:
        """Store a run. Raises Refused where ids, times and order do not fit together."""
        id_ = uuid_text(run.get("id"))
        self.receipts[id_] += 1
        _check_order(run)
        if id_ not in self.runs:
            self.arrival.append(id_)
        run = dict(run)
        project_id = run.pop("session_id", None)
        name = run.pop("session_name", None)
        project_id = project_id or self.project(name or "default")["id"]
        self.runs[id_] = {**self.runs.get(id_, {}), **run, "id": id_, "project_id": project_id}

    def patch_run(self, run: Json) -> None:
        id_ = uuid_text(run.get("id"))
        if id_ not in self.runs:
            self.post_run(run)
            return
        changed = {k: v for k, v in run.items() if v is not None and not k.startswith("session")}
        self.runs[id_].update(changed)

    def add_feedback(self, body: Json) -> Json:
        id_ = uuid_text(body.get("id") or uuid.uuid4())
        if not body.get("key"):
            raise Refused(422, "feedback needs a key")
        run_id = body.get("run_id") or body.get("trace_id")
        if run_id is None and body.get("session_id") is None:
            raise Refused(422, "feedback needs a run or a project")
        times = {"created_at": now(), "modified_at": now(), "trace_id": None}
        self.feedback[id_] = {**times, **body, "id": id_}
        if run_id is not None:
            self.feedback[id_]["run_id"] = uuid_text(run_id)
        return self.feedback[id_]

    def create_dataset(self, body: Json) -> Json:
        if any(d["name"] == body["name"] for d in self.datasets.values()):
            raise Refused(409, f"Dataset with name {body['name']} already exists")
        id_ = str(uuid.uuid4())
        self.datasets[id_] = {**body, "id": id_, "created_at": now(), "modified_at": now()}
        self.datasets[id_].pop("extra", None)
        return self.datasets[id_]

    def dataset(self, id_: str) -> Json:
        if id_ not in self.datasets:
            raise Refused(404, "Dataset not found")
        return self.datasets[id_]

    def add_example(self, dataset_id: str, body: Json) -> Json:
        """Create an example. Raises Refused (409) for an id that exists, as the service does."""
        self.dataset(dataset_id)
        id_ = uuid_text(body.get("id") or uuid.uuid4())
        if id_ in self.examples:
            raise Refused(409, f"example {id_} already exists")
        metadata = {**(body.get("metadata") or {})}
        split = body.get("split") or "base"
        metadata["dataset_split"] = [split] if isinstance(split, str) else list(split)
        self.examples[id_] = {
            "id": id_,
            "dataset_id": dataset_id,
            "inputs": body.get("inputs") or {},
            "outputs": body.get("outputs"),
            "metadata": metadata,
            "source_run_id": body.get("source_run_id"),
            "created_at": body.get("created_at") or now(),
            "modified_at": now(),
        }
        return self.examples[id_]

    def examples_of(self, dataset_id: str) -> list[Json]:
        found = [each for each in self.examples.values() if each["dataset_id"] == dataset_id]
        return sorted(found, key=lambda each: each["created_at"], reverse=True)

    def queue_runs(self, queue_id: str, runs: list[Json]) -> list[Json]:
        if queue_id not in self.queues:
            raise Refused(404, "Queue not found")
        items = self.queued.setdefault(queue_id, [])
        added = []
        for run in runs:
            run_id = uuid_text(run["run_id"])
            if run_id not in self.runs:
                raise Refused(404, f"run {run_id} not found")
            if all(item["run_id"] != run_id for item in items):
                items.append({"id": str(uuid.uuid4()), "run_id": run_id, "added_at": now()})
                added.append(items[-1])
        return added


def _check_order(run: Json) -> None:
    id_, order = str(run["id"]), run.get("dotted_order")
    trace_id = run.get("trace_id")
    if trace_id is None or order is None:
        raise Refused(422, f"run {id_}: trace_id and dotted_order are required in a batch")
    steps = str(order).split(".")
    if not steps[-1].endswith(id_) or not steps[0].endswith(str(trace_id)):
        raise Refused(422, f"run {id_}: dotted_order does not fit run and trace")
    parent = run.get("parent_run_id")
    if (parent is None) != (len(steps) == 1):
        raise Refused(422, f"run {id_}: dotted_order does not fit parent_run_id")
    if parent is not None and not steps[-2].endswith(str(parent)):
        raise Refused(422, f"run {id_}: dotted_order does not name its parent")
    for name in ("start_time", "end_time"):
        if run.get(name) is not None:
            moment(run[name])
