"""Extraction without a model from papers that do not label what they say: bills and receipts."""

from typing import Any

import pytest
from tests.extract.extract_stack import page
from tests.extract.test_extract_rules import DATE, NUMBER, STRING, extract, record, record_schema

from foliotrace.adapters.local.rules.dates import puts_day_first
from foliotrace.adapters.local.rules.totals import total
from foliotrace.adapters.local.rules.visual_lines import visual_lines
from foliotrace.model import Box, PageKind, ParsedPage, Word, Words

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
