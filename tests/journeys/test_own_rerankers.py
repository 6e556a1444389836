"""Node postprocessors that the settings name order the passages of every path, or are skipped."""

from pathlib import Path

import pytest
from tests.cloud.service import Service, service, settings_for

from foliotrace.errors import Misconfigured
from foliotrace.settings import QuerySettings
from foliotrace_server.compose import compose
from foliotrace_server.doctor.registry import examine, run_probes

pytestmark = pytest.mark.anyio

QUESTION = "What does the fuel at the pump cost?"
SOURCE = '''
import threading
from llama_index.core.postprocessor import SimilarityPostprocessor
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore, TextNode


class Backwards(BaseNodePostprocessor):
    """The worst first; changes texts and adds a node, which must not be used."""

    down: bool = False
    threads: list = []
    sizes: list = []

    def _postprocess_nodes(self, nodes, query_bundle=None):
        self.threads.append(threading.current_thread() is threading.main_thread())
        self.sizes.append(len(nodes))
        if self.down:
            raise ConnectionError("no reranker at 10.0.0.9")
        turned = [NodeWithScore(node=n.node, score=float(i)) for i, n in enumerate(nodes)][::-1]
        for each in turned:
            each.node.set_content("invented")
        return [*turned, NodeWithScore(node=TextNode(text="added"), score=9.0)]


backwards, nothing = Backwards(), SimilarityPostprocessor(similarity_cutoff=1e9)
'''


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"reranking_{abs(hash(tmp_path))}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    return name


def ordering(*rerankers: str) -> QuerySettings:
    return QuerySettings(rerankers=rerankers, cache_ttl_s=0, retrieval_deadline_s=1.0)


async def filled(running: Service) -> None:
    await running.put("best.txt", "Fuel costs 2.31 EUR per litre at the pump. The pump has fuel.")
    await running.put("other.txt", "Diesel costs 2.31 EUR, a fuel for tractors that is brought.")


async def test_a_reranker_orders_what_the_path_found(tmp_path: Path, module: str) -> None:
    async with service(tmp_path / "plain", query=ordering()) as running:
        await filled(running)
        plain = await running.ask(QUESTION, top_k=1)
    async with service(tmp_path / "turned", query=ordering(f"{module}:backwards")) as running:
        await filled(running)
        turned = await running.ask(QUESTION, top_k=1)
    own = __import__(module).backwards
    assert (turned.level, turned.path) == (0, plain.path)
    assert plain.body["citations"][0]["document_name"] == "best.txt"
    assert turned.body["citations"][0]["document_name"] == "other.txt"
    assert "2.31" in turned.body["answer"]
    assert "invented" not in str(turned.body)
    assert own.sizes == [2], "more than top_k are given to it"
    assert set(own.threads) == {False}, "it ran in the event loop's thread"


async def test_a_reranker_that_fails_is_skipped_and_the_answer_says_so(
    tmp_path: Path, module: str
) -> None:
    async with service(tmp_path / "data", query=ordering(f"{module}:backwards")) as running:
        await filled(running)
        own = __import__(module).backwards
        own.down = True
        asked = await running.ask(QUESTION)
        assert (asked.level, asked.reasons) == (2, ["reranker_failed"])
        assert asked.marks is not None
        assert asked.marks.complete, asked.marks
        assert "2.31" in asked.body["answer"]
        ready = (await running.client.get("/readyz")).json()["capabilities"]["retrieve"]
        assert (ready["level"], ready["reasons"]) == (2, ["reranker_failed"])
        assert ready["failures"] == ["query.rerankers.0: ConnectionError: no reranker at 10.0.0.9"]
        own.down = False
        ready = (await running.client.get("/readyz")).json()["capabilities"]["retrieve"]
        assert (ready["level"], ready["failures"]) == (0, [])
        assert (await running.ask(QUESTION)).level == 0


async def test_a_postprocessor_may_drop_every_passage(tmp_path: Path, module: str) -> None:
    async with service(tmp_path / "data", query=ordering(f"{module}:nothing")) as running:
        await filled(running)
        asked = await running.ask(QUESTION)
        assert asked.body["citations"] == []


async def test_doctor_tries_each_reranker(tmp_path: Path, module: str) -> None:
    wanted = settings_for(tmp_path / "data", query=ordering(f"{module}:backwards"))
    named = {each.area: each.said for each in examine(wanted)}
    assert named["rerankers"] == f"{module}:backwards"
    probed = {each.area: each.said for each in await run_probes(wanted)}
    assert probed["query.rerankers.0"] == "answers, with 2 of 2 passages"
    with pytest.raises(Misconfigured, match=r"query\.rerankers\.0 names"):
        compose(settings_for(tmp_path / "data", query=ordering(f"{module}:threading")))
