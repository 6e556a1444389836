"""Parts that users bring, from the recipes and from ten-line files: each passes the same suite."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
from tests.cloud.service import FUEL, RUNWAY, Service
from tests.fakes.ollama import running_fake_ollama
from tests.fakes.openai import running_fake_openai
from tests.lazy_sdk import lazy
from tests.otel.recorded_spans import recording
from tests.server.small_service import serving

from foliotrace_server.compose import compose
from foliotrace_server.doctor.registry import examine, run_probes
from foliotrace_server.settings import Settings, load_settings

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # the LanceDB package raises some
]

QUESTION = "What does unleaded cost per litre?"
SAID = "Unleaded costs 2.31 EUR per litre at the pump [1]."
PAGE = Path(__file__).parents[2] / "docs/how-to/recipes.md"
stand_ins = lazy("tests.journeys.parts_stand_ins")


@dataclass(frozen=True, slots=True)
class Part:
    """A part: its file (none for a recipe of settings alone), its settings, what it changes."""

    source: str
    settings: str
    retrieval: str = "keyword"
    answer: str = "extractive"
    needs: str = ""  # a package that is not in the development lock


def recipe(title: str, retrieval: str, answer: str = "extractive", needs: str = "") -> Part:
    """The code of a section of the page, as it stands there."""
    section = PAGE.read_text().split(f"\n## {title}\n")[1].split("\n## ")[0]
    blocks = dict(re.findall(r"```(python|toml)\n(.*?)```", section, re.DOTALL))
    return Part(blocks.get("python", ""), blocks["toml"], retrieval, answer, needs)


EMBEDDING = '[embedding]\nprovider = "import"\nmodel = "my_parts:embedding"\nfree = true\n'
RETRIEVER = '[query]\nretriever = "my_parts:retriever"\n'
RERANKER = '[query]\nrerankers = ["my_parts:reranker"]\n'
PARTS = {
    "ollama": recipe("Ollama", "keyword", "generated"),
    "vllm": recipe("vLLM", "hybrid", "generated"),
    "huggingface embedding": recipe("Embeddings from HuggingFace", "hybrid"),
    "qdrant store": recipe("Qdrant", "hybrid", needs="llama_index.vector_stores.qdrant"),
    "chroma store": recipe("Chroma", "hybrid", needs="llama_index.vector_stores.chroma"),
    "lancedb store": recipe("LanceDB", "hybrid", needs="llama_index.vector_stores.lancedb"),
    "custom llm": Part(
        f'''
from llama_index.core.llms import CompletionResponse, CustomLLM, LLMMetadata
class Own(CustomLLM):
    @property
    def metadata(self):
        return LLMMetadata(model_name="own")
    def complete(self, prompt, formatted=False, **kwargs):
        return CompletionResponse(text="{SAID}")
    def stream_complete(self, prompt, formatted=False, **kwargs):
        yield CompletionResponse(text="{SAID}", delta="{SAID}")
llm = Own()
''',
        '[llm]\nprovider = "import"\nmodel = "my_parts:llm"\nfree = true\n',
        answer="generated",
    ),
    "mock embedding": Part(
        "from llama_index.core import MockEmbedding\nembedding = MockEmbedding(embed_dim=8)\n",
        EMBEDDING,
        "hybrid",
    ),
    "blocking embedding": Part(
        """
from llama_index.core.embeddings import BaseEmbedding
class Letters(BaseEmbedding):
    def _get_text_embedding(self, text):
        return [float(text.lower().count(each)) for each in "abcdefghijklmnopqrstuvwxyz"]
    _get_query_embedding = _get_text_embedding
    async def _aget_query_embedding(self, query):
        return self._get_text_embedding(query)
embedding = Letters(model_name="letters")
""",
        EMBEDDING,
        "hybrid",
    ),
    "qdrant retriever": Part(
        f"""
from llama_index.core import MockEmbedding, StorageContext, VectorStoreIndex
from llama_index.core.schema import TextNode
from llama_index.vector_stores.qdrant import QdrantVectorStore
from qdrant_client import QdrantClient
nodes = [TextNode(text="{FUEL}", metadata=dict(file_name="fuel.txt", page=1))]
store = QdrantVectorStore("mine", client=QdrantClient(":memory:"))
context = StorageContext.from_defaults(vector_store=store)
index = VectorStoreIndex(nodes, storage_context=context, embed_model=MockEmbedding(embed_dim=2))
retriever = index.as_retriever()
""",
        RETRIEVER,
        "custom",
        needs="llama_index.vector_stores.qdrant",
    ),
    "bm25 retriever": Part(
        f"""
import bm25s
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.schema import NodeWithScore, TextNode
node = TextNode(text="{FUEL}", metadata=dict(file_name="fuel.txt", page=1))
class Words(BaseRetriever):
    def _retrieve(self, query_bundle):
        index = bm25s.BM25()
        index.index(bm25s.tokenize([node.text], show_progress=False), show_progress=False)
        return [NodeWithScore(node=node, score=1.0)]
