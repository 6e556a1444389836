"""The degradation level of an answer, and which rung follows a failure. Pure.

Two ladders, each resolved inside its own stage: retrieval (custom, managed, hybrid, keyword, none)
and answer (the LLMs in order, quotes, a stale answer, a template).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from foliotrace.catalog import ReasonFamily
from foliotrace.errors import BudgetExceeded, FoliotraceError, Unavailable
from foliotrace.model import AnswerMode, Degradation, Level, RetrievalMode
from foliotrace.settings import RETRY_AFTER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """The best this installation can do: both ladders, best first.

    `generators` counts the LLMs; without one, quoted passages are the best there is.
    """

    retrieval: tuple[RetrievalMode, ...]
    generators: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """What answered in the end. `generator` is the LLM's place in the order, None for none.

    `reasons` are the codes of every failure on the way, in order.
    """

    retrieval: RetrievalMode
    answer: AnswerMode
    generator: int | None = None
    reasons: tuple[str, ...] = ()


def degradation(configured: Configured, reached: Reached) -> Degradation:
    """The level with its reasons: 0 exactly when nothing failed and the best path answered."""
    reasons = tuple(dict.fromkeys(reached.reasons))
    level = max(_retrieval_loss(configured, reached), _answer_loss(configured, reached))
    if reasons and level is Level.NONE:
        level = Level.LOWER_PATH  # a part of the best path failed, as one half of a hybrid
    if level is not Level.NONE and not reasons:
        reasons = (ReasonFamily.LOWER_ANSWER.of(reached.answer.value),)
    return Degradation(
        level=level, reasons=reasons, retrieval=reached.retrieval, answer=reached.answer
    )


def _retrieval_loss(configured: Configured, reached: Reached) -> Level:
    best = configured.retrieval[0] if configured.retrieval else RetrievalMode.NONE
    return Level.NONE if reached.retrieval is best else Level.LOWER_PATH


def _answer_loss(configured: Configured, reached: Reached) -> Level:
    if reached.answer is AnswerMode.TEMPLATE:
        return Level.TEMPLATE
    if reached.answer is AnswerMode.STALE:
        return Level.STALE
    if reached.generator is None:
        return Level.LOWER_PATH if configured.generators else Level.NONE
    return Level.NONE if reached.generator == 0 else Level.OTHER_LLM


class NextRung(StrEnum):
    """Where the answer ladder goes on after an LLM failed."""

    LLM = "llm"
    QUOTES = "quotes"
    END = "end"  # text has left: nothing may replace it silently


def after_failure(*, sent: bool, more: bool) -> NextRung:
    """What follows a failed LLM: another one if there is any, none once text has left.

    Another model may take what this one refused: a longer context, other filters, a lower price.
    """
    if sent:
        return NextRung.END
    return NextRung.LLM if more else NextRung.QUOTES


def retry_after_s(failures: Sequence[FoliotraceError]) -> float:
    """Seconds until asking again makes sense: the soonest that a failed dependency named."""
    named = [e.retry_after_s for e in failures if isinstance(e, Unavailable) and e.retry_after_s]
    return min(named, default=RETRY_AFTER_S)


RUNG_FAILURES = (Unavailable, BudgetExceeded)
"""Failures that move an answer to its next rung; any other exception ends the question."""
