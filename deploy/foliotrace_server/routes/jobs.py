"""`/v1/jobs`, `/v1/extractions` and `/v1/runs`."""

from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response

from foliotrace.catalog import ErrorCode
from foliotrace.errors import NotFound
from foliotrace.model import JobKind, JobStatus, Principal
from foliotrace_server.contract import ExtractionRequest
from foliotrace_server.engine import Engine
from foliotrace_server.http_guard import ConcurrencyLimit
from foliotrace_server.identity import caller
from foliotrace_server.names import checked_key
from foliotrace_server.request_body import parsed, read_json
from foliotrace_server.routes.documents import whole_number
from foliotrace_server.sse import EventStream, event
from foliotrace_server.wire import dumps, extraction_body, job_body, run_body

_MAX_PAGE = 1000


class JobRoutes:
    """Jobs, extractions and runs over HTTP."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._jobs = engine.parts.ingest.jobs
        self._max_body_bytes = engine.settings.server.max_body_bytes
        streams = engine.settings.server.max_event_streams
        self._streams = ConcurrencyLimit(streams, waiting=0, retry_after_s=5.0)

    async def listing(self, request: Request) -> Response:
        """Jobs, newest first."""
        asked = request.query_params
        limit = whole_number(asked.get("limit"), "limit", default=100, least=1, most=_MAX_PAGE)
        found = await self._jobs.jobs(
            caller().tenant,
            document_id=asked.get("document_id"),
            unfinished=asked.get("unfinished") == "true",
            limit=limit,
            after=asked.get("after"),
        )
        body = {
            "jobs": [job_body(job) for job in found],
            "next": found[-1].id if len(found) == limit else None,
        }
        return Response(dumps(body), media_type="application/json")

    async def one(self, request: Request) -> Response:
        """A job."""
        job = await self._jobs.job(caller().tenant, request.path_params["id"])
        return Response(dumps(job_body(job)), media_type="application/json")

    async def cancel(self, request: Request) -> Response:
        """Cancel a job; its state then."""
        job = await self._engine.intake.cancel(caller(), request.path_params["id"])
        return Response(dumps(job_body(job)), media_type="application/json")

    async def events(self, request: Request) -> Response:
        """Progress as it comes; resumable by `Last-Event-ID`."""
        principal = caller()
        job = await self._jobs.job(principal.tenant, request.path_params["id"])
        last = request.headers.get("last-event-id", "")
        after = int(last) if last.isascii() and last.isdecimal() and len(last) < 10 else -1
        self._streams.refuse_if_full()
        return EventStream(self._progress(principal, job.id, after))

    async def _progress(
        self, principal: Principal, job_id: str, after: int
    ) -> AsyncIterator[bytes]:
        """`progress` for each step of the work, then `end` with the job."""
        durable = self._engine.durable
        async with self._streams.slot():
            await durable.begun(job_id)
            async for sequence, happened in durable.events(job_id, after=after):
                if happened.type == "Progress":
                    yield event("progress", happened.value, id_=sequence)
            await durable.settled(job_id)
            yield event("end", job_body(await self._jobs.job(principal.tenant, job_id)))

    async def extract(self, request: Request) -> Response:
        """Start an extraction. 202 once it will happen whatever is killed."""
        key = checked_key(request.headers.get("idempotency-key"))
        wanted = parsed(ExtractionRequest, await read_json(request, self._max_body_bytes))
        job = await self._engine.intake.extract(
            caller(),
            wanted.document_id,
            wanted.record_schema,
            instructions=wanted.instructions,
            path=wanted.path,
            idempotency_key=key,
        )
        return Response(
            dumps(extraction_body(job, None)), status_code=202, media_type="application/json"
        )

    async def extraction(self, request: Request) -> Response:
        """An extraction and its record, once there is one."""
        tenant, job_id = caller().tenant, request.path_params["id"]
        job = await self._jobs.job(tenant, job_id)
        if job.kind is not JobKind.EXTRACT:
            raise NotFound(code=ErrorCode.JOB_NOT_FOUND)
        made = (
            (await self._jobs.extraction(tenant, job_id))[1]
            if job.status is JobStatus.COMPLETED
            else None
        )
        return Response(dumps(extraction_body(job, made)), media_type="application/json")

    async def run(self, request: Request) -> Response:
        """What is kept of an answered question."""
        run = await self._engine.parts.runs.run(caller().tenant, request.path_params["id"])
        return Response(dumps(run_body(run)), media_type="application/json")
