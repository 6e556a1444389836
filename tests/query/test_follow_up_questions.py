"""A follow-up question is rewritten so that it stands alone, and the rewriting is shown."""

from dataclasses import replace

import pytest
from tests.query.query_stack import QueryStack, Scripted

from foliotrace.query.conversation.follow_up import is_follow_up, stands_alone
from foliotrace.settings import RunsSettings

pytestmark = pytest.mark.anyio

FIRST = "What were Apple's total net sales in Q3 2023?"


@pytest.mark.parametrize(
    ("question", "meant"),
    [
        ("And in Q1 2023?", "What were Apple's total net sales in Q1 2023?"),
        ("What about 2022?", "What were Apple's total net sales in 2022?"),
        ("And NVIDIA?", "What were NVIDIA's total net sales in Q3 2023?"),
        ("What about NVIDIA in Q2 2023?", "What were NVIDIA's total net sales in Q2 2023?"),
        ("And its gross margin?", "What about Apple's gross margin in Q3 2023?"),
        ("What was their operating income?", "What was Apple's operating income in Q3 2023?"),
        ("And the cost of sales?", "What about Apple's cost of sales in Q3 2023?"),
        ("How many stores did it open in 2021?", "How many stores did Apple open in 2021?"),
    ],
)
def test_what_a_follow_up_leaves_out_comes_from_the_question_before(
    question: str, meant: str
) -> None:
    assert stands_alone(question, [FIRST]) == meant


def test_several_follow_ups_build_on_each_other() -> None:
    assert stands_alone("And NVIDIA?", [FIRST, "And in Q1 2023?"]) == (
        "What were NVIDIA's total net sales in Q1 2023?"
    )


@pytest.mark.parametrize(
    "question",
    [
        FIRST,
        "How long is the notice period?",
        "What does Apple say about its suppliers?",
        "Is it true that Apple sells phones?",
        "Summarize the report.",
    ],
)
def test_a_whole_question_is_no_follow_up(question: str) -> None:
    assert not is_follow_up(question)
    assert stands_alone(question, ["What is the rent?"]) == question


async def _serve(stack: QueryStack) -> None:
    await stack.serve(
        "Apple total net sales in Q3 2023 were 81 million.",
        "Apple total net sales in Q1 2023 were 117 million.",
    )


async def test_history_is_used_and_the_rewriting_is_shown(stack: QueryStack) -> None:
    await _serve(stack)
    answer = await stack.ask("And in Q1 2023?", history=[FIRST])
    assert answer.rewritten_query == "What were Apple's total net sales in Q1 2023?"
    assert "117 million" in answer.text.split("[1]")[0]


async def test_the_runs_of_a_session_are_its_history(stack: QueryStack) -> None:
    stack.use(recording=RunsSettings(keep_content="redacted"))
    await _serve(stack)
    await stack.ask(FIRST, session_id="s1")
    answer = await stack.ask("And in Q1 2023?", session_id="s1")
    assert answer.rewritten_query == "What were Apple's total net sales in Q1 2023?"


async def test_the_session_of_another_caller_is_not_read(stack: QueryStack) -> None:
    stack.use(recording=RunsSettings(keep_content="redacted"))
    await _serve(stack)
    await stack.ask(FIRST, session_id="s1")
    mine = stack.services.identify()
    stack.use(identify=lambda: replace(mine, subject="somebody-else"))
    answer = await stack.ask("And in Q1 2023?", session_id="s1")
    assert answer.rewritten_query is None


async def test_without_kept_content_the_answer_says_what_to_send(stack: QueryStack) -> None:
    await _serve(stack)
    await stack.ask(FIRST, session_id="s1")
    answer = await stack.ask("And in Q1 2023?", session_id="s1")
    assert answer.rewritten_query is None
    assert "`history`" in (answer.notice or "")


async def test_a_language_model_rewrites_with_one_call(stack: QueryStack) -> None:
    await _serve(stack)
    llm = Scripted("What were Apple's total net sales in Q1 2023?")
    stack.use(generators=(llm,))
    answer = await stack.ask("And in Q1 2023?", history=[FIRST])
    assert answer.rewritten_query == "What were Apple's total net sales in Q1 2023?"
    assert len(llm.prompts) == 2  # to rewrite, to answer


async def test_a_whole_question_costs_no_call_to_rewrite(stack: QueryStack) -> None:
    await _serve(stack)
    llm = Scripted("Sales were 81 million [1].")
    stack.use(generators=(llm,))
    await stack.ask(FIRST, history=["What is the rent?"], session_id="s1")
    assert len(llm.prompts) == 1


async def test_a_cached_answer_shows_the_rewriting_of_its_own_question(stack: QueryStack) -> None:
    await _serve(stack)
    await stack.ask("And in Q1 2023?", history=[FIRST])
    whole = await stack.ask("What were Apple's total net sales in Q1 2023?")
    assert whole.rewritten_query is None
