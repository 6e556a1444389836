"""A question about a figure is answered by a cell: value, unit, period and row."""

from dataclasses import replace

import pytest
from tests.ingest.pages import store
from tests.query.query_stack import QueryStack, Scripted

from foliotrace.model import (
    Answer,
    Box,
    Identity,
    ParsedPage,
    Table,
    TableCell,
    TableRow,
    Word,
    Words,
)
from foliotrace.ports import DocumentDraft, StoredBlob

pytestmark = pytest.mark.anyio

INCOME = """\
\tThree Months Ended July 1, 2023\tThree Months Ended June 25, 2022\tNine Months Ended July 1, 2023
Products\t$ 60,584\t$ 63,355\t$ 230,901
Services\t21,213\t19,604\t62,886
Total net sales\t$ 81,797\t$ 82,959\t$ 293,787
Total cost of sales\t45,384\t47,074\t164,295
Research and development\t7,442\t6,797\t22,608
Basic earnings per share\t1.27\t1.20\t4.69"""

PROSE = "The following table shows total net sales. Weak currencies moved total net sales by 1 %."


def page_with_table(
    text: str, *, before: str = PROSE, headers: int = 1, **about: object
) -> ParsedPage:
    """A page: prose, then a table of lines with tabs; every word has a box."""
    whole = f"{before}\n\n{text}"
    rows: list[TableRow] = []
    words: list[Word] = []
    at = len(before) + 2
    for number, line in enumerate(text.split("\n")):
        cells, start = [], at
        for column, cell in enumerate(line.split("\t")):
            if cell:
                box = Box(100.0 * column, 20.0 * number, 90, 10)
                cells.append(TableCell(start=at, end=at + len(cell), column=column, box=box))
                words.append(Word(at, at + len(cell), box))
            at += len(cell) + 1
        rows.append(
            TableRow(start=start, end=at - 1, cells=tuple(cells), is_header=number < headers)
        )
    table = Table(start=rows[0].start, end=rows[-1].end, rows=tuple(rows), **about)  # type: ignore[arg-type] # caption, unit, period
    return ParsedPage(
        number=1, text=whole, engine="test 1", tables=(table,), words=Words.pack(words)
    )


async def serve_page(
    stack: QueryStack, page: ParsedPage, title: str, name: str = "report.pdf"
) -> None:
    await serve_pages(stack, [page], title, name)


async def serve_pages(stack: QueryStack, pages: list[ParsedPage], title: str, name: str) -> None:
    digest = name.ljust(64, "0")
    blob = StoredBlob(content_hash=digest, size_bytes=3, media_type="text/plain")
    draft = DocumentDraft(collection="default", name=name, blob=blob, metadata={})
    document = (await stack.library.register("default", draft)).document
    await stack.library.begin("default", document.id, revision=name, pages_total=len(pages))
    await store(stack.library, document, name, pages)
    await stack.library.publish(
        "default", document.id, revision=name, identity=Identity(title=title)
    )
    await stack.index.catch_up()


async def asked_of_income(stack: QueryStack, question: str, **about: object) -> Answer:
    described = {
        "unit": "in millions, except per share data",
        "caption": "Statements of Operations",
    }
    await serve_page(stack, page_with_table(INCOME, **(described | about)), "Acme quarterly report")
    return await stack.ask(question)


def first_line(answer: Answer) -> str:
    return answer.text.split("\n")[0]


async def test_the_answer_names_row_period_value_and_unit(stack: QueryStack) -> None:
    answer = await asked_of_income(
        stack, "What were total net sales for the quarter ended July 1, 2023?"
    )
    assert first_line(answer) == (
        "Total net sales, three months ended July 1, 2023: $81,797 million [1]"
    )


async def test_the_row_is_quoted_below_its_header(stack: QueryStack) -> None:
    answer = await asked_of_income(
        stack, "What were total net sales for the quarter ended July 1, 2023?"
    )
    assert "Three Months Ended July 1, 2023" in answer.text.split("\n")[2]
    assert answer.citations[0].quote.startswith("Total net sales")


