"""Extraction without a model: what is found beside labels and in tables, and what never is."""

from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.adapters.parsing import EXAMPLES, reading
from tests.extract.extract_stack import page, task

from foliotrace.adapters.local.clock import SystemClock
from foliotrace.adapters.local.rules import RulesExtractor
from foliotrace.extract.extract import record_of
from foliotrace.extract.schema import resolve
from foliotrace.model import Deadline, Extraction, PageStatus, ParsedPage

pytestmark = pytest.mark.anyio

STRING, NUMBER = {"type": "string"}, {"type": "number"}
DATE = {"type": "string", "format": "date"}


def record_schema(**properties: Any) -> dict[str, Any]:
    return resolve({"type": "object", "properties": properties})


async def extract(schema: dict[str, Any], *pages: ParsedPage) -> Extraction:
    extractor = RulesExtractor(SystemClock())
    return await extractor.extract(task(schema), pages, deadline=Deadline(monotonic() + 60))


async def record(text: str, **properties: Any) -> dict[str, Any]:
    schema = record_schema(**properties)
    return record_of(schema, (await extract(schema, page(text))).fields)


async def test_values_are_found_behind_colons_in_cells_and_below() -> None:
    text = (
        "Invoice No: R-20418\n\nCustomer\tLarkfield Flying Club\n\nDue date\n12 May 2026\n\n"
        "We ask you to pay soon. The grand total was 723.90 EUR in all."
    )
    assert await record(
        text, invoice_number=STRING, customer=STRING, due_date=DATE, grand_total=NUMBER
    ) == {
        "invoice_number": "R-20418",
        "customer": "Larkfield Flying Club",
        "due_date": "2026-05-12",
        "grand_total": 723.9,
    }


async def test_aliases_and_titles_name_a_field_too() -> None:
    assert await record(
        "Rechnungsnummer: 77-A\nCertificate:\tPrivate",
        number={"type": "string", "aliases": ["Rechnungsnummer"]},
        pilot={"type": "string", "title": "Certificate"},
    ) == {"number": "77-A", "pilot": "Private"}


async def test_what_the_page_does_not_say_is_null() -> None:
    text = "Invoice No: R-20418\nAircraft:\tDamage:\nTotal: to be told"
    assert await record(
        text, policy_number=STRING, aircraft=STRING, total=NUMBER, paid={"type": "boolean"}
    ) == {"policy_number": None, "aircraft": None, "total": None, "paid": None}


async def test_a_label_is_never_taken_for_a_value() -> None:
    text = "Name:\tAddress:\nPhone:\t5"
    assert await record(text, name=STRING, address=STRING, phone=STRING) == {
        "name": None,
        "address": None,
        "phone": "5",
    }


async def test_two_different_values_make_both_unsure() -> None:
    schema = record_schema(total=NUMBER)
    (alone,) = (await extract(schema, page("Total: 5"))).fields
    (torn,) = (await extract(schema, page("Total: 5\n\nTotal: 6"))).fields
    assert alone.confidence is not None
    assert torn.confidence is not None
    assert torn.confidence < alone.confidence


async def test_a_list_comes_from_the_table_whose_headers_fit() -> None:
    lines = {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {"item": STRING, "quantity": {"type": "integer"}, "price": NUMBER},
            "required": ["item"],
        },
    }
    text = "Item\tQty\tPrice (EUR)\nTyre\t2\t318.00\nOil\t12\t131.40\nTotal\t\t449.40"
    assert (await record(text, lines=lines))["lines"] == [
        {"item": "Tyre", "quantity": 2, "price": 318},
        {"item": "Oil", "quantity": 12, "price": 131.4},
    ]
    assert (await record("Day\tPlace\nMonday\tHall", lines=lines))["lines"] is None


async def test_pages_that_cannot_be_read_are_not_read() -> None:
    schema = record_schema(total=NUMBER)
    made = await extract(schema, page("Total: 5", status=PageStatus.FAILED))
    assert [field.value for field in made.fields] == [None]


async def test_a_real_report_is_read_and_every_value_can_be_opened() -> None:
    schema = record_schema(
        accident_number=STRING,
        location=STRING,
        aircraft_damage={"type": "string", "enum": ["None", "Minor", "Substantial"]},
        report_date=DATE,
        insurance_claim_number=STRING,
    )
    async with reading() as local:
        pages = await local.read(EXAMPLES / "ntsb-NYC08CA055-tallahassee.pdf")
    made = await extract(schema, *pages)
    assert record_of(schema, made.fields) == {
        "accident_number": "NYC08CA055",
        "location": "Tallahassee, FL",
        "aircraft_damage": "Substantial",
        "report_date": "2008-01-31",
        "insurance_claim_number": None,
    }
    cited = [c for field in made.fields for c in field.citations]
    for citation in cited:
        where = citation.anchor
        assert pages[where.page - 1].text[where.start : where.end] == citation.quote
        assert where.boxes


async def test_a_value_of_a_sheet_names_its_cell() -> None:
    schema = record_schema(
        defects={
            "type": "array",
            "items": {"type": "object", "properties": {"aircraft": STRING, "cost": NUMBER}},
        }
    )
    async with reading() as local:
        pages = await local.read(EXAMPLES / "larkfield-maintenance-2026.xlsx")
    made = await extract(schema, *pages)
    costs = {f.value: f.citations[0].anchor.cells for f in made.fields if "/cost" in f.pointer}
    assert next(iter(costs)) == 312.4
    assert all(cell and cell[0].isalpha() and cell[1:].isdigit() for cell in costs.values())


@given(st.text(alphabet="Total: 5\n\tDue date 2026-05-12 Nameab$(),.-", max_size=200))
@settings(max_examples=80, deadline=None)
async def test_nothing_is_invented_whatever_the_page_says(text: str) -> None:
    schema = record_schema(total=NUMBER, due_date=DATE, name=STRING)
    for field in (await extract(schema, page(text))).fields:
        if field.value is not None:
            (citation,) = field.citations
            where = citation.anchor
            assert text[where.start : where.end] == citation.quote
            if isinstance(field.value, str) and field.pointer == "/name":
                assert " ".join(citation.quote.split()) == field.value


def test_the_example_schema_is_a_good_one() -> None:
    import json

    path = Path(EXAMPLES.parent / "accident.schema.json")
    assert resolve(json.loads(path.read_text()))["required"]
