"""The OpenAPI document is true: no 5xx and no undocumented answer, whatever is sent."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from hypothesis import HealthCheck, given, settings
from tests.lazy_sdk import lazy
from tests.server.small_service import small_engine

from foliotrace_server.app import build_app


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("data")
    ready = threading.Event()
    servers: list[uvicorn.Server] = []

    async def serve() -> None:
        config = uvicorn.Config(
            build_app(small_engine(folder)), port=0, log_level="critical",
            timeout_graceful_shutdown=1,
        )  # fmt: skip
        server = uvicorn.Server(config)
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        servers.append(server)
        running = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        ready.set()
        await running

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    ready.wait(20)
    port = servers[0].servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    servers[0].should_exit = True
    thread.join()


schemathesis = lazy("schemathesis")
ACCEPTANCE = "positive_data_acceptance"  # what fits its schema is not refused
NOT_ACCEPTED = {  # JSON Schema cannot say all that these require
    "POST /v1/documents",  # a file of a known type, `metadata` as JSON in a text, ranges that rise
    "POST /v1/extractions",  # a schema of the subset that is extracted
    "POST /workflows/{name}/run",  # the fields of the start event of that workflow
    "POST /workflows/{name}/run-nowait",
    "POST /v1/query",  # the stand-in for the workflow has `query` alone; see test_limits_in_openapi
}


def examples(operation: Any, checks: Sequence[Any]) -> None:
    """Send generated requests. Raises FailureGroup."""

    @settings(
        max_examples=6,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def check(case: schemathesis.Case) -> None:
        answer = case.call(timeout=10)
        if "text/event-stream" not in "".join(answer.headers.get("content-type", ())):
            case.validate_response(answer, checks=checks)  # streams have tests of their own

    check()


@pytest.mark.timeout(110)
def test_every_answer_is_documented_and_none_is_a_failure(url: str) -> None:
    from schemathesis.checks import CHECKS
    from schemathesis.core.failures import FailureGroup

    schemathesis.checks.load_all_checks()
    all_checks = CHECKS.get_all()
    but_one = [each for each in all_checks if each.__name__ != ACCEPTANCE]
    assert len(but_one) == len(all_checks) - 1
    described = schemathesis.openapi.from_url(f"{url}/openapi.json")
    wrong: dict[str, str] = {}
    for found in described.get_all_operations():
        operation = found.ok()
        if operation.path.startswith("/events") or operation.path.endswith("/events"):
            continue  # streams are followed in their own tests
        checks = but_one if operation.label in NOT_ACCEPTED else all_checks
        try:
            examples(operation, checks)
        except FailureGroup as failures:
            wrong[operation.label] = "; ".join(str(each) for each in failures.exceptions)
    assert wrong == {}
