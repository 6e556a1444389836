"""The OpenAPI document is true: no 5xx and no undocumented answer, whatever is sent."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

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
# JSON Schema cannot say what else is required: a base64 text, a file of a known type, a live cursor
_NOT_CHECKED = "positive_data_acceptance"


@pytest.mark.timeout(110)
def test_every_answer_is_documented_and_none_is_a_failure(url: str) -> None:
    from schemathesis.checks import CHECKS
    from schemathesis.core.failures import FailureGroup

    schemathesis.checks.load_all_checks()
    checks = [each for each in CHECKS.get_all() if each.__name__ != _NOT_CHECKED]
    assert len(checks) >= 13
    described = schemathesis.openapi.from_url(f"{url}/openapi.json")
    wrong: dict[str, str] = {}
    for found in described.get_all_operations():
        operation = found.ok()
        if operation.path.startswith("/events") or operation.path.endswith("/events"):
            continue  # streams are followed in their own tests

        @settings(
            max_examples=6,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def check(case: schemathesis.Case) -> None:
            case.validate_response(case.call(timeout=10), checks=checks)

        try:
            check()
        except FailureGroup as failures:
            wrong[operation.label] = "; ".join(str(each) for each in failures.exceptions)
    assert wrong == {}
