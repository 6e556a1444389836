"""`/v1/jobs` and `/v1/extractions`."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress

import orjson
from starlette.requests import Request
from starlette.responses import Response

from foliotrace.catalog import ErrorCode
from foliotrace.errors import NotFound
from foliotrace.jobs import Progress, document_of, job_of
from foliotrace.model import Job, JobKind, JobStatus, JobView, Principal
from foliotrace_server.bodies import (
    ExtractionBody,
    ExtractionRequest,
    JobsBody,
    extraction_body,
    to_json,
)
from foliotrace_server.engine import Engine
from foliotrace_server.http.identity import caller
from foliotrace_server.http.overload import ConcurrencyLimit
from foliotrace_server.http.request_body import checked_key, parse_as, read_json
from foliotrace_server.openapi.operation import header_parameter, paging, query_parameter
from foliotrace_server.routes.documents import whole_number
from foliotrace_server.routes.endpoint import DEGRADATION_HEADER, EventStream, endpoint, event

_MAX_PAGE = 1000
_IDS = {"type": "array", "items": {"type": "string"}, "maxItems": _MAX_PAGE}
JOB_EVENTS = {"progress": Progress, "end": JobView}
"""The server-sent events of a job, by name."""


class Jobs:
    """Jobs and extractions over HTTP."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._services = engine.assembly.ingest
        self._jobs = self._services.jobs
        self._max_body_bytes = engine.settings.server.max_body_bytes
        streams = engine.settings.server.max_event_streams
        self._streams = ConcurrencyLimit(streams, waiting=0, retry_after_s=5.0)

    @endpoint(
        "POST",
        "/v1/extractions",
        tag="extractions",
        status=202,
        request=ExtractionRequest,
        parameters=[
            header_parameter("Idempotency-Key", "The same key again returns the same job.")
        ],
        problems=(400, 404, 408, 409, 413, 415, 422, 429, 503),
    )
    async def extract(self, request: Request) -> ExtractionBody:
        """Extract a typed record.

        Answered once the job is stored durably; it survives a crash.
        """
        key = checked_key(request.headers.get("idempotency-key"))
        extraction = parse_as(ExtractionRequest, await read_json(request, self._max_body_bytes))
        job = await self._engine.jobs.extract(
            caller(),
            extraction.document_id,
            extraction.record_schema,
            instructions=extraction.instructions,
            path=extraction.path,
            idempotency_key=key,
        )
        return extraction_body(job, None)

    @endpoint(
        "GET",
        "/v1/extractions/{id}",
        tag="extractions",
        response=ExtractionBody,
        headers=DEGRADATION_HEADER,
        problems=(404, 503),
    )
    async def get_extraction(self, request: Request) -> Response:
        """Get an extraction and, once it has completed, its record."""
        tenant, job_id = caller().tenant, request.path_params["id"]
        job = await job_of(self._services, caller(), job_id)
        if job.kind is not JobKind.EXTRACT:
            raise NotFound(code=ErrorCode.JOB_NOT_FOUND)
        found, headers = None, {}
        if job.status is JobStatus.COMPLETED:
            found = (await self._jobs.extraction(tenant, job_id))[1]
            headers = {"X-Degradation-Level": str(int(found.degradation.level))}
        body = to_json(ExtractionBody, extraction_body(job, found))
        return Response(body, media_type="application/json", headers=headers)

    @endpoint(
        "GET",
        "/v1/jobs",
        tag="jobs",
        parameters=[
            *paging("The `next` of the page before: a job id."),
            query_parameter("document_id", {"type": "string"}, "Only jobs of this document."),
            query_parameter("unfinished", {"type": "boolean"}, "Only jobs that have not ended."),
            query_parameter("id", _IDS, "Exactly these jobs; the other parameters do not count."),
        ],
        problems=(400, 404, 503),
    )
    async def list_jobs(self, request: Request) -> JobsBody:
        """List jobs, newest first."""
        query = request.query_params
        if ids := query.getlist("id")[:_MAX_PAGE]:
            return JobsBody(jobs=tuple(await self._known(ids)), next=None)
        limit = whole_number(query.get("limit"), "limit", default=100, least=1, most=_MAX_PAGE)
        document_id = query.get("document_id")
        unfinished = query.get("unfinished") == "true"
        jobs: list[Job] = []
        after = query.get("after")
        if after is not None:
            await job_of(self._services, caller(), after)
        while len(jobs) < limit and (
            page := await self._jobs.jobs(
                caller().tenant,
                document_id=document_id,
                unfinished=unfinished,
                limit=limit,
                after=after,
            )
        ):
            jobs += await self._visible(page)
            after = page[-1].id
            if len(page) < limit:
                break
        jobs = jobs[:limit]
        return JobsBody(jobs=tuple(jobs), next=jobs[-1].id if len(jobs) == limit else None)

    async def _known(self, job_ids: Sequence[str]) -> Sequence[Job]:
        jobs = []
        for job_id in job_ids:
            with suppress(NotFound):
                jobs.append(await job_of(self._services, caller(), job_id))
        return jobs

    async def _visible(self, jobs: Sequence[Job]) -> Sequence[Job]:
        """The jobs whose documents the caller may use."""
        principal = caller()
        if principal.collections is None:
            return jobs
        documents = {job.document_id for job in jobs}
        visible = {i for i in documents if await self._is_visible(principal, i)}
        return [job for job in jobs if job.document_id in visible]

    async def _is_visible(self, principal: Principal, document_id: str) -> bool:
        try:
            await document_of(self._services.library, principal, document_id)
        except NotFound:
            return False
        return True

    @endpoint("GET", "/v1/jobs/{id}", tag="jobs", problems=(404, 503))
    async def get_job(self, request: Request) -> JobView:
        """Get a job."""
        return await job_of(self._services, caller(), request.path_params["id"])

    @endpoint(
        "GET",
        "/v1/jobs/{id}/events",
        tag="jobs",
        events=JOB_EVENTS,
        parameters=[header_parameter("Last-Event-ID", "Resume after this event.")],
        problems=(404, 429, 503),
    )
    async def follow_job(self, request: Request) -> Response:
        """Follow a job as server-sent events: `progress` as it comes, then `end` with the job."""
        principal = caller()
        job = await job_of(self._services, principal, request.path_params["id"])
        last = request.headers.get("last-event-id", "")
        after = int(last) if last.isascii() and last.isdecimal() and len(last) < 10 else -1
        self._streams.refuse_if_full()
        return EventStream(self._progress(principal, job.id, after))

    async def _progress(
        self, principal: Principal, job_id: str, after: int
    ) -> AsyncGenerator[bytes, None]:
        durable = self._engine.durable
        silent = after < 0
        async with self._streams.slot():
            await durable.accepted.wait_started(job_id)
            async for sequence, envelope in durable.records.events(job_id, after=after):
                if envelope.type == "Progress":
                    silent = False
                    yield event("progress", orjson.dumps(envelope.value), id_=sequence)
            await durable.accepted.wait_ended(job_id)
            job = await self._jobs.job(principal.tenant, job_id)
            if silent and job.kind is JobKind.INGEST and job.stage == JobStatus.COMPLETED:
                yield event("progress", orjson.dumps(_all_at_once(job).model_dump()), id_=0)
            yield event("end", to_json(JobView, job))

    @endpoint("POST", "/v1/jobs/{id}/cancel", tag="jobs", problems=(404, 409, 503))
    async def cancel_job(self, request: Request) -> JobView:
        """Cancel a job."""
        return await self._engine.jobs.cancel(caller(), request.path_params["id"])


def _all_at_once(job: Job) -> Progress:
    """The progress of a small file, which was ingested together with others."""
    return Progress(
        job_id=job.id,
        stage=job.stage,
        pages_done=job.pages_done,
        pages_total=job.pages_total,
        chunks=job.chunks,
    )
