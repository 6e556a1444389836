"""A language model that is called hears of the trace it is called in."""

from pathlib import Path

import pytest
from tests.fakes.openai import running_fake_openai
from tests.server.observed import observed

pytestmark = pytest.mark.anyio


async def test_a_model_call_carries_the_answers_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_fake_openai() as model:
        llm = {"provider": "openai", "model": "gpt-4o-mini", "api_base": model.url, "api_key": "k"}
        async with observed(tmp_path, monkeypatch, llm=llm) as service:
            await service.ingest()
            answer = (await service.ask()).json()
        called = [request.headers.get("traceparent", "") for request in model.requests.records]
    assert called
    assert {header.split("-")[1] for header in called} == {answer["trace_id"]}
