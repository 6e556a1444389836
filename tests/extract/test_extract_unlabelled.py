"""Extraction without a model from papers that do not label what they say: bills and receipts."""

from dataclasses import replace
from time import monotonic
from typing import Any

import pytest
from tests.extract.extract_stack import page, task
from tests.extract.test_extract_rules import DATE, NUMBER, STRING, extract, record, record_schema

from foliotrace.adapters.local.clock import SystemClock
from foliotrace.adapters.local.rules import RulesExtractor
from foliotrace.adapters.local.rules.dates import puts_day_first
from foliotrace.adapters.local.rules.unlabelled.totals import total
from foliotrace.adapters.local.rules.visual_lines import visual_lines
from foliotrace.extract.extract import record_of
from foliotrace.model import Block, BlockKind, Box, Deadline, PageKind, ParsedPage, Word, Words

pytestmark = pytest.mark.anyio

RECEIPT = """\
LARKFIELD GARDEN SUPPLIES LTD
(880123-K)
14, MILL ROAD,
OAKHAM, LE15 6AB
TEL: 01572 555 010
VAT NO: 123456789
RECEIPT
05/06/2026 14:22
Spade\t12.00
Seeds\t3.00
SUBTOTAL\t15.00
VAT 20%\t3.00
TOTAL\t18.01
ROUNDING\t-0.01
\t18.00
CASH\t20.00
CHANGE\t2.00
"""
FIELDS: dict[str, Any] = {"company": STRING, "address": STRING, "date": DATE, "total": NUMBER}


async def test_a_receipt_without_labels_gives_issuer_address_date_and_total() -> None:
    assert await record(RECEIPT, **FIELDS) == {
        "company": "LARKFIELD GARDEN SUPPLIES LTD",
        "address": "14, MILL ROAD, OAKHAM, LE15 6AB",
        "date": "2026-06-05",
        "total": 18,
    }


async def test_every_value_without_a_label_is_cited_where_it_stands() -> None:
    shown = page(RECEIPT)
    for field in (await extract(record_schema(**FIELDS), shown)).fields:
        assert field.citations
        for citation in field.citations:
            assert shown.text[citation.anchor.start : citation.anchor.end] == citation.quote


async def test_prose_has_no_issuer_address_or_total() -> None:
    text = "Notes on gardening\n\nWe planted 14 rows of beans in May. They cost 3.50 in all."
    assert await record(text, company=STRING, address=STRING, total=NUMBER) == {
        "company": None,
        "address": None,
        "total": None,
    }


async def test_a_name_over_two_lines_is_one_name() -> None:
    text = "GREEN HARBOUR\nTRADING CO LTD\n12, DOCK STREET,\n20457 HAMBURG\nINVOICE"
    assert (await record(text, vendor=STRING))["vendor"] == "GREEN HARBOUR TRADING CO LTD"


async def test_the_date_of_something_else_is_not_the_papers() -> None:
    assert (await record("Payment due 5 May 2026", date=DATE))["date"] is None
    assert (await record("Note\n\nDelivered 3 May 2026", date=DATE))["date"] is None


@pytest.mark.parametrize(
    ("text", "day_first"),
    [
        ("ordered 28/12/2025, sent 05/01/2026", True),
        ("ordered 12/28/2025, sent 05/01/2026", False),
        ("05/01/2026 GmbH, 19 % MwSt", True),
        ("05/01/2026 Springfield, IL 62701", False),
        ("05/01/2026", None),
    ],
)
def test_a_paper_tells_whether_its_days_come_first(text: str, day_first: bool | None) -> None:
    assert puts_day_first([text]) is day_first


@pytest.mark.parametrize(
    ("lines", "value"),
    [
        ("Total excl. GST\t50.00\nGST 6%\t3.00\nTotal incl. GST\t53.00", 53.0),
        ("TL\t53.10\nCash\t100.00\nChange\t46.90", 53.1),
        ("Total\t53.00\nTax summary\nTotal\t50.00\t3.00", 53.0),
        ("Gesamtbetrag\t1.053,00", 1053.0),
        ("Total qty\t7.00\nTotal\t9.50", 9.5),
    ],
)
def test_sums_say_which_amount_is_the_total(lines: str, value: float) -> None:
    found = total(visual_lines(page(lines)))
    assert found is not None
    assert found.amount.value == value


