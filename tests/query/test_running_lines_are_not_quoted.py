"""Navigation bars, page headers and page footers are never an answer."""

import pytest
from tests.query.query_stack import QueryStack

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("page", "question", "line"),
    [
        (
            "Home | Visitors | Contact\nThe museum opens at nine. Visitors pay ten euros.",
            "How do visitors contact home?",
            "Home | Visitors",
        ),
        (
            "The plan changed in May. Nothing else of note.\nAcme Inc. | Q3 2023 Form 10-Q | 16",
            "What is in the Acme Q3 2023 Form 10-Q plan?",
            "Form 10-Q",
        ),
        ("Table of Contents\nThe table holds the prices.", "What is in the table?", "Contents"),
    ],
)
async def test_a_line_at_the_edge_of_a_page_is_not_quoted(
    stack: QueryStack, page: str, question: str, line: str
) -> None:
    await stack.serve(page)
    answer = await stack.ask(question)
    assert all(line not in citation.quote for citation in answer.citations)


async def test_a_row_that_ends_a_page_is_quoted(stack: QueryStack) -> None:
    await stack.serve("The deposit is listed here.\nItem | Price\nDeposit | 12")
    answer = await stack.ask("What is the price of the deposit?")
    assert any("12" in citation.quote for citation in answer.citations)


async def test_a_page_of_one_line_is_quoted(stack: QueryStack) -> None:
    await stack.serve("Deposit | Rent | Terms")
    answer = await stack.ask("deposit rent terms")
    assert answer.citations
