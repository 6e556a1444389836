"""Hits worded by another parser than ours are read on our own page, and never lose the answer."""

from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
from tests.cloud.service import RUNWAY, cloud, embedding, service
from tests.fakes.llamacloud import FakeLlamaCloud, running_fake_llamacloud
from tests.fakes.openai import running_fake_openai

from foliotrace.adapters.llamacloud.managed_index.retriever import fused_by_page
from foliotrace.adapters.local.keyword.index import KeywordIndex
from foliotrace.errors import IndexUnavailable
from foliotrace.model import PageKind, Passage, RetrievalMode, Words
from foliotrace.query.answer.anchors import PageMap, RowOnPage
from foliotrace.query.answer.quoting.pieces import quotable_spans

pytestmark = pytest.mark.anyio
REPORT = (
    "Report of the inspection of the Halden pump station in March. The operator is Brandt Werke. "
    "The warranty of the Halden pump ends on 14 March 2031 and covers the seals of the motor. "
    "Parcels are insured by the supplier during their transport to the station. "
)
QUESTION = "When does the warranty of the Halden pump end?"


@pytest.fixture
def fake() -> Iterator[FakeLlamaCloud]:
    with running_fake_llamacloud() as running:
        yield running


@pytest.mark.parametrize("chars", [400, 1500])
async def test_the_managed_index_answers_where_the_local_one_does(
    fake: FakeLlamaCloud, tmp_path: Path, chars: int
) -> None:
    fake.other_engine_chars = chars
    given = cloud(fake, index="cloud_then_local")
    async with service(tmp_path, llamacloud=given) as running:
        await running.put("halden.txt", REPORT)
        await running.put("runway.txt", RUNWAY)
        await running.indexed()
        managed = await running.ask(QUESTION, bypass_cache=True)
        local = await running.ask(QUESTION, bypass_cache=True, path="local")
        counted = (await running.client.get("/metrics")).text
    assert local.path == ("keyword", "extractive")
    assert managed.path == ("managed", "extractive")
    assert managed.level == 0
    assert "ends on 14 March 2031" in managed.body["answer"]
    cited = managed.body["citations"][0]
    assert cited["document_name"] == "halden.txt"
    assert (cited["anchor"]["page"], cited["anchor"]["exact"]) == (1, True)
    assert "foliotrace_retrieval_not_aligned_total" in counted


@pytest.mark.parametrize("chars", [400, 1500])
async def test_with_a_damaged_local_index_the_clouds_own_text_is_cited_by_page(
    fake: FakeLlamaCloud, tmp_path: Path, chars: int
) -> None:
    fake.other_engine_chars = chars
    async with service(tmp_path, llamacloud=cloud(fake, index="cloud_then_local")) as running:
        await running.put("halden.txt", REPORT)
        await running.put("runway.txt", RUNWAY)
        await running.indexed()
        with patch.object(KeywordIndex, "retrieve", side_effect=IndexUnavailable("damaged")):
            managed = await running.ask(QUESTION, bypass_cache=True)
    assert managed.path == ("managed", "extractive")
    cited = managed.body["citations"][0]
    assert (cited["anchor"]["page"], cited["anchor"]["exact"]) == (1, False)
    assert (cited["anchor"]["boxes"], cited["anchor"]["cells"]) == ([], None)


def passage(document: str, page: int, text: str, path: RetrievalMode, *, start: int = 0) -> Passage:
    return Passage(
        chunk_id=f"{document}:{page}:{start}",
        document_id=document,
        document_name=document,
        revision="r",
        page=page,
        start=start,
        end=start + len(text),
        text=text,
        score=1.0,
        path=path,
    )


def test_a_page_that_both_indexes_found_comes_first_and_is_read_as_we_stored_it() -> None:
    local = [
        passage("a", 1, "our first", RetrievalMode.KEYWORD),
        passage("b", 7, "our text of the page", RetrievalMode.KEYWORD),
    ]
    managed = [
        passage("b", 7, "ourtext ofthe page", RetrievalMode.MANAGED),
        passage("c", 2, "only there", RetrievalMode.MANAGED),
    ]
    fused = fused_by_page(managed, local)
    assert [p.text for p in fused] == ["our text of the page", "our first", "only there"]
    assert [p.path for p in fused] == [
        RetrievalMode.MANAGED,
        RetrievalMode.KEYWORD,
        RetrievalMode.MANAGED,
    ]


def test_rows_of_our_page_do_not_cut_text_that_is_not_placed_on_it() -> None:
    page = PageMap(PageKind.PAGE, None, Words(), (RowOnPage(0, 9, False, ()),), ())
    text = "Refunds are paid within 30 days. The customer pays for shipping."
    passage = Passage(
        chunk_id="d:0",
        document_id="d",
        document_name="d.pdf",
        revision="",
        page=1,
        start=0,
        end=0,
        text=text,
        score=1.0,
        path=RetrievalMode.MANAGED,
        exact=False,
    )
    spans = [text[start:end] for start, end, _ in quotable_spans(passage, page)]
    assert spans == ["Refunds are paid within 30 days.", "The customer pays for shipping."]