async def test_names_of_fields_are_known_in_other_languages() -> None:
    text = "Rechnungsnummer: R-77\nFällig am: 3.5.2026"
    assert await record(text, invoice_number=STRING, due_date=DATE) == {
        "invoice_number": "R-77",
        "due_date": "2026-05-03",
    }


def test_a_label_and_its_value_far_apart_in_the_text_share_a_line_on_paper() -> None:
    text = "Total\nChange\n9.50\n0.50"
    places = (("Total", 10, 100), ("Change", 10, 120), ("9.50", 200, 103), ("0.50", 200, 122))
    words = [
        Word(text.index(word), text.index(word) + len(word), Box(x, y, 8.0 * len(word), 12))
        for word, x, y in places
    ]
    shown = ParsedPage(number=1, text=text, kind=PageKind.PAGE, words=Words.pack(words))
    assert [line.text for line in visual_lines(shown)] == ["Total 9.50", "Change 0.50"]


# --- shapes of real documents --------------------------------------------------------------------


async def test_a_label_in_brackets_below_its_value_names_it() -> None:
    text = (
        "Nevada\t20-8143439\n(State of incorporation)\t(IRS Employer Identification No.)\n\n"
        "Galaxy Gaming, Inc.\n\n(Exact name of issuer as specified in its charter)\n\n"
        "(702) 939-3254\n(Registrant's telephone number)"
    )
    assert await record(
        text,
        state_of_incorporation=STRING,
        irs_employer_identification_number=STRING,
        issuer={**STRING, "title": "Exact name of issuer as specified in its charter"},
        telephone_number={**STRING, "title": "Registrant's telephone number"},
    ) == {
        "state_of_incorporation": "Nevada",
        "irs_employer_identification_number": "20-8143439",
        "issuer": "Galaxy Gaming, Inc.",
        "telephone_number": "(702) 939-3254",
    }


async def test_names_dates_and_figures_are_found_in_the_sentence_that_speaks_of_them() -> None:
    text = (
        "Motions must reach the secretary, Ines Adler, by noon.\n\n"
        "The annual general meeting takes place on 14 November 2026 at 18:00.\n\n"
        "The crosswind limit for students is lowered to 10 knots."
    )
    assert await record(
        text, secretary=STRING, annual_general_meeting=DATE, crosswind_limit=NUMBER
    ) == {
        "secretary": "Ines Adler",
        "annual_general_meeting": "2026-11-14",
        "crosswind_limit": 10,
    }


async def test_a_sentence_about_something_else_gives_no_value() -> None:
    text = (
        "The secretary, who was ill, sent regrets.\n\nThe annual general meeting is public. "
        "It rained on 3 May 2026.\n\nThe crosswind limit of 2019 was kept by 4 of 9 members."
    )
    assert await record(text, secretary=STRING, annual_general_meeting=DATE) == {
        "secretary": None,
        "annual_general_meeting": None,
    }


async def test_the_title_of_a_document_is_its_first_heading() -> None:
    text = "How to Get New Ideas\n\nJanuary 2023\n\nNotice what is missing."
    heading = Block(kind=BlockKind.HEADING, start=0, end=20, level=1)
    shown = ParsedPage(number=1, text=text, kind=PageKind.SECTION, blocks=(heading,))
    schema = record_schema(title=STRING)
    assert record_of(schema, (await extract(schema, shown)).fields) == {
        "title": "How to Get New Ideas"
    }
    assert await record("Rain fell.\n\nIt was cold.", title=STRING) == {"title": None}


async def test_a_phone_number_has_digits_and_an_address_has_letters() -> None:
    text = "Phone:\n\nPrinted with TopLeaf\n\nAddress:\n\n(702) 939-3254"
    assert await record(text, phone=STRING, address=STRING) == {"phone": None, "address": None}


async def test_a_value_ends_where_the_label_of_another_field_begins() -> None:
    text = "Report ID: MR-2024-38 Date of Service. October 28, 2024"
    assert await record(text, report_id=STRING, date_of_service=DATE) == {
        "report_id": "MR-2024-38",
        "date_of_service": "2024-10-28",
    }


ITEM = {"item": STRING, "quantity": NUMBER, "amount": NUMBER}


