"""The fake's endpoints, on a real socket, with faults."""

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route
from tests.fakes.langsmith.ingest import ingest, ingest_examples, parts_of
from tests.fakes.langsmith.queries import query_runs, record, shown
from tests.fakes.langsmith.state import TENANT, Json, Refused, State, now
from tests.fakes.wire import Fault, FaultPlan, Gate, Planned, RequestLog, SocketServer

API_KEY = "lsv2_pt_fake"
MULTIPART = "POST /runs/multipart"
RUN_LIMIT, BYTE_LIMIT = 100, 20_971_520


class FakeLangSmith:
    """One workspace on one port. `max_body_bytes` answers larger ingest bodies with 413."""

    api_key = API_KEY

    def __init__(
        self, *, port: int = 0, zstd: bool = False, max_body_bytes: int = BYTE_LIMIT
    ) -> None:
        self.state = State()
        self.requests = RequestLog()
        self.broken: list[str] = []
        self.max_body_bytes = max_body_bytes
        self.refuse: Callable[[Json], str | None] | None = None
        self.strict_feedback = False  # whether a second POST with one id is refused
        self._zstd = zstd
        self._app = Starlette(routes=[self._route(*each) for each in self._table()])
        self._faults = FaultPlan(frozenset(f"{m} {path}" for m, path, _ in self._table()))
        gate = Gate(
            self._app,
            plan=self._faults,
            log=self.requests,
            label=self._label,
            reset=lambda client: self._server.reset(client),
            error_body=lambda status, detail: {"detail": detail},
        )

        async def door(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http":
                scope = {**scope, "path": _short(scope["path"])}
            await gate(scope, receive, send)

        self._server = SocketServer(door, port=port)

    @property
    def url(self) -> str:
        """What LANGSMITH_ENDPOINT is set to."""
        return self._server.url

    @property
    def connections(self) -> int:
        """TCP connections accepted so far."""
        return self._server.connections

    def fail(self, endpoint: str, fault: Fault, **when: Any) -> Planned:
        """Plan a fault; `when` as in `FaultPlan.add`."""
        return self._faults.add(endpoint, fault, **when)

    def recover(self) -> None:
        """Drop every planned fault."""
        self._faults.clear()

    def start(self) -> None:
        """Listen; also brings a dead server back."""
        self._server.start()

    def die(self) -> None:
        """Close the port and reset every connection."""
        self._server.die()

    def stop(self) -> None:
        """Stop for good."""
        self._server.stop()

    def _label(self, scope: Any) -> str:
        for route in self._app.routes:
            if isinstance(route, Route) and route.matches(scope)[0] is Match.FULL:
                return f"{scope['method']} {route.path}"
        return "unknown"

    def _route(self, method: str, path: str, handler: Any) -> Route:
        async def guarded(request: Request) -> Response:
            try:
                if not request.headers.get("x-api-key", "").startswith("lsv2_") and path != "/info":
                    raise Refused(401, "Invalid token")
                found = handler(request)
                reply = await found if hasattr(found, "__await__") else found
            except Refused as refused:
                return JSONResponse({"detail": str(refused)}, refused.status)
            except Exception as crash:
                self.broken.append(f"{method} {path}: {crash!r}")
                raise
            return reply if isinstance(reply, Response) else JSONResponse(reply)

        return Route(path, guarded, methods=[method])

    def _table(self) -> list[tuple[str, str, Any]]:
        return [
            ("GET", "/info", self._info),
            ("POST", "/runs/multipart", self._multipart),
            ("POST", "/runs/batch", self._batch),
            ("POST", "/runs", self._create_run),
            ("PATCH", "/runs/{id}", self._update_run),
            ("GET", "/runs/{id}", self._read_run),
            ("POST", "/v2/runs/query", self._query_runs),
            ("GET", "/v2/runs/{id}", self._retrieve_run),
            ("GET", "/sessions", self._list_projects),
            ("POST", "/sessions", self._create_project),
            ("GET", "/sessions/{id}", self._read_project),
            ("PATCH", "/sessions/{id}", self._update_project),
            ("GET", "/datasets", self._list_datasets),
            ("POST", "/datasets", self._create_dataset),
            ("GET", "/datasets/{id}", lambda r: self.state.dataset(r.path_params["id"])),
            ("POST", "/platform/datasets/{id}/examples", self._examples_multipart),
            ("PATCH", "/platform/datasets/{id}/examples", self._examples_multipart),
            ("GET", "/examples", self._list_examples),
            ("POST", "/examples", self._create_example),
            ("POST", "/examples/bulk", self._create_examples),
            ("GET", "/examples/{id}", self._read_example),
            ("POST", "/feedback", self._create_feedback),
            ("GET", "/feedback", self._list_feedback),
            ("PATCH", "/feedback/{id}", self._update_feedback),
            ("POST", "/annotation-queues", self._create_queue),
            ("GET", "/annotation-queues/{id}", self._read_queue),
            ("POST", "/annotation-queues/{id}/runs", self._queue_runs),
            ("POST", "/annotation-queues/{id}/runs/by-key", self._queue_runs),
            ("GET", "/annotation-queues/{id}/run/{index:int}", self._queued_run),
            ("POST", "/platform/annotation-queues/{id}/items", self._queue_items),
            ("GET", "/platform/annotation-queues/{id}/items", self._queued_items),
        ]

    def _info(self, _request: Request) -> Json:
        return {
            "version": "0.16.0",
            "instance_flags": {
                "zstd_compression_enabled": self._zstd,
                "dataset_examples_multipart_enabled": True,
                "ch_query_enabled": True,
                "sdb_query_enabled": True,
            },
            "batch_ingest_config": {
                "use_multipart_endpoint": True,
                "size_limit": RUN_LIMIT,
                "size_limit_bytes": BYTE_LIMIT,
                "scale_up_qsize_trigger": 1000,
                "scale_up_nthreads_limit": 16,
                "scale_down_nempty_trigger": 4,
            },
        }

    async def _multipart(self, request: Request) -> Response:
        body = await request.body()
        if len(body) > self.max_body_bytes:
            raise Refused(413, "Payload Too Large")
        parts = parts_of(dict(request.headers), body)
        for name, content in parts if self.refuse is not None else ():
            if name.startswith("post.") and name.count(".") == 1:
                said = self.refuse(json.loads(content))  # type: ignore[misc]
                if said is not None:
                    raise Refused(422, said)
        ingest(self.state, parts)
        return JSONResponse({"message": "Runs batch ingested"}, 202)

    async def _batch(self, request: Request) -> Response:
        body = await request.json()
        for run in body.get("post") or ():
            self.state.post_run(run)
        for run in body.get("patch") or ():
            self.state.patch_run(run)
        return JSONResponse({}, 202)

    async def _create_run(self, request: Request) -> Response:
        run = await request.json()
        run.setdefault("trace_id", run["id"])
        run.setdefault("dotted_order", run["id"])
        self.state.post_run(run)
        return JSONResponse({}, 202)

    async def _update_run(self, request: Request) -> Json:
        self.state.patch_run({**await request.json(), "id": request.path_params["id"]})
        return {}

    def _run(self, request: Request) -> Json:
        run = self.state.runs.get(request.path_params["id"])
        if run is None:
            raise Refused(404, "Run not found")
        return run

    def _read_run(self, request: Request) -> Json:
        run = record(self.state, self._run(request))
        kind = {"run_type": run["run_type"].lower(), "status": run["status"].lower()}
        return {**run, **kind, "session_id": run["project_id"]}

    async def _query_runs(self, request: Request) -> Json:
        return query_runs(self.state, await request.json())

    def _retrieve_run(self, request: Request) -> Json:
        run = self._run(request)
        if request.query_params.get("project_id") != run["project_id"]:
            raise Refused(404, "Run not found in this project")
        return shown(self.state, run, request.query_params.getlist("selects"))

    def _list_projects(self, request: Request) -> list[Json]:
        name, dataset = (request.query_params.get(n) for n in ("name", "reference_dataset"))
        return self._page(
            request,
            [
                p
                for p in self.state.projects.values()
                if name in (None, p["name"]) and dataset in (None, p["reference_dataset_id"])
            ],
        )

    async def _create_project(self, request: Request) -> Json:
        body = await request.json()
        if request.query_params.get("upsert", "").lower() == "true":
            known = [p for p in self.state.projects.values() if p["name"] == body["name"]]
            if known:
                return known[0]
        return self.state.create_project(body)

    def _read_project(self, request: Request) -> Json:
        found = self.state.projects.get(request.path_params["id"])
        if found is None:
            raise Refused(404, "Project not found")
        return found

    async def _update_project(self, request: Request) -> Json:
        project = self._read_project(request)
        changed = {k: v for k, v in (await request.json()).items() if v is not None}
        project.update(changed)
        return project

    def _list_datasets(self, request: Request) -> list[Json]:
        name = request.query_params.get("name")
        found = [d for d in self.state.datasets.values() if name in (None, d["name"])]
        return self._page(request, found)

    async def _create_dataset(self, request: Request) -> Json:
        return self.state.create_dataset(await request.json())

    async def _examples_multipart(self, request: Request) -> Json:
        parts = parts_of(dict(request.headers), await request.body())
        id_, update = request.path_params["id"], request.method == "PATCH"
        ids = ingest_examples(self.state, id_, parts, update=update)
        return {"count": len(ids), "example_ids": ids, "as_of": now()}

    def _list_examples(self, request: Request) -> list[Json]:
        dataset = request.query_params.get("dataset")
        ids = request.query_params.getlist("id")
        found = self.state.examples_of(dataset) if dataset else list(self.state.examples.values())
        return self._page(request, [each for each in found if not ids or each["id"] in ids])

    async def _create_example(self, request: Request) -> Json:
        body = await request.json()
        return self.state.add_example(body["dataset_id"], body)

    async def _create_examples(self, request: Request) -> list[Json]:
        return [self.state.add_example(b["dataset_id"], b) for b in await request.json()]

    def _read_example(self, request: Request) -> Json:
        found = self.state.examples.get(request.path_params["id"])
        if found is None:
            raise Refused(404, "Example not found")
        return found

    async def _create_feedback(self, request: Request) -> Json:
        body = await request.json()
        if self.strict_feedback and body.get("id") in self.state.feedback:
            raise Refused(409, "feedback exists")
        return self.state.add_feedback(body)

    async def _update_feedback(self, request: Request) -> Json:
        found = self.state.feedback.get(request.path_params["id"])
        if found is None:
            raise Refused(404, "Feedback not found")
        found.update(await request.json())
        return found

    def _list_feedback(self, request: Request) -> list[Json]:
        runs = request.query_params.getlist("run")
        found = [f for f in self.state.feedback.values() if not runs or f.get("run_id") in runs]
        return self._page(request, found)

    async def _create_queue(self, request: Request) -> Json:
        body = await request.json()
        if any(q["name"] == body["name"] for q in self.state.queues.values()):
            raise Refused(409, f"queue {body['name']} exists")
        id_ = str(body.get("id") or uuid.uuid4())
        self.state.queues[id_] = {**body, "id": id_, "tenant_id": TENANT, "created_at": now()}
        return self.state.queues[id_]

    def _read_queue(self, request: Request) -> Json:
        found = self.state.queues.get(request.path_params["id"])
        if found is None:
            raise Refused(404, "Queue not found")
        return found

    async def _queue_runs(self, request: Request) -> list[Json]:
        body = await request.json()
        runs = [each if isinstance(each, dict) else {"run_id": each} for each in body]
        return self.state.queue_runs(request.path_params["id"], runs)

    def _queued_run(self, request: Request) -> Json:
        items = self.state.queued.get(request.path_params["id"], [])
        if request.path_params["index"] >= len(items):
            raise Refused(404, "no such item")
        item = items[request.path_params["index"]]
        run = record(self.state, self.state.runs[item["run_id"]])
        return {**run, "session_id": run["project_id"], "added_at": item["added_at"]}

    async def _queue_items(self, request: Request) -> Json:
        body = await request.json()
        return {"items": self.state.queue_runs(request.path_params["id"], body["items"])}

    def _queued_items(self, request: Request) -> Json:
        return {"items": self.state.queued.get(request.path_params["id"], []), "next_cursor": None}

    def _page(self, request: Request, found: list[Json]) -> list[Json]:
        start = int(request.query_params.get("offset", 0))
        return found[start : start + int(request.query_params.get("limit", 100))]


def _short(path: str) -> str:
    """The path without what the clients put before it: /api, /api/v1, /v1."""
    for prefix in ("/api/v1", "/api", "/v1"):
        if path.startswith(prefix + "/"):
            return path.removeprefix(prefix)
    return path


@contextmanager
def running_fake_langsmith(**options: Any) -> Iterator[FakeLangSmith]:
    """A fake workspace on a free port for the length of the block."""
    fake = FakeLangSmith(**options)
    fake.start()
    try:
        yield fake
    finally:
        fake.stop()
    assert not fake.broken, fake.broken
