"""What a number that no passage states may follow from, and what an operation gives. Pure."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

from foliotrace.query.answer.grounding import polarity
from foliotrace.query.answer.grounding.figures import tables
from foliotrace.query.answer.grounding.figures.numbers import Quantity
from foliotrace.query.answer.grounding.figures.ratios import Ratio
from foliotrace.query.answer.grounding.figures.tables import NumberRow

_SUMS: Final = "total sum combined together plus aggregate altogether overall both all composed"
_SUM: Final = frozenset(_SUMS.split())
_DIFFERENCE_WORDS: Final = (
    "change changed increase increased decrease decreased grew grow growth rose rise fell fall "
    "drop decline declined differ difference more less minus net free working profit gross remain "
    "remains remaining left excess gap spread than by up down higher lower"
)
_DIFFERENCE: Final = frozenset(_DIFFERENCE_WORDS.split())
_IN_LABELS: Final = frozenset({"less", "net", "free", "working", "profit", "gross", "by"})


def speaks_of_change(words: Collection[str]) -> bool:
    """Whether any of the words is one of comparing, and no part of a row's usual label."""
    return not (_DIFFERENCE - _IN_LABELS).isdisjoint(words)


@dataclass(frozen=True, slots=True)
class Result:
    """A number that an operation gives; a change is positive where it rises from old to new."""

    value: float
    amount: bool = False  # in the unit of the rows; otherwise a ratio
    absolute: bool = False  # an amount in ones
    is_change: bool = False
    relative: bool = False  # a change as a share of where it began
    years: tuple[int, int] | None = None  # of a change, where the columns are known
    year: int | None = None  # of a column, where it is known
    points: bool = False  # a difference of two percentages


@dataclass(frozen=True)
class Premises:
    """What a missing number may follow from."""

    rows: Sequence[NumberRow]
    terms: Callable[[str], Sequence[str]]
    wanted: frozenset[str]
    ratio: Ratio | None
    scales: Collection[float]
    stated: tuple[Quantity, ...] = ()  # the numbers of the sentence that hold
    near: tuple[tuple[Quantity, ...], ...] = ()  # the numbers of each of the nearest spans
    of_question: tuple[Quantity, ...] = ()  # the numbers of the question that hold
    said: polarity.Direction | None = None
    years: frozenset[int] = frozenset()  # that the sentence names
    words: frozenset[str] = frozenset()  # of the sentence and the question
    asked: str = ""  # the question
    of_years: frozenset[int] = frozenset()  # that are said of the missing number
    changes_only: bool = False  # "rose by 12%": a level of 12% will not do

    @property
    def asks_total(self) -> bool:
        """Whether a sum is spoken of."""
        return not self.words.isdisjoint(_SUM)

    @property
    def asks_difference(self) -> bool:
        """Whether a difference is spoken of."""
        return not self.words.isdisjoint(_DIFFERENCE)

    @property
    def relevant(self) -> list[NumberRow]:
        """The rows that the question and the sentence are about, the best first."""
        return tables.relevant(self.rows, self.wanted, self.terms)