async def test_label_and_value_are_located_in_the_citation(stack: QueryStack) -> None:
    answer = await asked_of_income(
        stack, "What were total net sales for the quarter ended July 1, 2023?"
    )
    figure = answer.citations[0].figure
    assert figure is not None
    assert (figure.row, figure.value) == ("Total net sales", "$ 81,797")
    assert [anchor.boxes[0].x for anchor in figure.cells] == [0.0, 100.0]


@pytest.mark.parametrize(
    ("question", "value"),
    [
        ("What were net sales for the quarter ended June 25, 2022?", "$82,959 million"),
        ("What were total net sales in the nine months ended July 1, 2023?", "$293,787 million"),
        ("What was revenue for the three months ended July 1, 2023?", "$81,797 million"),
        ("How much was spent on R&D in the quarter ended July 1, 2023?", "$7,442 million"),
        ("What was the cost of sales in the quarter ended June 25, 2022?", "$47,074 million"),
    ],
)
async def test_period_chooses_the_column_and_words_the_row(
    stack: QueryStack, question: str, value: str
) -> None:
    answer = await asked_of_income(stack, question)
    assert value in first_line(answer)


async def test_a_row_that_the_unit_excepts_is_not_scaled(stack: QueryStack) -> None:
    answer = await asked_of_income(
        stack, "What were basic earnings per share for the quarter ended July 1, 2023?"
    )
    assert "1.27" in first_line(answer)
    assert "1.27 million" not in first_line(answer)


async def test_a_period_that_no_column_has_chooses_no_cell(stack: QueryStack) -> None:
    answer = await asked_of_income(
        stack, "What were total net sales for the quarter ended April 2, 2016?"
    )
    assert all(citation.figure is None for citation in answer.citations)


async def test_a_question_for_a_reason_is_not_answered_by_a_figure(stack: QueryStack) -> None:
    answer = await asked_of_income(
        stack, "Why did weak currencies move total net sales for the quarter ended July 1, 2023?"
    )
    assert all(citation.figure is None for citation in answer.citations)


async def test_a_table_without_unit_says_so(stack: QueryStack) -> None:
    page = page_with_table("\t2022\t2023\nVisitors\t5,100\t6,200", before="Visitors of the museum.")
    await serve_page(stack, page, "Museum")
    answer = await stack.ask("How many visitors were there in 2023?")
    assert first_line(answer) == "Visitors, 2023: 6,200 (the table states no unit) [1]"


async def test_columns_that_nothing_tells_apart_give_no_figure(stack: QueryStack) -> None:
    page = page_with_table("Revenue\t5,931\t6,704\t7,103", before="Summary.", headers=0)
    await serve_page(stack, page, "Summary of revenue")
    answer = await stack.ask("What was revenue?")
    assert all(citation.figure is None for citation in answer.citations)


async def test_two_rows_that_fit_equally_are_both_given(stack: QueryStack) -> None:
    text = (
        "\t2022\t2023\nBasic earnings per share\t1.20\t1.27\nDiluted earnings per share\t1.19\t1.26"
    )
    await serve_page(stack, page_with_table(text, before="Results.", unit="in dollars"), "Acme")
    answer = await stack.ask("What were earnings per share in 2023?")
    lines = answer.text.split("\n")[:2]
    assert "1.27" in lines[0]
    assert "1.26" in lines[1]


async def test_the_row_of_a_thing_and_the_column_of_its_attribute_meet(stack: QueryStack) -> None:
    text = "Aircraft\tSeats\tHourly rate (EUR)\nD-ELKB\t2\t138\nD-EXYZ\t4\t172"
    await serve_page(stack, page_with_table(text, before="The fleet of the club."), "Fleet")
    answer = await stack.ask("What is the hourly rate of D-ELKB?")
    assert first_line(answer).startswith("D-ELKB, Hourly rate (EUR): 138")


async def test_a_form_gives_the_value_of_the_attribute_not_the_subject(stack: QueryStack) -> None:
    await stack.serve(
        "Lease agreement\n\nTenant: Blue Finch Coffee Roasters LLC\nLandlord: Quay Estates\n"
        "Lease expires: 31 May 2027\nRent: 2,400 EUR a month\n",
        name="lease.txt",
    )
    answer = await stack.ask("When does the Blue Finch lease expire?")
    assert first_line(answer) == "Lease expires: 31 May 2027 [1]"
    answer = await stack.ask("Who is the landlord of Blue Finch?")
    assert "Quay Estates" in first_line(answer)


