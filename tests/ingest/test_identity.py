"""What a document says it is, read from its first pages and its name."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foliotrace.ingest.identity import identify
from foliotrace.model import Block, BlockKind, Identity, ParsedPage

COVER = """UNITED STATES
SECURITIES AND EXCHANGE COMMISSION
Washington, D.C. 20549
FORM {form}
{statement} PURSUANT TO SECTION 13 OR 15(d) OF THE SECURITIES EXCHANGE ACT OF 1934
For the {period}
{company}
(Exact name of registrant as specified in its charter)
"""


def identity(*texts: str, name: str = "upload.pdf", title: str | None = None) -> Identity:
    pages = [ParsedPage(number=n, text=text) for n, text in enumerate(texts, 1)]
    return identify(pages, name=name, title=title)


def test_an_annual_filing_states_company_form_and_fiscal_year() -> None:
    cover = COVER.format(
        form="10-K",
        statement="ANNUAL REPORT",
        period="fiscal year ended January 28, 2023",
        company="BEST BUY CO., INC.",
    )
    assert identity(cover) == Identity(
        company="BEST BUY CO., INC.",
        kind="10-K annual report",
        period="FY2023 fiscal year ended January 28, 2023",
    )


def test_a_quarterly_filing_takes_its_quarter_from_the_files_name() -> None:
    cover = COVER.format(
        form="10-Q",
        statement="QUARTERLY REPORT",
        period="quarterly period ended July 1, 2023",
        company="Apple Inc.",
    )
    found = identity(cover, name="2023 Q3 AAPL.pdf")
    assert (found.company, found.kind) == ("Apple Inc.", "10-Q quarterly report")
    assert found.period == "Q3 2023 FY2023, quarter ended July 1, 2023"


def test_a_company_is_the_organisation_named_most_often() -> None:
    found = identity(
        "Press release.\nUlta Beauty, Inc. and Target Corp. say that Ulta Beauty, Inc."
    )
    assert found.company == "Ulta Beauty, Inc."


def test_an_earnings_release_is_told_by_its_first_line() -> None:
    found = identity("Amcor reports fiscal 2023 results and provides outlook\nJune 2023 quarter")
    assert found == Identity(
        title="Amcor reports fiscal 2023 results and provides outlook",
        period="fiscal 2023",
        kind="earnings release",
    )


@pytest.mark.parametrize(
    ("text", "name", "kind"),
    [
        ("INVOICE\nNo. 17", "x.pdf", "invoice"),
        ("Service Agreement\nbetween the parties", "x.pdf", "agreement"),
        ("Some words.", "employee_handbook.docx", "handbook"),
        ("Attention heads\nAbstract\nWe show", "x.pdf", "paper"),
        ("Nothing special", "x.pdf", None),
    ],
)
def test_the_kind_is_the_first_one_named(text: str, name: str, kind: str | None) -> None:
    assert identity(text, name=name).kind == kind


def test_the_title_is_stated_or_the_first_heading_or_the_first_line_or_the_name() -> None:
    assert identity("First line.", title="A Stated Title").title == "A Stated Title"
    assert identity("First line.", title="Microsoft Word - draft3.doc").title == "First line."
    heading = Block(kind=BlockKind.HEADING, start=12, end=23, level=1)
    page = ParsedPage(number=1, text="Page 1 of 3\nThe Heading\nText.", blocks=(heading,))
    assert identify([page], name="x.pdf").title == "The Heading"
    assert identity("", name="annual_plan 2024.pdf") == Identity(
        title="annual plan 2024", period="2024", kind="plan"
    )


@given(st.lists(st.text(max_size=400), max_size=3), st.text(max_size=60), st.none() | st.text())
@settings(max_examples=200, deadline=None)
def test_any_text_and_name_give_a_header_of_bounded_length(
    texts: list[str], name: str, title: str | None
) -> None:
    assert len(identity(*texts, name=name, title=title).header()) < 1000
