"""A figure is the one of the measure, period and section that the question writes, or none."""

import pytest
from tests.query.query_stack import QueryStack
from tests.query.test_a_figure_is_named_by_its_cell import (
    first_line,
    page_with_table,
    serve_page,
    serve_pages,
)
from tests.query.test_figures_are_computed import serve_report, statements

from foliotrace.model import AnswerMode, Identity
from foliotrace.query.answer.cells.column_lengths import over_changes, with_lengths
from foliotrace.query.answer.cells.periods import Period, periods_in
from foliotrace.query.answer.cells.qualifiers import Qualifiers
from foliotrace.query.subjects.asked_ends import absent_ends, asked_ends

pytestmark = pytest.mark.anyio

QUARTERLY = Identity(
    company="Borealis Foods Inc.",
    kind="10-Q quarterly report",
    period="Q2 2021 FY2021, quarter ended June 30, 2021",
)
STATEMENT = """\
\tThree Months Ended June 30, 2021\tThree Months Ended June 30, 2020
Total revenue\t$ 7,150\t$ 6,420
Cost of sales\t4,010\t3,980
Net income\t$ 610\t$ 450"""


# --- periods that are not there ------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "period"),
    [
        (
            "What was Borealis's total revenue for the quarter ended December 31, 2021?",
            "quarter ended December 31, 2021",
        ),
        (
            "borealis net income three months ended september 30, 2021",
            "three months ended september 30, 2021",
        ),
        (
            "What was Borealis's net income in the six months ended March 31, 2021?",
            "six months ended March 31, 2021",
        ),
        (
            "What cost of sales did Borealis have for the quarter ended 31 October 2021?",
            "quarter ended 31 October 2021",
        ),
        (
            "What was Borealis's total revenue for the month ended May 2021?",
            "month ended May 2021",
        ),
    ],
)
async def test_a_period_whose_end_no_document_holds_is_refused_by_name(
    stack: QueryStack, question: str, period: str
) -> None:
    await serve_report(
        stack, statements(("Statements of Operations", STATEMENT)), QUARTERLY, "2021 Q2 BFI.pdf"
    )
    answer = await stack.ask(question)
    assert answer.degradation.answer is AnswerMode.ABSTAINED
    assert f"\u201c{period}\u201d" in answer.text


@pytest.mark.parametrize(
    ("question", "first"),
    [
        (
            "What was Borealis's total revenue for the quarter ended June 30, 2021?",
            "Total revenue, three months ended June 30, 2021: $7,150 million",
        ),
        (
            "borealis total revenue quarter ended june 2020",
            "Total revenue, three months ended June 30, 2020: $6,420 million",
        ),
        (
            "What was Borealis's net income for the three months ended 2021-06-30?",
            "Net income, three months ended June 30, 2021: $610 million",
        ),
        (
            "borealis net income, june 2021",
            "Net income, three months ended June 30, 2021: $610 million",
        ),
    ],
)
async def test_a_period_that_is_held_is_answered_in_each_spelling(
    stack: QueryStack, question: str, first: str
) -> None:
    await serve_report(
        stack, statements(("Statements of Operations", STATEMENT)), QUARTERLY, "2021 Q2 BFI.pdf"
    )
    assert first_line(await stack.ask(question)).startswith(first)


def test_a_document_that_does_not_say_when_its_year_ended_may_hold_any_end_in_it() -> None:
    question = "What was revenue in the year ended December 31, 2021?"
    assert asked_ends(question)[0].text == "year ended December 31, 2021"
    assert absent_ends(question, ["Acme annual report FY2021"], ["Revenue was 7."]) == []
    assert absent_ends(question, ["Acme annual report FY2018"], ["Revenue was 7."]) != []


@pytest.mark.parametrize(
    ("text", "dates"),
    [
        ("net debt june 2023", (Period(2023, 6),)),
        ("sales in Sept. 2021", (Period(2021, 9),)),
        ("Umsatz im März 2020", (Period(2020, 3),)),
        ("gross margin 2023", ()),
        ("decline 2022", ()),
        ("the augmented plan of 2024", ()),
    ],
)
def test_a_month_of_a_year_is_written_as_a_whole_word(text: str, dates: tuple[Period, ...]) -> None:
    assert periods_in(text).dates == dates


# --- qualifying words ----------------------------------------------------------------------

MEASURES = """\
\tJune 30, 2021\tJune 30, 2020
Total debt\t900\t950
Deferred tax liabilities\t70\t75
Adjusted EBIT\t120\t110
Basic earnings\t44\t41
Average headcount\t5,200\t5,100
Gross receivables\t310\t290"""