async def test_the_figure_of_the_company_that_was_asked_for_is_given(stack: QueryStack) -> None:
    described = {"unit": "in millions"}
    other = INCOME.replace("81,797", "13,507")
    await serve_page(stack, page_with_table(INCOME, **described), "Acme Inc.", "a.pdf")
    await serve_page(stack, page_with_table(other, **described), "Bolt Corporation", "b.pdf")
    question = "What were {}'s total net sales for the quarter ended July 1, 2023?"
    assert "81,797" in first_line(await stack.ask(question.format("Acme")))
    assert "13,507" in first_line(await stack.ask(question.format("Bolt")))


async def test_no_sentence_of_another_company_is_quoted(stack: QueryStack) -> None:
    for name, text in (
        ("Acme", "Acme Inc. annual report.\n\nThe board of Acme met twice about the merger."),
        ("Bolt", "Bolt annual report.\n\nThe merger costs of the merger were paid by the board."),
    ):
        await stack.serve(text, name=f"{name}.txt", identity=Identity(company=name, title=name))
    answer = await stack.ask("What did Acme's board do about the merger?")
    assert {citation.document_name for citation in answer.citations} == {"Acme.txt"}


async def test_a_run_without_content_holds_no_figure(stack: QueryStack) -> None:
    answer = await asked_of_income(stack, "What were net sales in the quarter ended July 1, 2023?")
    assert answer.citations[0].figure is not None
    run = await stack.runs.run("default", answer.run_id)
    assert [citation.figure for citation in run.citations] == [None]


async def test_a_language_model_sees_unit_and_columns_of_a_table(stack: QueryStack) -> None:
    llm = Scripted("Total net sales were $81,797 million [1].")
    stack.use(generators=(llm,))
    await asked_of_income(stack, "What were total net sales for the quarter ended July 1, 2023?")
    shown = llm.prompts[0].user
    assert "Table: Statements of Operations; in millions, except per share data; columns: " in shown
    assert "Three Months Ended July 1, 2023 | Three Months Ended June 25, 2022" in shown


GROUPED_HEADER = "".join(
    f"\tTwelve Months Ended June 30, {year} {group}"
    for year in (2022, 2023)
    for group in ("Bottles", "Caps")
)
GROUPED = f"""\
{GROUPED_HEADER}
EBIT\t190\t60\t220\t70
Adjusted EBIT\t200\t62\t265\t71
Net sales\t3,393\t800\t3,540\t900
Adjusted EBIT / sales %\t5.9 %\t7.8 %\t7.5 %\t7.9 %"""


async def test_a_column_is_in_percent_only_if_its_first_value_is_too(stack: QueryStack) -> None:
    page = page_with_table(GROUPED, unit="$ million", caption="Reconciliation of adjusted EBIT")
    await serve_page(stack, page, "Acme earnings release")
    answer = await stack.ask("What adjusted EBIT did Bottles earn in fiscal 2023?")
    assert first_line(answer) == (
        "Adjusted EBIT, twelve months ended June 30, 2023 bottles: $265 million [1]"
    )


async def test_what_margin_that_is_is_answered_beside_the_amount(stack: QueryStack) -> None:
    page = page_with_table(GROUPED, unit="$ million", caption="Reconciliation of adjusted EBIT")
    await serve_page(stack, page, "Acme earnings release")
    answer = await stack.ask(
        "What adjusted EBIT did Bottles earn in fiscal 2023 and what margin is that?"
    )
    lines = answer.text.split("\n")
    assert lines[0].endswith("bottles: $265 million [1]")
    assert lines[1].endswith("bottles: 7.5% [2]")


async def test_without_a_row_for_the_margin_only_the_amount_is_given(stack: QueryStack) -> None:
    table = "\n".join(GROUPED.split("\n")[:-1])
    page = page_with_table(table, unit="$ million", caption="Reconciliation of adjusted EBIT")
    await serve_page(stack, page, "Acme earnings release")
    answer = await stack.ask(
        "What adjusted EBIT did Bottles earn in fiscal 2023 and what margin is that?"
    )
    assert first_line(answer).endswith("bottles: $265 million [1]")
    assert [c.figure.value for c in answer.citations if c.figure] == ["265"]