async def rows_of(*texts: str) -> list[dict[str, Any]]:
    schema = record_schema(items={"type": "array", "items": {"type": "object", "properties": ITEM}})
    shown = [page(text, number) for number, text in enumerate(texts, 1)]
    record = record_of(schema, (await extract(schema, *shown)).fields)
    return list(record["items"])


@pytest.mark.parametrize(
    "last",
    [
        "Total\t3\t15.00",
        "Gesamtsumme\t3\t15.00",
        "\tSubtotal\t15.00",
        "VAT 20%\t\t3.00",
        "Sous-total\t3\t15.00",
        "Amount due\t\t18.00",
        "Carried forward\t3\t15.00",
    ],
)
async def test_a_sum_is_never_a_row(last: str) -> None:
    rows = await rows_of(f"Item\tQuantity\tAmount\nSpade\t1\t12.00\nSeeds\t2\t3.00\n{last}")
    assert [row["item"] for row in rows] == ["Spade", "Seeds"]


async def test_an_item_whose_name_begins_with_total_is_a_row() -> None:
    rows = await rows_of("Item\tQuantity\tAmount\nTotal Gym XLS\t1\t12.00\nSeeds\t2\t3.00")
    assert [row["item"] for row in rows] == ["Total Gym XLS", "Seeds"]


async def test_a_table_goes_on_over_pages_with_the_header_of_the_first() -> None:
    schema = record_schema(items={"type": "array", "items": {"type": "object", "properties": ITEM}})
    first = page("Item\tQuantity\tAmount\nSpade\t1\t12.00")
    second = page("Seeds\t2\t3.00\nRake\t1\t9.00", 2)
    body = tuple(replace(row, is_header=False) for row in second.tables[0].rows)
    going_on = replace(second.tables[0], rows=body, continued_header="Item\tQuantity\tAmount")
    second = replace(second, tables=(going_on,))
    found = record_of(schema, (await extract(schema, first, second)).fields)["items"]
    assert [row["item"] for row in found] == ["Spade", "Seeds", "Rake"]


async def test_columns_that_differ_in_their_number_are_told_apart() -> None:
    properties = {"header_col_1": STRING, "header_col_2": STRING}
    schema = record_schema(
        rows={"type": "array", "items": {"type": "object", "properties": properties}}
    )
    shown = page("Header Col 1\tHeader Col 2\nLorem\tLink")
    assert record_of(schema, (await extract(schema, shown)).fields)["rows"] == [
        {"header_col_1": "Lorem", "header_col_2": "Link"}
    ]


async def test_other_documents_of_the_collection_tell_the_order_of_dates() -> None:
    schema = record_schema(date=DATE)
    shown = page("Date: 5/6/2026")
    extractor = RulesExtractor(SystemClock())
    asked = replace(task(schema), others=("Sent on 25/6/2026.",))
    found = await extractor.extract(asked, [shown], deadline=Deadline(monotonic() + 60))
    assert record_of(schema, found.fields) == {"date": "2026-06-05"}


async def test_an_address_ends_with_its_country_and_needs_no_postcode() -> None:
    text = (
        "LARKFIELD SUPPLIES LTD\nUnit 4, Mill Road,\nOakham, United Kingdom\nHarbour Mall\n"
        "TEL: 01572 555 010\nRECEIPT\n05/06/2026\nTOTAL\t18.00"
    )
    assert (await record(text, address=STRING))["address"] == (
        "Unit 4, Mill Road, Oakham, United Kingdom"
    )


@pytest.mark.parametrize(
    ("printed", "value"),
    [
        ("14--2. MILL STREET.\nHARBOUR.,\nOAKHAM, LE15 6AB.", "14-2, MILL STREET, HARBOUR, OAKHAM"),
        ("No 14. Harbour Gate 3/2.\nMarket.\nOakham, 40170.", "No 14, Harbour Gate 3/2, Market"),
        ("Unit 4, Mill St.\nOakham, LE15 6AB", "Unit 4, Mill St. Oakham, LE15 6AB"),
        ("Straße des 17. Juni 135,\n10623 Berlin", "Straße des 17. Juni 135, 10623 Berlin"),
    ],
)
async def test_stops_between_the_parts_of_an_address_read_as_commas_but_abbreviations_stay(
    printed: str, value: str
) -> None:
    text = f"LARKFIELD SUPPLIES LTD\n{printed}\nTEL: 01572 555 010\nRECEIPT\n05/06/2026"
    assert (await record(text, address=STRING))["address"].startswith(value)
