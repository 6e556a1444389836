"""Extraction by a language model: every value stands on the page or is null."""

from time import monotonic
from typing import Any

import pytest
from tests.extract.extract_stack import Parrot, finding, page, task
from tests.lazy_sdk import lazy_call

from foliotrace.errors import ExtractorUnavailable
from foliotrace.extract.extract import record_of
from foliotrace.extract.schema import resolve
from foliotrace.model import Deadline, Extraction, ExtractionMethod

LLMExtractor = lazy_call("foliotrace.adapters.llamaindex.extractor:LLMExtractor")

pytestmark = pytest.mark.anyio

SCHEMA = resolve(
    {
        "type": "object",
        "properties": {
            "seller": {"type": "string"},
            "total": {"type": "number"},
            "due": {"type": "string", "format": "date"},
            "paid": {"type": "boolean"},
            "lines": {
                "type": "array",
                "items": {"type": "object", "properties": {"item": {"type": "string"}}},
            },
        },
    }
)
PAGES = (
    page("Sold by Moorham\nAviation Supplies. Total \u20ac 1,234.50, due 12 May 2026."),
    page("It has been settled in full. Items: tyre; oil.", 2),
)


async def extract(*findings: dict[str, Any]) -> Extraction:
    extractor = LLMExtractor(Parrot([{"findings": list(findings)}]))
    return await extractor.extract(task(SCHEMA), PAGES, deadline=Deadline(monotonic() + 9))


async def test_grounded_values_are_kept_with_our_own_citation() -> None:
    made = await extract(
        finding("/seller", "Moorham Aviation Supplies", "by Moorham Aviation Supplies"),
        finding("/total", 1234.5, "Total \u20ac 1,234.50"),
        finding("/due", "2026-05-12", "due 12 May 2026"),
        finding("/paid", True, "settled in full", 2),
        finding("/lines/0/item", "tyre", "Items: tyre", 2),
    )
    assert record_of(SCHEMA, made.fields) == {
        "seller": "Moorham Aviation Supplies",
        "total": 1234.5,
        "due": "2026-05-12",
        "paid": True,
        "lines": [{"item": "tyre"}],
    }
    quotes = {f.pointer: f.citations[0].quote for f in made.fields}
    assert quotes["/seller"] == "Moorham\nAviation Supplies"
    assert quotes["/due"] == "12 May 2026"
    assert {f.method for f in made.fields} == {ExtractionMethod.LLM}


@pytest.mark.parametrize(
    "claim",
    [
        finding("/seller", "Acme", "Sold by Acme"),  # the words are not there
        finding("/seller", "Acme", "Sold by Moorham"),  # the words do not say it
        finding("/total", 1234, "Total \u20ac 1,234.50"),  # another number
        finding("/total", "a lot", "Total \u20ac 1,234.50"),  # no number
        finding("/due", "2026-12-05", "due 12 May 2026"),  # another day
        finding("/paid", "maybe", "settled in full"),  # no yes or no
        finding("/paid", True, ""),  # no words
        finding("/unknown", "x", "Sold by Moorham"),  # no such field
        finding("/lines/x/item", "tyre", "Items: tyre", 2),  # no such place
        {"pointer": "/total", "value": {"a": 1}, "quote": "Total", "page": 1},
        {"pointer": "/total"},
    ],
)
async def test_an_ungrounded_claim_becomes_null(claim: dict[str, Any]) -> None:
    made = await extract(claim)
    assert [field.value for field in made.fields] == [None] * 4


async def test_a_value_on_another_page_than_named_is_cited_where_it_stands() -> None:
    made = await extract(finding("/paid", True, "settled in full", 1))
    (paid,) = [f for f in made.fields if f.value]
    assert paid.citations[0].anchor.page == 2


@pytest.mark.parametrize("answer", ["I cannot do that.", '{"findings": 3}', "[1]", "{" * 100_000])
async def test_an_answer_that_is_no_answer_lets_the_next_rung_try(answer: str) -> None:
    with pytest.raises(ExtractorUnavailable) as failed:
        await LLMExtractor(Parrot([answer])).extract(
            task(SCHEMA), PAGES, deadline=Deadline(monotonic() + 9)
        )
    assert failed.value.reason == "llm_answer_malformed"


async def test_the_prompt_holds_schema_and_pages_and_asks_for_json() -> None:
    parrot = Parrot(['```json\n{"findings": []}\n```'])
    await LLMExtractor(parrot).extract(task(SCHEMA), PAGES, deadline=Deadline(monotonic() + 9))
    (prompt,) = parrot.prompts
    assert prompt.schema is not None
    assert '"seller"' in prompt.user
    assert '<page number="2">' in prompt.user
