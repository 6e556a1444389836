"""LlamaIndex objects of the user's own, named in the settings, behind the composed service."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.cloud.service import FUEL, RUNWAY, Service, service, settings_for

from foliotrace.errors import Misconfigured
from foliotrace.settings import QuerySettings
from foliotrace_server.compose import compose
from foliotrace_server.sections import LLMSettings

pytestmark = pytest.mark.anyio

QUESTION = "What does unleaded cost per litre?"
SOURCE = '''
import threading
from llama_index.core import MockEmbedding, VectorStoreIndex
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.llms import CompletionResponse, CustomLLM, LLMMetadata
from llama_index.core.llms.callbacks import llm_completion_callback
from llama_index.core.schema import NodeWithScore, TextNode


class Own(CustomLLM):
    """Quotes its first passage and says so."""

    @property
    def metadata(self):
        return LLMMetadata(model_name="own-1", context_window=8000)

    @llm_completion_callback()
    def complete(self, prompt, formatted=False, **kwargs):
        return CompletionResponse(text="Unleaded costs 2.31 EUR per litre at the pump [1].")

    @llm_completion_callback()
    def stream_complete(self, prompt, formatted=False, **kwargs):
        raise NotImplementedError


class Shelf(BaseRetriever):
    """Knows one document by its name; fails while `down`. Blocks, as many stores do."""

    down = False
    threads = set()

    def _retrieve(self, query_bundle):
        self.threads.add(threading.current_thread() is threading.main_thread())
        if self.down:
            raise ConnectionError("postgres://user:secret@host")
        place = {"file_name": "fuel.txt", "page": 1}
        node = TextNode(text="Unleaded costs 2.31 EUR", metadata=place)
        return [NodeWithScore(node=node, score=0.9)]


def vectors():
    texts = {"fuel.txt": "Unleaded costs 2.31 EUR", "runway.txt": "Runway 08/26 is 780 metres long"}
    nodes = [TextNode(text=t, metadata={"file_name": n, "page": 1}) for n, t in texts.items()]
    index = VectorStoreIndex(nodes, embed_model=MockEmbedding(embed_dim=4))
    return index.as_retriever(similarity_top_k=2)


def broken():
    raise RuntimeError("no server")


own, shelf, number = Own(), Shelf(), 3
'''


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"plugged_{abs(hash(tmp_path))}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    return name


def asking(retriever: str) -> QuerySettings:
    return QuerySettings(retriever=retriever, cache_ttl_s=0, retrieval_deadline_s=1.0)


@pytest.fixture
async def shelved(tmp_path: Path, module: str) -> AsyncIterator[Service]:
    async with service(tmp_path / "data", query=asking(f"{module}:shelf")) as running:
        await running.put("fuel.txt", FUEL)
        yield running


async def test_a_retriever_of_ones_own_is_the_first_path(shelved: Service, module: str) -> None:
    asked = await shelved.ask(QUESTION)
    assert (asked.level, asked.path) == (0, ("custom", "extractive"))
    citation = asked.body["citations"][0]
    assert (citation["document_name"], citation["anchor"]["exact"]) == ("fuel.txt", True)
    threads: set[bool] = __import__(module).shelf.threads
    assert threads == {False}, "it ran in the event loop's thread"


async def test_while_it_is_down_the_keyword_index_answers_and_says_so(
    shelved: Service, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(__import__(module).shelf, "down", True)
    asked = await shelved.ask(QUESTION)
    assert (asked.level, asked.path) == (2, ("keyword", "extractive"))
    assert asked.reasons == ["retriever_failed"]
    assert asked.marks is not None
    assert asked.marks.complete, asked.marks
    assert "2.31" in asked.body["answer"]
    assert "secret" not in str(asked.body)


async def test_a_failing_retriever_says_what_it_raised_in_the_log_once_and_at_readyz(
    shelved: Service, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def shown() -> tuple[int, list[str]]:
        body = (await shelved.client.get("/readyz")).json()["capabilities"]["retrieve"]
        return body["level"], body["failures"]

    assert await shown() == (0, [])
    monkeypatch.setattr(__import__(module).shelf, "down", True)
    with capture_logs() as lines:
        await shelved.ask(QUESTION)
        await shelved.ask(QUESTION + " Now?")
        assert await shown() == (2, ["query.retriever: ConnectionError: postgres://host"])
        monkeypatch.setattr(__import__(module).shelf, "down", False)
        async with asyncio.timeout(20):
            while (await shelved.ask(QUESTION)).level:
                await asyncio.sleep(0.1)
    assert await shown() == (0, [])
    own = [(each["event"], each.get("error")) for each in lines if "own_part" in each["event"]]
    assert own == [
        ("own_part.failed", "ConnectionError: postgres://host"),
        ("own_part.works_again", None),
    ]


async def test_a_vector_store_that_a_function_makes(tmp_path: Path, module: str) -> None:
    async with service(tmp_path / "data", query=asking(f"{module}:vectors")) as running:
        await running.put("fuel.txt", FUEL)
        await running.put("runway.txt", RUNWAY)
        asked = await running.ask(QUESTION)
        assert asked.path == ("custom", "extractive")
        assert "2.31" in asked.body["answer"]


async def test_a_language_model_of_ones_own_writes_the_answer(tmp_path: Path, module: str) -> None:
    own = LLMSettings(provider="import", model=f"{module}:own", free=True)
    async with service(tmp_path / "data", llm=own) as running:
        await running.put("fuel.txt", FUEL)
        asked = await running.ask(QUESTION)
        assert (asked.level, asked.path) == (0, ("keyword", "generated"))
        assert asked.body["usage"]["llm_calls"] == 1
        assert asked.body["model"] == "own-1"


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("nowhere:object", "cannot be imported: ModuleNotFoundError"),
        ("{module}:nothing", "cannot be imported: AttributeError"),
        ("{module}", "cannot be imported"),
        ("", "cannot be imported: ValueError"),
        ("{module}:number", "is not a BaseRetriever"),
        ("{module}:own", "is not a BaseRetriever"),
        ("{module}:broken", "failed when called: RuntimeError"),
    ],
)
async def test_what_cannot_be_plugged_in_stops_the_start_and_is_named(
    tmp_path: Path, module: str, place: str, message: str
) -> None:
    named: Any = place.format(module=module)
    with pytest.raises(Misconfigured, match=r"query\.retriever names") as refused:
        compose(settings_for(tmp_path / "data", query=asking(named)))
    assert message in str(refused.value)
