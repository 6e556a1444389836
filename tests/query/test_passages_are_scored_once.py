"""Choosing quotes scores each passage once for what is asked, however many steps look at it."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.query.query_stack import QueryStack

from foliotrace.query.answer import quotes
from foliotrace.query.answer.quoted import NOT_STATED

pytestmark = pytest.mark.anyio

NEITHER_STATED = "What production rate does Acme plan? And why did Acme close the mill?"


@pytest.mark.parametrize("question", ["What production rate does Acme plan?", NEITHER_STATED])
async def test_no_passage_is_scored_twice_for_the_same_question(
    stack: QueryStack, monkeypatch: pytest.MonkeyPatch, question: str
) -> None:
    await stack.serve("Acme plans a larger mill. The market of Acme has a growth rate of 3.8%.")
    scored: list[Any] = []
    score = quotes._scored

    def counted(asked: Any, question: Any, passage: Any, terms: Any) -> Iterator[Any]:
        scored.append((asked, passage.chunk_id))
        return score(asked, question, passage, terms)

    monkeypatch.setattr(quotes, "_scored", counted)
    answer = await stack.ask(question, top_k=1)
    assert NOT_STATED in answer.text
    assert scored
    assert not [one for at, one in enumerate(scored) if one in scored[:at]]
