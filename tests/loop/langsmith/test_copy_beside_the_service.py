"""With a key of LangSmith, ratings, datasets and experiments flow there by themselves."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter
from typing import Any
from uuid import UUID

import pytest
from tests.data_folder.folders import ingest, serving
from tests.fakes.langsmith import FakeLangSmith, running_fake_langsmith
from tests.fakes.wire import Fault
from tests.lazy_sdk import lazy
from tests.loop.langsmith.test_sync import filled

langsmith = lazy("langsmith")
pytestmark = pytest.mark.anyio
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


@pytest.fixture
def fake() -> Iterator[FakeLangSmith]:
    with running_fake_langsmith() as fake:
        yield fake


@asynccontextmanager
async def copied(
    fake: FakeLangSmith, folder: Path, monkeypatch: pytest.MonkeyPatch, *, key: bool = True
) -> AsyncIterator[Any]:
    """A service beside which the copy is made, of the datasets of `filled` too."""
    monkeypatch.setenv("LANGSMITH_ENDPOINT", fake.url)
    monkeypatch.setenv("LANGSMITH_PROJECT", "p")
    if key:
        monkeypatch.setenv("LANGSMITH_API_KEY", fake.api_key)
    else:
        monkeypatch.delenv("LANGSMITH_API_KEY", raising=False)
    how = {"datasets": str(folder / "datasets"), "sync_every_s": 0.1}
    async with serving(folder, loop=how) as client:
        yield client


async def until(condition: Any) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.05)


async def test_what_people_say_and_what_was_evaluated_reaches_the_real_client(
    fake: FakeLangSmith, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.state.create_project({"name": "p"})
    filled(tmp_path).close()
    async with copied(fake, tmp_path, monkeypatch) as service:
        await ingest(service, "a.txt", "The whale weighs 190 tonnes.")
        asked = await service.post(
            "/v1/query",
            json={"query": "How much does the whale weigh?"},
            headers={"traceparent": PARENT},
        )
        rating = {"run_id": asked.json()["run_id"], "key": "helpful", "score": 0.25}
        assert (await service.post("/v1/feedback", json=rating)).status_code == 200
        rating["score"] = 0.75
        assert (await service.post("/v1/feedback", json=rating)).status_code == 200

        def everything() -> bool:
            scores = [f.get("score") for f in fake.state.feedback.values()]
            return 0.75 in scores and len(fake.state.examples) == 3 and len(fake.state.runs) == 1

        await until(everything)
        async with asyncio.timeout(60):  # what is there is not sent again
            sent = None
            while sent != (sent := fake.requests.counts()):
                await asyncio.sleep(0.5)
    client = langsmith.Client(api_url=fake.url, api_key=fake.api_key)
    dataset = client.read_dataset(dataset_name="complaints")
    assert len(list(client.list_examples(dataset_id=dataset.id))) == 3
    assert len(list(client.list_projects(reference_dataset_id=dataset.id))) == 1
    held = [f for f in fake.state.feedback.values() if f["key"] == "helpful"]
    assert [each["run_id"] for each in held] == [str(UUID(asked.json()["trace_id"]))]
    client.close()


async def test_an_outage_holds_up_no_request_and_no_end_and_is_made_up_for(
    fake: FakeLangSmith, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.state.create_project({"name": "p"})
    filled(tmp_path).close()
    fake.fail("*", Fault.unavailable)
    began = perf_counter()
    async with copied(fake, tmp_path, monkeypatch) as service:
        await until(lambda: sum(fake.requests.counts().values()) > 0)
        assert (await service.get("/healthz")).status_code == 200
    assert perf_counter() - began < 15
    assert not fake.state.examples
    fake.recover()
    async with copied(fake, tmp_path, monkeypatch):
        await until(lambda: len(fake.state.examples) == 3 and len(fake.state.runs) == 1)
        await until(lambda: len(fake.state.feedback) > 0)
    assert len({f["id"] for f in fake.state.feedback.values()}) == len(fake.state.feedback)


async def test_without_a_key_nothing_is_sent(
    fake: FakeLangSmith, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(tmp_path).close()
    async with copied(fake, tmp_path, monkeypatch, key=False):
        await asyncio.sleep(0.5)
    assert sum(fake.requests.counts().values()) == 0
