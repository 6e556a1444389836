"""A quote is the answer only if it states what was asked of the subject; else it says so.

Texts are invented for their rule, or a sentence or two of a filing or an accident report.
"""

import pytest
from tests.query.query_stack import QueryStack
from tests.query.test_a_figure_is_named_by_its_cell import (
    first_line,
    page_with_table,
    serve_page,
    serve_pages,
)

from foliotrace.model import Passage, RetrievalMode
from foliotrace.query.answer.asked_documents import in_closing_years
from foliotrace.query.answer.cells.form_lines import labels_of_line
from foliotrace.query.answer.quoted import NOT_STATED, PART_NOT_STATED
from foliotrace.query.answer.quoting.noise import noise_in

pytestmark = pytest.mark.anyio

OTHER = "The bakery sells bread, rolls and cake in a shop beside the mill."


async def answered(stack: QueryStack, question: str, *pages: str) -> str:
    await stack.serve(*pages)
    await stack.serve(OTHER, name="other.txt")
    return (await stack.ask(question)).text


@pytest.mark.parametrize(
    ("question", "text"),
    [
        (  # the relation is missing
            "How much did Acme pay for Whole Grains?",
            "Intangible assets of Whole Grains have useful lives of one to twenty-five years.",
        ),
        (  # another rate
            "What production rate changes is Acme forecasting?",
            "Acme's market forecast projects a growth rate of 3.8% for bread over 20 years.",
        ),
        (  # no superlative
            "Which nominee got the most votes in the board election?",
            "Based on the votes, each of the ten nominees to the board was duly elected.",
        ),
        (  # nothing is named
            "Who are the primary customers of Acme?",
            "Revenue of Acme is recognized when bread is accepted by the primary customer.",
        ),
        (  # nothing is defined
            "What does Acme mean by comparable sales?",
            "Acme ended a strong year with record comparable sales and profit.",
        ),
        (  # "No." is no number
            "How many employees does Acme have?",
            "Employee ID: Grant No. of the award. Acme's employees take part in the plan.",
        ),
    ],
)
async def test_what_does_not_state_the_relation_is_nearest_at_best(
    stack: QueryStack, question: str, text: str
) -> None:
    answer = await answered(stack, question, text)
    assert answer.startswith((NOT_STATED, "The documents do not answer"))


@pytest.mark.parametrize(
    ("question", "text"),
    [
        (
            "How much did Acme pay for Whole Grains?",
            "On May 2, Acme acquired Whole Grains, a grocer, for approximately $13.2 million, net"
            " of cash acquired.",
        ),
        (
            "Why did Acme's sales in Japan go down?",
            "Japan net sales of Acme decreased due to the weakness of the yen.",
        ),
        (
            "What share of Acme's headcount was based abroad?",
            "Acme's workforce was approximately 156,000 with 13% located outside of the U.S.",
        ),
        (
            "What does Acme mean by comparable sales?",
            "Comparable sales of Acme reflect sales of stores open for 14 months or more.",
        ),
        (
            "How many people did Acme employ at the end of 2019?",
            "Acme employed approximately 798,000 full-time and part-time staff in 2019.",
        ),
    ],
)
async def test_other_words_for_the_relation_state_it(
    stack: QueryStack, question: str, text: str
) -> None:
    answer = await answered(stack, question, text)
    assert answer.startswith(f"\u201c{text}")


async def test_each_part_of_a_question_has_its_quote(stack: QueryStack) -> None:
    answer = await answered(
        stack,
        "How many bakers did Acme have in 2017, and what share of its flour came from Zenda?",
        "In 2017, Acme had approximately 125 bakers in four towns.",
        "In 2017, Zenda accounted for 77% of the flour that Acme bought.",
    )
    assert "125 bakers" in answer
    assert "77% of the flour" in answer
    assert NOT_STATED not in answer


async def test_a_part_that_nothing_states_is_named(stack: QueryStack) -> None:
    answer = await answered(
        stack,
        "How many bakers did Acme have in 2017, and why did the mill at Zenda burn?",
        "In 2017, Acme had approximately 125 bakers in four towns.",
        "The mill at Zenda stands beside the river.",
    )
    assert "125 bakers" in answer
    assert answer.endswith(PART_NOT_STATED.format(part="why did the mill at Zenda burn"))