@pytest.mark.parametrize(
    "question",
    [
        "What was the net debt of Borealis at June 30, 2021?",
        "borealis net debt june 2021",
        "What were Borealis's diluted earnings at June 30, 2021?",
        "What were the net receivables of Borealis at June 30, 2021?",
        "What was the comparable EBIT of Borealis at June 30, 2021?",
        "What were the current tax liabilities of Borealis at June 30, 2021?",
    ],
)
async def test_a_row_without_the_qualifying_word_is_not_the_measure(
    stack: QueryStack, question: str
) -> None:
    page = page_with_table(MEASURES, before="Key figures", caption="Key figures", unit="$ millions")
    await serve_page(stack, page, "Borealis Foods report")
    answer = await stack.ask(question)
    assert not any(citation.figure for citation in answer.citations)


@pytest.mark.parametrize(
    ("question", "first"),
    [
        ("What was the total debt of Borealis at June 30, 2021?", "Total debt, June 30, 2021"),
        ("BOREALIS DEFERRED TAX LIABILITIES JUNE 2020", "Deferred tax liabilities, June 30, 2020"),
        ("borealis adjusted ebit june 2021", "Adjusted EBIT, June 30, 2021"),
        ("borealis average headcount june 2020", "Average headcount, June 30, 2020"),
        ("borealis gross receivables june 2021", "Gross receivables, June 30, 2021"),
    ],
)
async def test_a_row_with_the_qualifying_word_is(
    stack: QueryStack, question: str, first: str
) -> None:
    page = page_with_table(MEASURES, before="Key figures", caption="Key figures", unit="$ millions")
    await serve_page(stack, page, "Borealis Foods report")
    assert first_line(await stack.ask(question)).startswith(first)


def test_a_word_with_the_stem_of_a_qualifier_is_none() -> None:
    def stem(text: str) -> list[str]:
        return [word[:6] for word in text.lower().split()]

    asked = Qualifiers(["comparable", "net gross"], [], stem)
    assert asked.of("How does debt compare to revenue?") == ()
    assert [each.word for each in asked.of("COMPARABLE net sales")] == ["compar", "net"]


# --- lengths of columns --------------------------------------------------------------------

SPANNED = """\
\tThree Months Ended April 30, 2022\tApril 30, 2021\
\tNine Months Ended April 30, 2022\tApril 30, 2021
Hardware\t1,574\t3,221\t7,236\t9,042
Licences\t410\t380\t1,190\t1,105"""


@pytest.mark.parametrize(
    ("question", "first"),
    [
        (
            "Borealis hardware, nine months ended April 30, 2021",
            "Hardware, nine months ended April 30, 2021: $9,042 million",
        ),
        (
            "Borealis hardware, three months ended April 30, 2021",
            "Hardware, three months ended April 30, 2021: $3,221 million",
        ),
        (
            "What were the licences of Borealis for the quarter ended April 30, 2022?",
            "Licences, three months ended April 30, 2022: $410 million",
        ),
        (
            "borealis licences nine months ended april 2022",
            "Licences, nine months ended April 30, 2022: $1,190 million",
        ),
    ],
)
async def test_the_length_of_the_period_chooses_among_columns_of_one_date(
    stack: QueryStack, question: str, first: str
) -> None:
    page = page_with_table(SPANNED, before="Revenue", caption="Revenue", unit="$ millions")
    await serve_page(stack, page, "Borealis report")
    answer = await stack.ask(question)
    assert first in first_line(answer)
    assert sum(citation.figure is not None for citation in answer.citations) == 1


async def test_columns_of_one_date_are_named_with_their_lengths(stack: QueryStack) -> None:
    page = page_with_table(SPANNED, before="Revenue", caption="Revenue", unit="$ millions")
    await serve_page(stack, page, "Borealis report")
    answer = await stack.ask("What was the hardware of Borealis at April 30, 2021?")
    figures = [citation.figure for citation in answer.citations if citation.figure]
    assert {figure.period for figure in figures} == {
        "three months ended April 30, 2021",
        "nine months ended April 30, 2021",
    }


async def test_columns_that_say_the_same_give_no_figure(stack: QueryStack) -> None:
    text = SPANNED.replace("Three Months Ended ", "").replace("Nine Months Ended ", "")
    page = page_with_table(text, before="Revenue", caption="Revenue", unit="$ millions")
    await serve_page(stack, page, "Borealis report")
    answer = await stack.ask("Borealis hardware, nine months ended April 30, 2021")
    assert not any(citation.figure for citation in answer.citations)


