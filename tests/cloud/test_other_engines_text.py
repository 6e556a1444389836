"""Hits worded by another parser than ours are read and cited by page, and never lose the answer."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cloud.service import RUNWAY, cloud, service
from tests.fakes.llamacloud import FakeLlamaCloud, running_fake_llamacloud

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
    assert (cited["anchor"]["page"], cited["anchor"]["exact"]) == (1, False)
    assert (cited["anchor"]["boxes"], cited["anchor"]["cells"]) == ([], None)
    assert "foliotrace_retrieval_not_aligned_total" in counted


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
