"""The SERVER span of a request: named by route, continuing the caller's trace, to the last byte."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route
from tests.otel.recorded_spans import RecordedSpans, recording

from foliotrace import events
from foliotrace_otel import TracingMiddleware

pytestmark = pytest.mark.anyio
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def job(request: Request) -> PlainTextResponse:
    with events.stage("retrieve"):
        return PlainTextResponse(request.path_params["job_id"])


async def broken(request: Request) -> PlainTextResponse:
    raise LookupError("canary text")


async def stream(request: Request) -> StreamingResponse:
    async def tokens() -> AsyncIterator[str]:
        for token in "abc":
            await asyncio.sleep(0.01)
            yield token
        with events.stage("ground"):
            pass

    return StreamingResponse(tokens())


ROUTES = [
    Mount("/v1", routes=[Route("/jobs/{job_id}", job), Route("/stream", stream)]),
    Route("/broken", broken),
    Route("/healthz", lambda request: PlainTextResponse("ok")),
]


def client(seen: RecordedSpans, **options: Any) -> httpx.AsyncClient:
    app = TracingMiddleware(Starlette(routes=ROUTES), seen.provider, seen.metrics)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://test", **options)


async def test_a_request_is_named_by_its_route_and_holds_its_stages() -> None:
    with recording() as seen:
        async with client(seen) as http:
            answer = await http.get("/v1/jobs/job_secret?key=canary")
    server = seen.one("GET /v1/jobs/{job_id}")
    assert server.kind is SpanKind.SERVER
    assert server.attributes["http.response.status_code"] == 200
    assert server.attributes["foliotrace.entry"] is True
    assert seen.parent_name(seen.one("retrieve")) == server.name
    assert answer.headers["x-trace-id"] == trace.format_trace_id(server.context.trace_id)
    assert answer.headers["traceresponse"].startswith(f"00-{answer.headers['x-trace-id']}-")
    assert "canary" not in server.to_json()
    assert "job_secret" not in server.to_json()


async def test_the_callers_trace_goes_on_with_allowed_baggage_only() -> None:
    headers = {"traceparent": CALLER, "baggage": "user.id=u1,other=x"}
    with recording() as seen:
        async with client(seen, headers=headers) as http:
            await http.get("/v1/jobs/1")
    server = seen.one("GET /v1/jobs/{job_id}")
    assert trace.format_trace_id(server.context.trace_id) == CALLER.split("-")[1]
    assert server.attributes["foliotrace.entry"] is True
    assert server.attributes["user.id"] == "u1"
    assert "other" not in server.attributes


async def test_a_streamed_answer_keeps_its_span_to_the_last_byte() -> None:
    with recording() as seen:
        async with client(seen) as http:
            assert (await http.get("/v1/stream")).text == "abc"
    server, last = seen.one("GET /v1/stream"), seen.one("ground")
    assert seen.parent_name(last) == server.name
    assert (server.end_time or 0) >= (last.end_time or 1)


@pytest.mark.parametrize("path", ["/nobody/knows/this", "/v1/nor-this"])
async def test_a_path_without_a_route_names_no_span_and_no_label(path: str) -> None:
    with recording() as seen:
        async with client(seen) as http:
            assert (await http.get(path)).status_code == 404
    assert path not in "".join(s.to_json() for s in seen.spans)
    labels = {
        "http_request_method": "GET",
        "http_route": "",
        "http_response_status_code": "404",
    }
    counted = seen.metrics.registry.get_sample_value(
        "http_server_request_duration_seconds_count", labels
    )
    assert (counted, seen.spans[0].status.status_code) == (1, StatusCode.UNSET)


async def test_an_error_is_marked_without_its_text() -> None:
    with recording() as seen:
        async with client(seen) as http:
            assert (await http.get("/broken")).status_code == 500
    server = seen.one("GET /broken")
    assert server.status.status_code is StatusCode.ERROR
    assert "canary" not in server.to_json()


async def test_health_checks_are_measured_but_make_no_trace() -> None:
    with recording() as seen:
        async with client(seen) as http:
            assert "x-trace-id" not in (await http.get("/healthz")).headers
    assert not seen.spans
    page = seen.metrics.registry.get_sample_value
    labels = {"http_request_method": "GET", "http_route": "/healthz"}
    assert page(
        "http_server_request_duration_seconds_count", {**labels, "http_response_status_code": "200"}
    )


async def test_fifty_requests_at_once_keep_apart() -> None:
    with recording() as seen:
        async with client(seen) as http:
            answers = await asyncio.gather(*(http.get(f"/v1/jobs/{n}") for n in range(50)))
    assert len({answer.headers["x-trace-id"] for answer in answers}) == 50
    assert not seen.orphans()
