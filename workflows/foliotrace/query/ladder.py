"""Which rung an answer stands on, against what is configured. Pure.

Retrieve: managed -> hybrid -> keyword -> none.
Answer: first LLM -> next LLM -> quoted passages -> a stale answer -> an honest sentence.
Each order is walked inside its own stage; this module only reckons the loss.
"""

from dataclasses import dataclass
from typing import Final

from foliotrace.model import AnswerMode, Degradation, Level, RetrievalMode

_RETRIEVAL_ORDER: Final = (
    RetrievalMode.MANAGED,
    RetrievalMode.HYBRID,
    RetrievalMode.KEYWORD,
    RetrievalMode.NONE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """The best path of this installation."""

    retrieval: RetrievalMode
    has_llm: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """The rungs an answer came from, and why those above them were left.

    `llm` is the place of the answering LLM in its order, from 0; None when no LLM answered.
    """

    retrieval: RetrievalMode
    answer: AnswerMode
    llm: int | None = None
    retrieval_reasons: tuple[str, ...] = ()
    answer_reasons: tuple[str, ...] = ()


def level(configured: Configured, taken: Taken) -> Level:
    """The loss. An honest "not in the documents" is none."""
    if taken.answer is AnswerMode.TEMPLATE:
        return Level.TEMPLATE
    if taken.answer is AnswerMode.STALE:
        return Level.STALE
    fell = _RETRIEVAL_ORDER.index(taken.retrieval) > _RETRIEVAL_ORDER.index(configured.retrieval)
    quotes_for_llm = configured.has_llm and taken.answer is AnswerMode.EXTRACTIVE
    abstained_without_llm = (
        taken.answer is AnswerMode.ABSTAINED and taken.llm is None and bool(taken.answer_reasons)
    )
    if fell or quotes_for_llm or abstained_without_llm or taken.retrieval_reasons:
        return Level.LOWER_PATH
    if taken.llm is not None and taken.llm > 0:
        return Level.OTHER_LLM
    return Level.OTHER_LLM if taken.answer_reasons else Level.NONE


def degradation(configured: Configured, taken: Taken) -> Degradation:
    """The mark that an answer carries; reasons in the order they happened, each once."""
    reasons = tuple(dict.fromkeys((*taken.retrieval_reasons, *taken.answer_reasons)))
    return Degradation(
        level=level(configured, taken),
        reasons=reasons,
        retrieval=taken.retrieval,
        answer=taken.answer,
    )