ABOVE = (
    "Results of Operations\n\nRevenue by Reportable Segments\n"
    "Three Months Ended\tNine Months Ended\n"
    "October 30, 2022\tOctober 31, 2021\tOctober 30, 2022\tOctober 31, 2021\n\n($ in millions)"
)
BY_SEGMENT = "Lenses\t$ 3,816\t$ 3,011\t$ 11,395\t$ 7,821\nFrames\t2,115\t4,092\t9,528\t11,450"


async def test_header_lines_that_no_table_took_in_name_its_columns(stack: QueryStack) -> None:
    page = page_with_table(BY_SEGMENT, before=ABOVE, headers=0, unit="$ in millions")
    await serve_page(stack, page, "Acme quarterly report")
    answer = await stack.ask("What was Frames revenue in the nine months ended October 30, 2022?")
    assert first_line(answer) == ("Frames, nine months ended October 30, 2022: $9,528 million [1]")


async def test_header_lines_that_do_not_fit_the_columns_name_none(stack: QueryStack) -> None:
    above = ABOVE.replace("October 30, 2022\tOctober 31, 2021\tOctober", "October", 1)
    page = page_with_table(BY_SEGMENT, before=above, headers=0, unit="$ in millions")
    await serve_page(stack, page, "Acme quarterly report")
    answer = await stack.ask("What was Frames revenue in the nine months ended October 30, 2022?")
    assert not any(c.figure for c in answer.citations)


ELEMENTS = "C\tSi\tCr\tMo\n0.39 - 0.46\t0.2 - 0.35\tmax 1.2\t0.15 - 0.25"


@pytest.mark.parametrize(
    ("element", "line"),
    [("molybdenum", "Mo: 0.15 - 0.25"), ("carbon", "C: 0.39 - 0.46"), ("chromium", "Cr: max 1.2")],
)
async def test_a_data_sheet_gives_the_value_below_the_symbol_of_an_element(
    stack: QueryStack, element: str, line: str
) -> None:
    above = (
        "Steel with carbon, chromium, molybdenum, nickel\n\nChemical composition % of grade ZX22"
    )
    await serve_page(stack, page_with_table(ELEMENTS, before=above), "Data sheet")
    answer = await stack.ask(f"How much {element} may ZX22 contain?")
    assert first_line(answer) == f"Chemical composition % of grade ZX22, {line} [1]"


async def test_an_element_that_the_data_sheet_has_no_column_for_is_no_figure(
    stack: QueryStack,
) -> None:
    above = (
        "Steel with carbon, chromium, molybdenum, nickel\n\nChemical composition % of grade ZX22"
    )
    await serve_page(stack, page_with_table(ELEMENTS, before=above), "Data sheet")
    answer = await stack.ask("How much nickel may ZX22 contain?")
    assert not any(c.figure for c in answer.citations)


def estimate(number: int, name: str, make: str, total: str) -> ParsedPage:
    """A page with a form, and a table of amounts below it."""
    form = f"Insured name\t{name}\nMake\t{make}\nEstimator\tEllis Turner"
    sums = f"\tHours\tCost\nPaint\t2\t300\nSubtotal\t\t2,730\nGRAND TOTAL\t\t{total}"
    upper = page_with_table(form, before="Preliminary Estimate", headers=0)
    lower = page_with_table(sums, before=upper.text + "\n\nEstimate Totals")
    return replace(lower, number=number, tables=(*upper.tables, *lower.tables))


async def test_a_sum_is_taken_from_the_page_whose_form_names_the_party(stack: QueryStack) -> None:
    pages = [
        estimate(1, "Gabriel Diaz", "Jeep", "5,738"),
        estimate(2, "Bruno Wagner", "Opel", "211,522"),
    ]
    await serve_pages(stack, pages, "Grand Repair | estimate", "estimates.pdf")
    for whose, total in (("Gabriel Diaz's Jeep", "5,738"), ("Bruno Wagner's Opel", "211,522")):
        answer = await stack.ask(f"What grand total is printed on the estimate for {whose}?")
        assert first_line(answer).startswith(f"GRAND TOTAL, Cost: {total}")
        assert len([c for c in answer.citations if c.figure]) == 1
