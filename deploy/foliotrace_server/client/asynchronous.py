"""The asynchronous client; `synchronous.py` is generated from it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Self, TypeVar

import httpx

from foliotrace.model import (
    DEFAULT_COLLECTION,
    DocumentView,
    ExecutionMode,
    JobView,
    JsonObject,
    Metadata,
)
from foliotrace_loop.feedback import FeedbackView
from foliotrace_loop.queues import QueueItem, QueueRules, QueueView
from foliotrace_server import bodies
from foliotrace_server.client import api_requests
from foliotrace_server.client.api_requests import (
    ApiRequest,
    EventReader,
    File,
    ServerEvent,
    Unreachable,
)
from foliotrace_server.loop import bodies as loop_bodies

if TYPE_CHECKING:
    from llama_agents.client import WorkflowClient  # type: ignore[import-untyped] # no py.typed

B = TypeVar("B")
_TIMEOUT_S = 60.0


class AsyncFoliotraceClient:
    """Client of the REST API.

    Every method raises ServerProblem (with the server's error code) and Unreachable.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8080",
        *,
        api_key: str | None = None,
        timeout_s: float = _TIMEOUT_S,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.http = httpx.AsyncClient(
            base_url=url,
            headers=api_requests.authorization(api_key),
            timeout=timeout_s,
            transport=transport,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self.http.aclose()

    @property
    def workflows(self) -> "WorkflowClient":
        """LlamaIndex's own client of the same server, over the same connections."""
        from llama_agents.client import WorkflowClient

        return WorkflowClient(httpx_client=self.http)

    async def ask(
        self,
        query: str,
        *,
        top_k: int = 5,
        filters: api_requests.Filters | None = None,
        collection: str = DEFAULT_COLLECTION,
        user_id: str | None = None,
        session_id: str | None = None,
        tags: Sequence[str] = (),
        metadata: Metadata | None = None,
        path: ExecutionMode | str | None = None,
        bypass_cache: bool = False,
        history: Sequence[str] = (),
        max_cost_usd: Decimal | None = None,
    ) -> bodies.AnswerBody:
        """Ask a question; the answer cites the pages it comes from.

        `history` are the earlier questions of a conversation, the oldest first. `max_cost_usd`
        lowers the service's own limit for this answer.
        """
        request = api_requests.ask(
            query,
            top_k=top_k,
            filters=filters,
            collection=collection,
            user_id=user_id,
            session_id=session_id,
            tags=tags,
            metadata=metadata,
            path=path,
            bypass_cache=bypass_cache,
            history=history,
            max_cost_usd=max_cost_usd,
        )
        return await self._send(request)

    async def ask_in_pieces(
        self,
        query: str,
        *,
        top_k: int = 5,
        filters: api_requests.Filters | None = None,
        collection: str = DEFAULT_COLLECTION,
        user_id: str | None = None,
        session_id: str | None = None,
        tags: Sequence[str] = (),
        metadata: Metadata | None = None,
        path: ExecutionMode | str | None = None,
        max_cost_usd: Decimal | None = None,
    ) -> AsyncIterator[ServerEvent]:
        """Stream an answer: `start`, `degraded`, `delta`, `reset` as they come, `answer` last."""
        request = api_requests.ask(
            query,
            top_k=top_k,
            filters=filters,
            collection=collection,
            user_id=user_id,
            session_id=session_id,
            tags=tags,
            metadata=metadata,
            stream=True,
            path=path,
            max_cost_usd=max_cost_usd,
        )
        async for event in self._events(request):
            yield event

    async def upload(
        self,
        files: Sequence[File],
        *,
        collection: str = DEFAULT_COLLECTION,
        metadata: Metadata | None = None,
        idempotency_key: str | None = None,
        path: ExecutionMode | str | None = None,
        pages: str | None = None,
    ) -> bodies.UploadBody:
        """Upload files; each is accepted with its job or refused with a problem.

        `pages`, as in "1-3,7", are the pages to read of PDF, TIFF and PPTX files.
        """
        request = api_requests.upload(
            files,
            collection=collection,
            metadata=metadata,
            idempotency_key=idempotency_key,
            path=path,
            pages=pages,
        )
        return await self._send(request)

    async def documents(
        self,
        *,
        collection: str | None = None,
        name: str | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> bodies.DocumentsBody:
        """List documents, one page at a time."""
        return await self._send(
            api_requests.documents(collection=collection, name=name, limit=limit, after=after)
        )

    async def document(self, document_id: str) -> DocumentView:
        """Get a document."""
        return await self._send(api_requests.get(f"/v1/documents/{document_id}", DocumentView))

    async def delete_document(self, document_id: str) -> DocumentView:
        """Delete a document and everything derived from it."""
        path = f"/v1/documents/{document_id}"
        return await self._send(ApiRequest(method="DELETE", path=path, body_type=DocumentView))

    async def erase(
        self,
        *,
        user: str | None = None,
        collection: str | None = None,
        before: datetime | None = None,
    ) -> bodies.ErasureBody:
        """Erase data by user, collection or age; conditions are combined with AND."""
        return await self._send(
            api_requests.erasure(user=user, collection=collection, before=before)
        )

    async def page(self, document_id: str, number: int) -> bodies.PageBody:
        """Get a page of a document with its boxes."""
        path = f"/v1/documents/{document_id}/pages/{number}"
        return await self._send(api_requests.get(path, bodies.PageBody))

    async def extract(
        self,
        document_id: str,
        schema: JsonObject,
        *,
        instructions: str | None = None,
        idempotency_key: str | None = None,
        path: ExecutionMode | str | None = None,
    ) -> bodies.ExtractionBody:
        """Start an extraction; `follow` its job, then read `extraction`."""
        return await self._send(
            api_requests.extract(
                document_id,
                schema,
                instructions=instructions,
                key=idempotency_key,
                path=path,
            )
        )

    async def extraction(self, job_id: str) -> bodies.ExtractionBody:
        """Get an extraction and, once it has completed, its record."""
        return await self._send(
            api_requests.get(f"/v1/extractions/{job_id}", bodies.ExtractionBody)
        )

    async def jobs(
        self,
        *,
        document_id: str | None = None,
        unfinished: bool = False,
        limit: int = 100,
        after: str | None = None,
        ids: Sequence[str] | None = None,
    ) -> bodies.JobsBody:
        """List jobs, newest first, one page at a time; or exactly those of `ids`."""
        request = api_requests.get(
            "/v1/jobs",
            bodies.JobsBody,
            document_id=document_id,
            unfinished="true" if unfinished else None,
            limit=limit,
            after=after,
            id=ids,
        )
        return await self._send(request)

    async def job(self, job_id: str) -> JobView:
        """Get a job."""
        return await self._send(api_requests.get(f"/v1/jobs/{job_id}", JobView))

    async def cancel_job(self, job_id: str) -> JobView:
        """Cancel a job."""
        path = f"/v1/jobs/{job_id}/cancel"
        return await self._send(ApiRequest(method="POST", path=path, body_type=JobView))

    async def follow(
        self, job_id: str, *, last_id: str | None = None
    ) -> AsyncIterator[ServerEvent]:
        """Follow a job: `progress` events, then `end` with the job. Resumes after `last_id`."""
        headers = {"Last-Event-ID": last_id} if last_id else {}
        request = ApiRequest(
            method="GET", path=f"/v1/jobs/{job_id}/events", body_type=JobView, headers=headers
        )
        async for event in self._events(request):
            yield event

    async def runs(
        self,
        *,
        filter: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> loop_bodies.RunsBody:
        """List runs, newest first, one page at a time; `filter` is in LangSmith's grammar."""
        return await self._send(
            api_requests.get(
                "/v1/runs",
                loop_bodies.RunsBody,
                **api_requests.selection(filter, since, until),
                limit=limit,
                after=after,
            )
        )

    async def run_stats(
        self,
        *,
        filter: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        window_s: int | None = None,
    ) -> loop_bodies.RunStatsBody:
        """Get latency percentiles, error rate, tokens and cost of the matching runs."""
        return await self._send(
            api_requests.get(
                "/v1/runs/stats",
                loop_bodies.RunStatsBody,
                **api_requests.selection(filter, since, until),
                window_s=window_s,
            )
        )

    async def run(self, run_id: str) -> loop_bodies.RunBody:
        """Get the stored record of a question, by its run id or trace id."""
        return await self._send(api_requests.get(f"/v1/runs/{run_id}", loop_bodies.RunBody))

    async def feedback(
        self,
        run_id: str,
        key: str,
        *,
        score: float | None = None,
        value: str | float | bool | None = None,
        comment: str | None = None,
    ) -> FeedbackView:
        """Rate a run, named by its run id or trace id; sent again, it replaces itself."""
        return await self._send(
            api_requests.feedback(run_id, key, score=score, value=value, comment=comment)
        )

    async def create_queue(
        self, name: str, *, reviewers: int = 2, rules: QueueRules | None = None
    ) -> QueueView:
        """Create an annotation queue, or change the rules of the one with this name."""
        request = api_requests.queue(name, reviewers=reviewers, rules=rules or QueueRules())
        return await self._send(request)

    async def queues(self) -> loop_bodies.QueuesBody:
        """List annotation queues."""
        return await self._send(api_requests.get("/v1/queues", loop_bodies.QueuesBody))

    async def queue(self, name: str) -> loop_bodies.QueueBody:
        """Get a queue: its items, their reviews, and how far the reviewers agree."""
        return await self._send(api_requests.get(f"/v1/queues/{name}", loop_bodies.QueueBody))

    async def fill_queue(self, name: str) -> loop_bodies.FilledBody:
        """Add the runs that the queue's rules name."""
        path = f"/v1/queues/{name}/fill"
        return await self._send(
            ApiRequest(method="POST", path=path, body_type=loop_bodies.FilledBody)
        )

    async def lease(self, name: str, *, reviewer: str | None = None) -> loop_bodies.LeaseBody:
        """Lease the oldest run that still needs a review of `reviewer`."""
        return await self._send(
            api_requests.post(f"/v1/queues/{name}/lease", loop_bodies.LeaseBody, reviewer=reviewer)
        )

    async def review(
        self,
        name: str,
        run_id: str,
        label: str,
        *,
        comment: str | None = None,
        reviewer: str | None = None,
    ) -> QueueItem:
        """Review a run of a queue."""
        path = f"/v1/queues/{name}/reviews"
        return await self._send(
            api_requests.post(
                path, QueueItem, run_id=run_id, label=label, comment=comment, reviewer=reviewer
            )
        )

    async def accept(self, name: str, run_id: str, row_id: str) -> loop_bodies.QueueBody:
        """Record that a run of a queue became a dataset row."""
        path = f"/v1/queues/{name}/accepted"
        return await self._send(
            api_requests.post(path, loop_bodies.QueueBody, run_id=run_id, row_id=row_id)
        )

    async def reconcile_index(
        self, collection: str = "default", *, dry_run: bool = False
    ) -> bodies.DriftBody:
        """Repair the managed index, or with `dry_run` only report how it differs."""
        path = "/v1/index/reconcile"
        return await self._send(
            api_requests.post(path, bodies.DriftBody, collection=collection, dry_run=dry_run)
        )

    async def ready(self) -> bodies.ReadyBody:
        """Get what the server can do now, and at which degradation level."""
        return await self._send(api_requests.get("/readyz", bodies.ReadyBody))

    async def _send(self, request: ApiRequest[B]) -> B:
        try:
            with request.opened:
                response = await self.http.request(
                    request.method, request.path, **request.arguments()
                )
        except httpx.TransportError as error:
            raise Unreachable(f"no answer from {self.http.base_url}") from error
        return request.read(response)

    async def _events(self, request: ApiRequest[Any]) -> AsyncIterator[ServerEvent]:
        reader = EventReader()
        async with self._stream(request) as response:
            async for line in response.aiter_lines():
                for event in reader.feed(line):
                    if event.name == "problem":
                        raise api_requests.problem_in(event)
                    yield event

    @asynccontextmanager
    async def _stream(self, request: ApiRequest[Any]) -> AsyncIterator[httpx.Response]:
        try:
            async with self.http.stream(
                request.method, request.path, **request.arguments()
            ) as response:
                if not response.is_success:
                    await response.aread()
                    api_requests.refuse(response)
                yield response
        except httpx.TransportError as error:
            raise Unreachable(f"no answer from {self.http.base_url}") from error
