"""What every Extractor promises: each field once, cited word for word, null when not stated."""

from collections.abc import Sequence
from time import monotonic

import pytest
from tests.extract.extract_stack import Parrot, finding, page, task
from tests.lazy_sdk import lazy_call

from foliotrace.adapters.local.clock import SystemClock
from foliotrace.adapters.local.rules import RulesExtractor
from foliotrace.errors import DeadlineExceeded, ExtractorUnavailable
from foliotrace.extract.schema import resolve
from foliotrace.model import Deadline, ExtractionMethod, PageStatus, ParsedPage
from foliotrace.ports import Extractor

LLMExtractor = lazy_call("foliotrace.adapters.llamaindex.extractor:LLMExtractor")

pytestmark = pytest.mark.anyio

SCHEMA = resolve(
    {
        "type": "object",
        "properties": {
            "number": {"type": "string", "aliases": ["Invoice No"]},
            "total": {"type": "number"},
            "policy": {"type": "string"},
        },
    }
)
PAGES = (
    page("Invoice No: R-1"),
    page("Total: 449.40", 2),
    page("", 3, PageStatus.NEEDS_OCR),
)
CLAIMS = {
    "findings": [
        finding("/number", "R-1", "Invoice No: R-1"),
        finding("/total", 449.4, "Total: 449.40", 2),
        finding("/policy", "P-9", "Policy: P-9"),  # the page does not say it
    ]
}


@pytest.fixture(params=["rules", "llm"])
def extractor(request: pytest.FixtureRequest) -> Extractor:
    if request.param == "rules":
        return RulesExtractor(SystemClock())
    return LLMExtractor(Parrot([CLAIMS]))


async def test_every_field_is_answered_once_and_nothing_is_invented(extractor: Extractor) -> None:
    made = await extractor.extract(task(SCHEMA), PAGES, deadline=Deadline(monotonic() + 60))
    values = {field.pointer: field.value for field in made.fields}
    assert len(values) == len(made.fields)
    assert values == {"/number": "R-1", "/total": 449.4, "/policy": None}


async def test_every_value_is_cited_word_for_word(extractor: Extractor) -> None:
    made = await extractor.extract(task(SCHEMA), PAGES, deadline=Deadline(monotonic() + 60))
    for field in made.fields:
        if field.value is None:
            assert (field.citations, field.confidence) == ((), None)
            assert field.method is ExtractionMethod.NONE
            continue
        assert 0 < (field.confidence or 0) <= 1
        (citation,) = field.citations
        text = _text(PAGES, citation.anchor.page)
        assert text[citation.anchor.start : citation.anchor.end] == citation.quote
        assert citation.document_id == "doc_1"


async def test_no_pages_give_nulls(extractor: Extractor) -> None:
    made = await extractor.extract(task(SCHEMA), (), deadline=Deadline(monotonic() + 60))
    assert [field.value for field in made.fields] == [None, None, None]


def _text(pages: Sequence[ParsedPage], number: int) -> str:
    return next(page.text for page in pages if page.number == number)


async def test_rules_without_time_say_so() -> None:
    with pytest.raises(DeadlineExceeded):
        await RulesExtractor(SystemClock()).extract(task(SCHEMA), PAGES, deadline=Deadline(0))


async def test_a_model_that_is_away_is_unavailable_with_its_reason() -> None:
    with pytest.raises(ExtractorUnavailable) as failed:
        await LLMExtractor(Parrot(["away"])).extract(
            task(SCHEMA), PAGES, deadline=Deadline(monotonic() + 60)
        )
    assert failed.value.reason == "llm_down"
