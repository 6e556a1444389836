"""An answer that a cache serves says, in its trace, which run made it: a span link to that run."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.contracts.redis_server import running_redis
from tests.server.observed_service import Observed, observed

from foliotrace.errors import IndexUnavailable

pytestmark = pytest.mark.anyio

RUN = "invoke_workflow QueryWorkflow"


@pytest.fixture(params=["process", pytest.param("redis", marks=pytest.mark.real_servers)])
async def service(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Observed]:
    settings: dict[str, Any] = {}
    async with AsyncExitStack() as running:
        if request.param == "redis":
            folder = tmp_path / "redis"
            folder.mkdir()
            await running.enter_async_context(running_redis(folder))
            settings["redis"] = {"url": f"unix://{folder}/redis.sock", "timeout_s": 5}
        service = await running.enter_async_context(
            observed(tmp_path / "data", monkeypatch, **settings)
        )
        await service.ingest()
        yield service


def run_span(service: Observed, trace_id: str) -> Any:
    return next(s for s in service.trace(trace_id, ends_with=RUN) if s.name == RUN)


async def test_a_cached_answers_run_links_to_the_run_that_made_it(service: Observed) -> None:
    made = (await service.ask()).json()
    given_again = [(await service.ask()).json() for _ in range(2)]
    assert [made["cache"], *(answer["cache"] for answer in given_again)] == [
        "miss",
        "exact",
        "exact",
    ]
    maker = run_span(service, made["trace_id"])
    assert list(maker.links) == []
    for answer in given_again:
        assert answer["trace_id"] != made["trace_id"]
        (link,) = run_span(service, answer["trace_id"]).links
        assert (link.trace_id, link.span_id) == (maker.trace_id, maker.span_id)


async def test_an_answer_made_anew_links_to_nothing(service: Observed) -> None:
    await service.ask()
    again = (await service.ask(bypass_cache=True)).json()
    assert again["cache"] == "bypass"
    assert list(run_span(service, again["trace_id"]).links) == []


async def test_an_earlier_answer_on_a_bad_day_links_to_the_run_that_made_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with observed(tmp_path, monkeypatch, query={"cache_ttl_s": 0}) as service:
        await service.ingest()
        made = (await service.ask()).json()
        (index,) = service.engine.assembly.ingest.indexes

        async def down(*_: object, **__: object) -> None:
            raise IndexUnavailable("the index is gone", reason="keyword_index_unavailable")

        monkeypatch.setattr(index, "retrieve", down)
        earlier = (await service.ask()).json()
        assert (made["cache"], earlier["answer_mode"]) == ("miss", "stale")
        maker = run_span(service, made["trace_id"])
        (link,) = run_span(service, earlier["trace_id"]).links
        assert (link.trace_id, link.span_id) == (maker.trace_id, maker.span_id)