def test_headers_take_lengths_only_where_these_span_equally_many() -> None:
    assert with_lengths(["", "Six Months Ended May 1, 2020", "May 1, 2019", "May 1, 2018"]) == [
        "", "Six Months Ended May 1, 2020", "May 1, 2019", "May 1, 2018"
    ]  # fmt: skip
    assert with_lengths(["", "2017", "Year Ended December 31, 2016", "2015"]) == [
        "",
        "Year Ended December 31, 2017",
        "Year Ended December 31, 2016",
        "Year Ended December 31, 2015",
    ]
    assert over_changes(["2017", "2016", "2017 vs. 2016"], 4) == [
        "2017", "2016", "2017 vs. 2016", "2017 vs. 2016 %"
    ]  # fmt: skip
    assert over_changes(["2017", "2016"], 4) == []


# --- amounts and their sections ------------------------------------------------------------

SECTIONS = """\
\tYear Ended December 31, 2017\tYear Ended December 31, 2016
Domestic rentals:
Revenues\t$ 450\t$ 542
Cost of revenues\t202\t262
Foreign rentals:
Revenues\t$ 5,089\t$ 3,211
Cost of revenues\t4,137\t2,911"""
ANNUAL = Identity(
    company="Borealis Foods Inc.",
    kind="10-K annual report",
    period="FY2017 fiscal year ended December 31, 2017",
)


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        (
            "How did Borealis's Domestic rentals revenues change from 2016 to 2017?",
            ("$542 million", "$450 million", "-17.0%"),
        ),
        (
            "how did borealis foreign rentals revenues change from 2016 to 2017?",
            ("$3,211 million", "$5,089 million", "+58.5%"),
        ),
        (
            "What were Borealis's Foreign rentals revenues in 2016?",
            ("Foreign rentals: Revenues", "$3,211 million"),
        ),
        (
            "What were Borealis's Domestic rentals revenues in 2017?",
            ("Domestic rentals: Revenues", "$450 million"),
        ),
    ],
)
async def test_the_section_above_a_row_is_a_part_of_its_label(
    stack: QueryStack, question: str, parts: tuple[str, ...]
) -> None:
    await serve_report(stack, statements(("Results by business", SECTIONS)), ANNUAL, "bfi.pdf")
    answer = await stack.ask(question)
    assert all(part in answer.text for part in parts), answer.text


@pytest.mark.parametrize(
    "question",
    [
        "How did the rentals revenues of Borealis change from 2016 to 2017?",
        "What was the revenue of rentals of Borealis in 2017?",
        "How much revenue did rentals bring Borealis in 2016?",
        "borealis rentals net income 2017",
    ],
)
async def test_words_are_no_amount(stack: QueryStack, question: str) -> None:
    page = page_with_table(
        "Rentals revenue\tConsolidated\nRentals net income\tSegment", before="Notes", headers=0
    )
    await serve_pages(stack, [page], "Borealis report, year ended December 31, 2017", "notes.pdf")
    answer = await stack.ask(question)
    assert not any(citation.figure for citation in answer.citations)


# --- regions -------------------------------------------------------------------------------

REGIONS = """\
\tThree Months Ended June 30, 2021\tThree Months Ended June 30, 2020
Americas\t$ 3,000\t$ 2,900
Europe\t1,500\t1,400
Greater China\t1,650\t1,220
Rest of Asia Pacific\t1,000\t900
Total revenue\t$ 7,150\t$ 6,420"""


@pytest.mark.parametrize(
    ("question", "first"),
    [
        (
            "Which Borealis region had the highest revenue in the quarter ended June 30, 2021?",
            "Americas: highest revenue",
        ),
        (
            "Which region of Borealis had the lowest revenue in the quarter ended June 30, 2021?",
            "Rest of Asia Pacific: lowest revenue",
        ),
        (
            "which borealis region had the lowest revenue in the quarter ended june 2020?",
            "Rest of Asia Pacific: lowest revenue",
        ),
        (
            "Which region of Borealis had revenue that grew the most in the quarter ended"
            " June 30, 2021?",
            "Greater China grew most",
        ),
    ],
)
async def test_segments_called_like_regions_are_regions(
    stack: QueryStack, question: str, first: str
) -> None:
    titles = (("Revenue by reportable segment", REGIONS), ("Statements of Operations", STATEMENT))
    await serve_report(stack, statements(*titles), QUARTERLY, "2021 Q2 BFI.pdf")
    assert first_line(await stack.ask(question)).startswith(first)