async def test_a_document_is_searched_again_for_the_relation_in_its_words(
    stack: QueryStack,
) -> None:
    filler = [
        f"Acme's shares in the first quarter of 2024: page {n} on shares, buyers and first quarters"
        for n in range(12)
    ]
    await stack.serve(*filler, "Acme did not repurchase any common stock in this period.")
    answer = await stack.ask("Did Acme buy back any of its shares in the first quarter of 2024?")
    assert "did not repurchase" in answer.text.split("\n\n")[0]


async def test_a_document_that_has_the_asked_name_is_meant(stack: QueryStack) -> None:
    # Two sentences of reports of the NTSB.
    await stack.serve(
        "Location: Tallahassee. The National Transportation Safety Board determines the probable"
        " cause of this accident to be:\nThe pilot's misjudged clearance over obstacles."
    )
    await stack.serve(
        "On December 17, 2007, a plane was destroyed in an accident near Chevroux, which was"
        " caused by unknown circumstances."
    )
    answer = await stack.ask("What caused the accident in Tallahassee in December 2007?")
    assert "misjudged clearance" in answer.citations[0].quote
    assert len(answer.citations) == 1


async def test_the_year_is_preferred_to_a_quarter_of_it(stack: QueryStack) -> None:
    await stack.serve(
        "Wages fell to 23.6% of sales in the fourth quarter of 2023, due to shorter hours.\n\n"
        "Wages fell to 23.5% of sales in 2023, due to lower bonuses."
    )
    answer = await stack.ask("What drove the reduction of wages in 2023?")
    assert "lower bonuses" in answer.citations[0].quote


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Expenses rose, primarily due to:\n\u2022 a charge; and\n\u2022 payments to Arvinas.", ""),
        ("Share purchases were as follows (in millions): Periods Price", "announcement"),
        ("Source: https://example.org/plan.pdf", "reference"),
    ],
)
def test_announcements_with_their_items_are_no_noise(text: str, kind: str) -> None:
    assert noise_in(text) == kind


# --- forms and columns -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "places"),
    [
        (["Claim #", "SF-1008", "Make", "Jeep"], [0, 2]),
        (["Rating(s):", "None", "Second Pilot Present:", "No"], [0, 2]),
        (["Instructor:", "None", "Toxicology Performed:"], [0]),
        (["Year Built:", "Amateur Built:", "No"], [1]),
        (["Net sales", "14,544", "14,694"], []),
        (["Paint", "300"], []),
    ],
)
def test_the_labels_of_a_line_of_a_form(texts: list[str], places: list[int]) -> None:
    assert labels_of_line(texts, opens=True) == places


async def test_the_second_label_of_a_line_has_its_value(stack: QueryStack) -> None:
    form = (
        "Insured name\tGabriel Diaz\tYear\t2022\nClaim #\tSF-1008\tMake\tJeep\n\t\tOdometer\t9,800"
    )
    page = page_with_table(form, before="Preliminary Estimate", headers=0)
    await serve_page(stack, page, "Grand Repair | estimate")
    answer = await stack.ask("What mileage did Gabriel Diaz's Jeep have?")
    assert first_line(answer).startswith("Odometer: 9,800")


async def test_what_a_company_plans_is_not_what_it_had(stack: QueryStack) -> None:
    plan = page_with_table("\tFY23 Outlook\nNet sales\t$10.95 million", before="Acme plans growth.")
    await serve_pages(stack, [plan], "Acme report for 2023", "acme.pdf")
    answer = await stack.ask("What were Acme's net sales in 2023?")
    assert not any(citation.figure for citation in answer.citations)
    answer = await stack.ask("What net sales does Acme expect for FY23?")
    assert "10.95" in answer.text


@pytest.mark.parametrize(
    ("header", "question"),
    [
        ("Acme | Q4 2023 FY2023, Fourth quarter of fiscal 2022", "sales of fiscal 2023"),
        ("Acme | 2022, FY2022 fiscal year ended January 28, 2022", "sales of fiscal 2022"),
    ],
)
def test_a_fiscal_year_is_the_year_that_it_ends_in(header: str, question: str) -> None:
    passage = Passage(
        chunk_id="c",
        document_id="d",
        document_name="n",
        revision="r",
        page=1,
        start=0,
        end=1,
        text="t",
        header=header,
        score=1.0,
        path=RetrievalMode.KEYWORD,
    )
    assert in_closing_years("sales of fiscal 2022", [passage]) == question
