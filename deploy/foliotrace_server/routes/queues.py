"""`/v1/queues`: annotation queues. They hold every caller's runs: the scope `admin` is needed."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from starlette.requests import Request

from foliotrace.errors import Conflict, InvalidRequest, NotFound
from foliotrace.model import Principal, Run
from foliotrace_loop.ports import LoopError
from foliotrace_loop.queues import QueueItem, Queues, QueueView
from foliotrace_server.engine import Engine
from foliotrace_server.http.identity import caller
from foliotrace_server.http.request_body import parse_as, read_json
from foliotrace_server.loop.bodies import (
    AcceptedItemRequest,
    FilledBody,
    LeaseBody,
    LeaseRequest,
    QueueBody,
    QueueRequest,
    QueuesBody,
    ReviewRequest,
)
from foliotrace_server.loop.run_queries import record_of
from foliotrace_server.routes.endpoint import endpoint

T = TypeVar("T")


class AnnotationQueues:
    """Annotation queues over HTTP."""

    def __init__(self, engine: Engine) -> None:
        self._queues = Queues(engine.loop)
        self._store = engine.loop
        self._runs = engine.assembly.runs
        self._max_body_bytes = engine.settings.server.max_body_bytes

    @endpoint("GET", "/v1/queues", tag="queues", problems=(503,))
    async def list_queues(self, request: Request) -> QueuesBody:
        """List annotation queues."""
        found = await asyncio.to_thread(self._queues.queues, caller().tenant)
        return QueuesBody(queues=tuple(found))

    @endpoint(
        "POST",
        "/v1/queues",
        tag="queues",
        request=QueueRequest,
        problems=(400, 408, 413, 415, 503),
    )
    async def create_queue(self, request: Request) -> QueueView:
        """Create an annotation queue, or change the rules of the one with this name."""
        body = parse_as(QueueRequest, await read_json(request, self._max_body_bytes))
        return await asyncio.to_thread(
            self._queues.create,
            caller().tenant,
            body.name,
            body.rules,
            reviewers=body.reviewers,
            now=datetime.now(UTC),
        )

    @endpoint("GET", "/v1/queues/{id}", tag="queues", problems=(404, 503))
    async def get_queue(self, request: Request) -> QueueBody:
        """Get a queue: its items, their reviews, and how far the reviewers agree."""
        tenant, name = await self._place(request)

        def read() -> QueueBody:
            return QueueBody(
                queue=self._queues.queue(tenant, name),
                items=tuple(self._queues.items(tenant, name)),
                agreement=self._queues.agreement(tenant, name),
            )

        return await asyncio.to_thread(read)

    @endpoint("POST", "/v1/queues/{id}/fill", tag="queues", problems=(404, 503))
    async def fill_queue(self, request: Request) -> FilledBody:
        """Add the runs that the queue's rules name. Repeating it adds nothing twice."""
        tenant, name = await self._place(request)
        ratings = await asyncio.to_thread(self._store.feedback_by_run, tenant)
        records: list[Mapping[str, Any]] = []

        def collect(run: Run) -> bool:
            records.append(record_of(run, ratings.get(run.id, ())))
            return True

        await self._runs.visit(tenant, collect)
        now = datetime.now(UTC)
        added = await asyncio.to_thread(self._queues.fill, tenant, name, records, now=now)
        return FilledBody(added=added)

    @endpoint(
        "POST",
        "/v1/queues/{id}/lease",
        tag="queues",
        request=LeaseRequest,
        problems=(400, 404, 408, 413, 415, 503),
    )
    async def lease_item(self, request: Request) -> LeaseBody:
        """Lease the oldest run that still needs your review; `item` is null if there is none."""
        tenant, name = await self._place(request)
        body = parse_as(LeaseRequest, await read_json(request, self._max_body_bytes))
        item = await asyncio.to_thread(
            self._queues.lease,
            tenant,
            name,
            _reviewer(caller(), body.reviewer),
            now=datetime.now(UTC),
            lasting=timedelta(seconds=body.lease_s),
        )
        return LeaseBody(item=item)

    @endpoint(
        "POST",
        "/v1/queues/{id}/reviews",
        tag="queues",
        request=ReviewRequest,
        problems=(400, 404, 408, 409, 413, 415, 503),
    )
    async def review_item(self, request: Request) -> QueueItem:
        """Review a run of the queue; your own review again replaces the one before."""
        tenant, name = await self._place(request)
        body = parse_as(ReviewRequest, await read_json(request, self._max_body_bytes))
        return await _in_conflict(
            lambda: self._queues.review(
                tenant,
                name,
                body.run_id,
                reviewer=_reviewer(caller(), body.reviewer),
                label=body.label,
                comment=body.comment,
                now=datetime.now(UTC),
            )
        )

    @endpoint(
        "POST",
        "/v1/queues/{id}/accepted",
        tag="queues",
        request=AcceptedItemRequest,
        problems=(400, 404, 408, 409, 413, 415, 503),
    )
    async def accept_item(self, request: Request) -> QueueBody:
        """Record that a run of the queue became a dataset row."""
        tenant, name = await self._place(request)
        body = parse_as(AcceptedItemRequest, await read_json(request, self._max_body_bytes))
        await _in_conflict(lambda: self._queues.accept(tenant, name, body.run_id, body.row_id))
        return await self.get_queue(request)

    async def _place(self, request: Request) -> tuple[str, str]:
        """(tenant, name) of the queue in the path. Raises NotFound."""
        tenant, name = caller().tenant, request.path_params["id"]
        try:
            await asyncio.to_thread(self._queues.queue, tenant, name)
        except LoopError:
            raise NotFound("there is no queue of this name", hint="GET /v1/queues.") from None
        return tenant, name


async def _in_conflict(work: Callable[[], T]) -> T:
    """Run `work` on a thread; what the loop refuses is a conflict with the queue's state."""
    try:
        return await asyncio.to_thread(work)
    except LoopError as error:
        raise Conflict(str(error), hint="Lease the next item.") from None


def _reviewer(principal: Principal, named: str | None) -> str:
    """The reviewer: who the API key belongs to; without keys, the name in the request."""
    if principal == Principal():
        if named is None:
            raise InvalidRequest("without API keys, `reviewer` says who reviews")
        return named
    return principal.subject