retriever = Words()
""",
        RETRIEVER,
        "custom",
    ),
    "similarity postprocessor": Part(
        """
from llama_index.core.postprocessor import SimilarityPostprocessor
reranker = SimilarityPostprocessor(similarity_cutoff=0.01)
""",
        RERANKER,
    ),
    "reranker": Part(
        """
from llama_index.core.postprocessor.types import BaseNodePostprocessor
class Longest(BaseNodePostprocessor):
    def _postprocess_nodes(self, nodes, query_bundle=None):
        for each in nodes:
            each.score = float(len(each.node.get_content()))
        return sorted(nodes, key=lambda each: -each.score)
reranker = Longest()
""",
        RERANKER,
    ),
    "directory reader": Part(
        """
from llama_index.core import SimpleDirectoryReader
from llama_index.core.readers.base import BaseReader
class Files(BaseReader):
    def load_data(self, file, extra_info=None):
        return SimpleDirectoryReader(input_files=[file]).load_data()
reader = Files()
""",
        '[ingest.readers]\n".txt" = "my_parts:reader"\n',
    ),
}


@pytest.fixture(params=PARTS)
def part(request: pytest.FixtureRequest) -> Part:
    found = PARTS[request.param]
    if found.needs:
        pytest.importorskip(found.needs, reason=f"{found.needs} is not installed")
    return found


@pytest.fixture
def settings(part: Part, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """The part's files in a folder of their own, with the stand-ins' addresses and models."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_parts", raising=False)
    monkeypatch.setitem(sys.modules, "llama_index.embeddings.huggingface", _huggingface())
    with running_fake_ollama(SAID) as ollama, running_fake_openai() as vllm:
        there = {
            "http://127.0.0.1:11434": ollama.url,
            "http://127.0.0.1:8000/v1": vllm.url,
            '"http://127.0.0.1:6333"': '":memory:"',
            '"none"': '"sk-fake-key"',
            "Qwen/Qwen2.5-14B-Instruct": "fake-llm",
            "BAAI/bge-m3": "text-embedding-3-small",
        }
        for name, text in (("my_parts.py", part.source), ("foliotrace.toml", part.settings)):
            for address, stand_in in there.items():
                text = text.replace(address, stand_in)
            (tmp_path / name).write_text(text)
        yield load_settings(tmp_path / "foliotrace.toml", data_dir=tmp_path / "data")
    sys.modules.pop("my_parts", None)


def _huggingface() -> ModuleType:
    module = ModuleType("llama_index.embeddings.huggingface")
    module.__dict__["HuggingFaceEmbedding"] = stand_ins.HuggingFaceEmbedding
    return module


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Service]:
    with recording() as seen:
        engine = compose(settings)
        async with serving(engine) as client:
            yield Service(engine, client, seen, settings.data_dir)


async def test_it_fits_in_ten_lines(part: Part) -> None:
    lines = [line for line in part.source.splitlines() if line.strip()]
    assert len(lines) <= 10


async def test_it_answers_with_citations_and_follows_a_deletion(
    part: Part, settings: Settings
) -> None:
    async with running(settings) as service:
        job = await service.put("fuel.txt", FUEL)
        await service.put("runway.txt", RUNWAY)
        asked = await service.until((part.retrieval, part.answer), QUESTION, bypass_cache=True)
        assert (asked.level, asked.reasons) == (0, [])
        assert asked.marks is not None
        assert asked.marks.complete, asked.marks
        citation = asked.body["citations"][0]
        assert (citation["document_name"], citation["anchor"]["exact"]) == ("fuel.txt", True)
        assert float(asked.body["usage"]["cost_usd"]) == 0
        ready = (await service.client.get("/readyz")).json()["capabilities"]
        assert {each["level"] for each in ready.values()} == {0}
        assert [each.get("failures", []) for each in ready.values()] == [[], []]
        gone = await service.client.delete(f"/v1/documents/{job['document_id']}")
        assert gone.is_success
        await _settled(service)
        asked = await service.ask(QUESTION, bypass_cache=True)
        assert [each["document_name"] for each in asked.body["citations"]] != ["fuel.txt"]


@pytest.fixture(autouse=True)
def chroma_opens_each_folder_anew() -> Iterator[None]:
    """Chroma keeps one client for a relative path, also after the folder has changed."""
    yield
    if (shared := sys.modules.get("chromadb.api.shared_system_client")) is not None:
        shared.SharedSystemClient.clear_system_cache()


async def _settled(service: Service) -> None:
    """Wait until every index has followed the deletion, a store of the user's own too."""
    async with asyncio.timeout(30):
        while True:
            ready = (await service.client.get("/readyz")).json()["capabilities"]["retrieve"]
            if ready["level"] == 0 and not ready.get("failures"):
                return
            await asyncio.sleep(0.1)


async def test_doctor_finds_it_whole(settings: Settings) -> None:
    found = [*examine(settings), *await run_probes(settings)]
    assert [each for each in found if each.state == "problem"] == []
