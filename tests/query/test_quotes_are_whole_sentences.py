"""Quotes are whole sentences: lines are joined, divided words mended, cut sentences completed."""

import pytest
from tests.query.query_stack import QueryStack

from foliotrace.query.answer.quoting.pieces import joined_lines, whole_sentence

pytestmark = pytest.mark.anyio


async def test_the_answer_joins_lines_and_mends_divided_words(stack: QueryStack) -> None:
    await stack.serve(
        "Intro.\nRefunds are paid within thirty days of the re-\nturn of the\ngoods. More."
    )
    answer = await stack.ask("When are refunds paid?")
    assert "within thirty days of the return of the goods." in answer.text
    assert "re-\nturn" in answer.citations[0].quote  # as the page has it


def test_a_hyphen_of_its_own_stays() -> None:
    assert joined_lines("a Non-\nGAAP measure, e.g. well-known\nones") == (
        "a Non- GAAP measure, e.g. well-known ones"
    )


@pytest.mark.parametrize(
    ("cut", "whole"),
    [
        ("paid within 30", "Refunds are paid within 30 days."),
        ("Refunds are paid", "Refunds are paid within 30 days."),
        ("Refunds are paid within 30 days.", "Refunds are paid within 30 days."),
    ],
)
def test_a_cut_sentence_is_completed_from_its_page(cut: str, whole: str) -> None:
    page = "Rules apply. Refunds are paid within 30 days. Shipping is not."
    start = page.index(cut)
    begin, end = whole_sentence(page, start, start + len(cut))
    assert page[begin:end] == whole


def test_a_row_is_left_as_it_is() -> None:
    page = "Rules\napply\t3\nmore\t4"
    assert whole_sentence(page, 6, 13) == (6, 13)


async def test_an_announcement_is_no_answer(stack: QueryStack) -> None:
    await stack.serve(
        "The annual share repurchase activity of the club was as follows:\n\n"
        "The club made one share repurchase of 40 shares during the annual meeting."
    )
    answer = await stack.ask("What was the annual share repurchase activity of the club?")
    assert "40 shares" in answer.citations[0].quote