async def test_an_answer_says_which_indexes_contributed_to_it(
    fake: FakeLlamaCloud, tmp_path: Path
) -> None:
    async def contributed(question: str, **more: str) -> list[str]:
        asked = await running.ask(question, bypass_cache=True, **more)
        return list(asked.body["degradation"]["contributed"])

    async with service(tmp_path, llamacloud=cloud(fake, index="cloud_then_local")) as running:
        await running.put("halden.txt", REPORT)
        await running.put("runway.txt", RUNWAY)
        await running.indexed()
        assert await contributed(QUESTION) == ["managed", "keyword"]
        assert await contributed(QUESTION, path="local") == ["keyword"]
        with patch.object(KeywordIndex, "retrieve", side_effect=IndexUnavailable("damaged")):
            assert await contributed(QUESTION) == ["managed"]
        (index,) = fake.state.indexes.values()
        for entry_id, file in list(index.exported.items()):  # lost there after the sync
            if file.entry.display_name == "halden.txt":
                del index.exported[entry_id]
        assert await contributed(QUESTION) == ["keyword"]
        both = "When does the warranty of the Halden pump end and how long is runway 08/26?"
        assert set(await contributed(both)) == {"managed", "keyword"}
        spans = [dict(span.attributes or {}) for span in running.seen.spans]
    assert "managed,keyword" in {s.get("foliotrace.retrieval.contributed") for s in spans}


async def test_another_companys_figure_is_not_the_answer_through_the_managed_index(
    fake: FakeLlamaCloud, tmp_path: Path
) -> None:
    report = (
        "{0} Inc. annual report 2023.\n\nThe total revenue of {0} Inc. was {1} million dollars."
    )
    fake.other_engine_chars = 400
    question = "What was the total revenue of Tesla in 2023?"
    async with service(tmp_path, llamacloud=cloud(fake, index="cloud_then_local")) as running:
        await running.put("2023 annual report Halden Inc.txt", report.format("Halden", 812))
        await running.put("2023 annual report Brandt Inc.txt", report.format("Brandt", 455))
        await running.put("runway.txt", RUNWAY)
        await running.indexed()
        managed = await running.ask(question, bypass_cache=True)
        local = await running.ask(question, bypass_cache=True, path="local")
    assert local.path[1] == managed.path[1] == "abstained"
    assert "Tesla" in managed.body["answer"] + (managed.body["notice"] or "")


async def test_a_document_that_the_question_names_comes_before_others_that_match_better(
    fake: FakeLlamaCloud, tmp_path: Path
) -> None:
    other = "Halden Inc. The gross margin, as stated in the most recent report, was {}.2 percent."
    named = "Brandt Inc. quarterly report.\n\nThe gross margin was 74.1 percent." + " ".join(
        f"Pump {number} of the harbour at Calden needs valve {number} and seals."
        for number in range(40)
    )
    question = "What was Brandt's gross margin as stated in the most recent report?"
    fake.other_engine_chars = 400
    async with service(tmp_path, llamacloud=cloud(fake, index="cloud_then_local")) as running:
        for number in range(8):
            name = f"2022 Q{number % 4 + 1} Halden Inc {number}.txt"
            await running.put(name, other.format(40 + number))
        await running.put("2023 Q4 Brandt Inc.txt", named)
        await running.put("runway.txt", RUNWAY)
        await running.indexed()
        managed = await running.ask(question, bypass_cache=True)
        local = await running.ask(question, bypass_cache=True, path="local")
    for asked in (local, managed):
        cited = {each["document_name"] for each in asked.body["citations"]}
        assert cited == {"2023 Q4 Brandt Inc.txt"}, asked.body["answer"]
    assert managed.path == ("managed", "extractive")


async def test_with_embeddings_the_index_beside_the_managed_one_is_the_keyword_index(
    fake: FakeLlamaCloud, tmp_path: Path
) -> None:
    given = cloud(fake, index="cloud_then_local")
    with running_fake_openai() as model:
        async with service(tmp_path, llamacloud=given, embedding=embedding(model)) as running:
            await running.put("halden.txt", REPORT)
            await running.put("runway.txt", RUNWAY)
            await running.indexed()
            asked = await running.ask(QUESTION, bypass_cache=True)
            local = await running.ask(QUESTION, bypass_cache=True, path="local")
    assert asked.path == ("managed", "extractive")
    assert asked.body["degradation"]["contributed"] == ["managed", "keyword"]
    assert local.path == ("hybrid", "extractive")
