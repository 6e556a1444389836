"""Without a language model the sentence that answers is quoted, not one that repeats the question.

Every text is invented for its rule.
"""

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.query.query_stack import QueryStack

from foliotrace.model import Identity, Passage, RetrievalMode
from foliotrace.query.answer.anchors import UNKNOWN_PAGE
from foliotrace.query.answer.quoting.confidence import confidence_of
from foliotrace.query.answer.quoting.noise import KINDS, Kind, noise_in
from foliotrace.query.answer.quoting.pieces import pieces
from foliotrace.query.subjects.asked_names import asks_for_each

pytestmark = pytest.mark.anyio

GROWTH = "Bakery wages grew by four percent because two bakers joined in spring."


@pytest.mark.parametrize(
    ("noise", "question"),
    [
        (
            "I, Ada Lane, certify that this report on bakery wages fairly presents, in all"
            " respects, how bakery wages changed.",
            "How did bakery wages change?",
        ),
        (
            "Bakery wages and changes of bakery wages are discussed in Note 4 under the heading"
            ' "Bakery wages".',
            "How did bakery wages change?",
        ),
        (
            "Statements about bakery wages and changes of bakery wages are forward-looking"
            " statements.",
            "How did bakery wages change?",
        ),
        ("Changes of Bakery Wages", "What were the changes of bakery wages?"),
        ("STATEMENT OF CHANGES OF BAKERY WAGES (Unaudited)", "What were the changes of wages?"),
        ("Item 7. Changes of bakery wages 15", "What were the changes of bakery wages?"),
    ],
)
async def test_boilerplate_does_not_beat_the_answer(
    stack: QueryStack, noise: str, question: str
) -> None:
    await stack.serve(f"{noise}\n\n{GROWTH}")
    answer = await stack.ask(question)
    assert "two bakers" in answer.citations[0].quote


async def test_a_declaration_is_quoted_where_the_question_is_about_it(stack: QueryStack) -> None:
    await stack.serve(
        "I, Ada Lane, certify that the bakery report is complete.\n\nThe bakery report is long."
    )
    answer = await stack.ask("Who certified the bakery report?")
    assert "Ada Lane" in answer.citations[0].quote


@pytest.mark.parametrize(
    ("text", "question", "answer"),
    [
        (
            "Bakery wages grew in spring and bakery wages stayed there in summer. "
            "Bakery wages rose due to a new contract.",
            "What drove bakery wages?",
            "due to",
        ),
        (
            "The bakery contract with the mill was signed by both. "
            "The bakery contract was signed on 3 May 2024.",
            "When was the bakery contract signed?",
            "3 May 2024",
        ),
        (
            "The bakery is led with care in each season. The bakery is led by Ada Lane.",
            "Who is leading the bakery?",
            "Ada Lane",
        ),
        (
            "The bakery employs bakers with care. The bakery employs 12 bakers.",
            "How many bakers does the bakery employ?",
            "12",
        ),
        (
            "The notice period of the lease is stated in writing. "
            "The notice period of the lease is two months.",
            "How long is the notice period of the lease?",
            "two months",
        ),
    ],
)
async def test_the_form_of_the_question_decides_between_equal_sentences(
    stack: QueryStack, text: str, question: str, answer: str
) -> None:
    await stack.serve(text)
    assert answer in (await stack.ask(question)).citations[0].quote


async def test_the_items_of_a_list_are_quoted_together(stack: QueryStack) -> None:
    await stack.serve(
        "The oven has three settings:\n\n\u2022 gentle heat\n\n\u2022 strong heat\n\n"
        "\u2022 steam\n\nIt stands in the yard."
    )
    answer = await stack.ask("What are the settings of the oven?")
    assert answer.citations[0].quote.endswith("steam")


