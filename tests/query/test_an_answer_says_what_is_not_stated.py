"""Without a language model an answer says which part of a question no sentence answers.

Texts are invented for their rule, or two sentences of a report.
"""

import pytest
from tests.query.query_stack import QueryStack
from tests.query.test_a_figure_is_named_by_its_cell import first_line
from tests.query.test_figures_are_computed import STATEMENTS, serve_report, statements

from foliotrace.model import ParsedPage
from foliotrace.query.answer.quote_finder import LACKING
from foliotrace.query.answer.quoted import NOT_STATED, UNRELATED
from foliotrace.query.answer.quoting.noise import noise_in
from foliotrace.query.answer.quoting.sides import sides_of

pytestmark = pytest.mark.anyio


async def test_two_things_that_no_sentence_relates_have_a_quote_each(stack: QueryStack) -> None:
    await stack.serve(
        "Bakery inventories rose by four percent in spring.\n\n"
        "The mill delivers its logistics plan to the town hall each Monday."
    )
    answer = await stack.ask("How do bakery inventories relate to the mill's logistics plan?")
    assert answer.text.startswith(UNRELATED)
    assert "On \u201cbakery inventories\u201d: \u201cBakery inventories rose" in answer.text
    assert "On \u201cthe mill's logistics plan\u201d: \u201cThe mill delivers" in answer.text


async def test_a_sentence_that_relates_the_two_is_the_answer(stack: QueryStack) -> None:
    await stack.serve("Bakery inventories follow the logistics plan of the mill week by week.")
    answer = await stack.ask("How do bakery inventories relate to the mill's logistics plan?")
    assert UNRELATED not in answer.text


@pytest.mark.parametrize(
    ("question", "sides"),
    [
        (
            "What is the relationship between R&D spending and new products?",
            ("R&D spending", "new products"),
        ),
        (
            "Compare the inventory levels with the supply chain strategies.",
            ("the inventory levels", "the supply chain strategies"),
        ),
        ("What was the revenue in 2023?", None),
    ],
)
def test_the_two_sides_of_a_question(question: str, sides: tuple[str, str] | None) -> None:
    assert sides_of(question) == sides


async def test_how_many_is_not_answered_without_a_number(stack: QueryStack) -> None:
    await stack.serve(
        "The employees of the bakery take part in the bakery's 2022 Employee Stock Plan.\n\n"
        "In spring the bakery had 41 employees and two ovens."
    )
    answer = await stack.ask("How many employees does the bakery have?")
    assert "41 employees" in answer.citations[0].quote


async def test_a_count_that_nothing_states_is_not_answered(stack: QueryStack) -> None:
    await stack.serve("The award is subject to the provisions of the 2022 Employee Stock Plan.")
    await stack.serve("The bakery sells bread, rolls and cake in a shop beside the mill.")
    answer = await stack.ask("How many employees does the bakery have?")
    assert not answer.citations or answer.text.startswith(NOT_STATED)


async def test_a_reason_is_no_row_of_a_table(stack: QueryStack) -> None:
    await stack.serve(
        "Wages as a percentage of sales\t8.2\t8.9\n\n"
        "As a percentage of sales, wages fell primarily due to shorter hours."
    )
    answer = await stack.ask("What drove the reduction in wages as a percentage of sales?")
    assert "shorter hours" in answer.citations[0].quote


async def test_what_could_happen_does_not_beat_what_happened(stack: QueryStack) -> None:
    await stack.serve(
        "Exchange rates could affect the bakery's performance in the bakery's year.\n\n"
        "Exchange rates had an unfavorable effect of 1% on the bakery's sales."
    )
    answer = await stack.ask("How did exchange rates affect the bakery's performance?")
    assert "unfavorable" in answer.citations[0].quote


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("There can be no assurance that hedges offset the impact of rates.", "hypothetical"),
        ("In May 2022, sales rose by 4%.", ""),
        ('Also refer to Item 3, "Legal Proceedings" in our Annual Report.', "reference"),
    ],
)
def test_kinds_of_sentences_that_hardly_answer(text: str, kind: str) -> None:
    assert noise_in(text) == kind


async def test_an_announced_sentence_is_quoted_with_its_announcement(stack: QueryStack) -> None:
    # Two sentences of the NTSB's report NYC08CA055.
    await stack.serve(
        "The National Transportation Safety Board determines the probable cause(s) of this"
        " accident to be:\nThe pilot's misjudged clearance over obstacles during final approach."
    )
    answer = await stack.ask("What caused the accident?")
    assert "misjudged clearance" in answer.citations[0].quote


async def test_an_everyday_word_finds_what_documents_write(stack: QueryStack) -> None:
    await stack.serve("At the end of fiscal 2022, the Company operated 1,355 stores.")
    answer = await stack.ask("How many shops did it have at the end of fiscal 2022?")
    assert "1,355 stores" in answer.citations[0].quote


async def test_a_second_figure_that_no_cell_states_is_quoted(stack: QueryStack) -> None:
    text = "Acme reports adjusted EPS of 73.3 cents for 2023."
    page = ParsedPage(number=4, text=text, engine="test 1")
    await serve_report(stack, [*statements(*STATEMENTS), page])
    answer = await stack.ask("What were Acme's net sales and adjusted EPS for 2023?")
    assert first_line(answer).startswith("Net sales, year ended December 31, 2023: $6,000 million")
    assert "73.3 cents" in answer.text


async def test_a_quote_without_most_key_words_is_not_given_as_the_answer(
    stack: QueryStack,
) -> None:
    # A sentence of Pfizer's report for the second quarter of 2023, asked about another spin-off.
    await stack.serve(
        "In connection with its spin-off that was completed in 2002, New Monsanto assumed, and"
        " agreed to indemnify Pharmacia for, any liabilities related to Pharmacia's former"
        " agricultural business."
    )
    await stack.serve("The bakery sells bread, rolls and cake in a shop beside the mill.")
    answer = await stack.ask("Is a large spin-off of business segments planned?")
    assert answer.text.startswith(NOT_STATED)
    assert (answer.citations[0].score or 0) <= LACKING