def test_a_sentence_that_a_gap_divides_is_one() -> None:
    text = "The market is\n\nmainly driven by fares. It is large."
    passage = Passage(
        chunk_id="c", document_id="d", document_name="n", revision="r", page=1, start=0,
        end=len(text), text=text, context="", header="", score=1.0, path=RetrievalMode.KEYWORD,
    )  # fmt: skip
    found = [text[p.start : p.end] for p in pieces(passage, UNKNOWN_PAGE)]
    assert found == ["The market is\n\nmainly driven by fares.", "It is large."]


async def test_every_period_asked_for_has_its_quote_with_its_document(stack: QueryStack) -> None:
    for quarter, month in ((1, "March 31"), (2, "June 30"), (3, "September 30")):
        await stack.serve(
            f"Flour prices of the bakery rose by {quarter} percent. Nothing else of note happened.",
            name=f"bakery-q{quarter}.txt",
            content_hash=str(quarter) * 64,
            identity=Identity(
                company="Lane Bakery", kind="report", period=f"quarter ended {month}, 2024"
            ),
        )
    answer = await stack.ask("How did flour prices of Lane Bakery change across the quarters?")
    assert [c.document_name for c in answer.citations] == [f"bakery-q{n}.txt" for n in (1, 2, 3)]
    assert "bakery-q2.txt: \u201cFlour prices of the bakery rose by 2 percent.\u201d" in answer.text
    latest = await stack.ask("How did flour prices change in Lane Bakery's latest report?")
    assert {c.document_name for c in latest.citations} == {"bakery-q3.txt"}


@pytest.mark.parametrize(
    ("question", "each"),
    [
        ("How did wages change over time?", True),
        ("List the risks separately for each reported period.", True),
        ("What do these 10-Qs say of wages?", True),
        ("What were wages in the second quarter of 2023?", False),
        ("What is the notice period?", False),
    ],
)
def test_questions_about_all_periods_are_recognised(question: str, each: bool) -> None:
    assert asks_for_each(question) is each


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("See Note 5 for details.", "reference"),
        ("The following table shows wages:", "announcement"),
        ("Wages .......... 12", "contents"),
        ("Lane Bakery | Q2 2023 Report | 10", "contents"),
        ("(In millions, except per share)", "contents"),
        ("Indicate by check mark whether the bakery is a filer.", "cover"),
        ("Wages and Prices", "title"),
        ("The bakers were paid", "fragment"),
        ("The bakers were paid.", ""),
        ("Deposit: 300", ""),
    ],
)
def test_kinds_of_noise(text: str, kind: str) -> None:
    assert noise_in(text) == kind


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.pattern])
@given(st.data())
@settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.filter_too_much],  # word boundaries are filtered for
)
def test_every_wording_of_noise_is_found(kind: Kind, data: st.DataObject) -> None:
    text = data.draw(st.from_regex(re.compile(kind.pattern, re.I | re.M)))
    assert noise_in(text) in {other.name for other in KINDS if other.pattern}


async def test_a_question_of_which_no_sentence_holds_more_than_a_word_is_refused(
    stack: QueryStack,
) -> None:
    words = ("oven", "mill", "flour", "yeast", "basket", "window", "apron", "shelf", "ladder")
    await stack.serve("\n\n".join(f"The {word} is rather old." for word in words))
    answer = await stack.ask(f"How do {', '.join(words)} belong together?")
    assert answer.citations == ()


@given(st.floats(0, 3), st.floats(0, 3))
def test_confidence_grows_with_the_score_and_is_a_share(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert 0 <= confidence_of(low) <= confidence_of(high) <= 1


def test_the_fitted_curve_never_falls_and_pools_small_steps() -> None:
    from bench.confidence import MIN_IN_STEP, curve

    pairs = [(n / 100, n % 3 == 0 or n > 60) for n in range(100)]
    points = curve(pairs)
    assert points == sorted(points)
    assert [share for _, share in points] == sorted(share for _, share in points)
    assert len(points) <= 1 + 100 // MIN_IN_STEP
