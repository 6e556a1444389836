"""What a question about figures asks to be computed: which figures, for which periods, and how.

Pure. A plan is made only where every word of the question is understood: a name of a figure, a
period, or a word that says what to do with it. English.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from foliotrace.lexicon.formulas import Calculation, Expression, parsed, phrases_of
from foliotrace.query.answer.cells.periods import Period, Periods, periods_in
from foliotrace.query.answer.computed.amounts import Rounding
from foliotrace.query.answer.computed.fiscal import Moment
from foliotrace.query.answer.computed.metrics import AskedMetric, MetricBook

_DEFINED: Final = re.compile(
    r"\b(?:defined?|calculated?|computed?)\b[^:.?]{0,60}?\b(?:as|by)\b\s*:?\s*(?P<formula>[^?;]+?)"
    r"(?=\.(?:\s|$)|[?;]|$|,\s+(?:and|round|answer)\b)",
    re.I,
)
_SHARE: Final = re.compile(
    r"\bas\s+(?:a\s+|an\s+)?\(?(?:%|percent(?:age)?|share|proportion|fraction)\s*\)?\s+of\b", re.I
)
_RATIO: Final = re.compile(r"\bratio\s+of\b.+\bto\b", re.I)
_LESS: Final = re.compile(r"\b(?:less|minus)\b", re.I)
_AVERAGE: Final = re.compile(
    r"\b(?:(?P<count>two|three|four|five|[2-5])[\s-]years?\s+)?average\b", re.I
)
_COUNTS: Final = {"two": 2, "three": 3, "four": 4, "five": 5}
_GROWTH: Final = re.compile(
    r"\b(?:year[\s-]over[\s-]year|yoy|y/y)\b|\bgrowth(?:\s+rate)?\b|\b(?:percent(?:age)?|%)\s+"
    r"(?:change|increase|decrease|growth)\b|%\s+change|\b(?:change|increase|decrease)\s+in\b",
    re.I,
)
_UP: Final = re.compile(
    r"\b(?:improv\w*|increas\w*|grow\w*|grew|ris(?:e|es|ing|en)|rose|higher|expand\w*)\b", re.I
)
_DOWN: Final = re.compile(
    r"\b(?:declin\w*|decreas\w*|drop\w*|fall\w*|fell|lower|deteriorat\w*|shr[aiu]nk\w*|worse\w*)\b",
    re.I,
)
_CHANGE: Final = re.compile(
    r"\b(?:chang\w*|differ\w*|compar\w*|fluctuat\w*|evolv\w*|versus|vs)\b", re.I
)
_SIGN: Final = re.compile(r"\b(?P<sign>positive|negative)\b", re.I)
_ANNUAL_GROWTH: Final = re.compile(
    r"\bCAGR\b|\bcompound(?:ed)?\s+annual\s+growth(?:\s+rate)?\b", re.I
)
_COUNT: Final = re.compile(r"\bhow\s+many\b(?!\s+days)|\bnumber\s+of\b", re.I)
_SIDE_BY_SIDE: Final = re.compile(r"\b(?:compar\w*|versus|vs|relative)\b", re.I)
_PERCENT: Final = re.compile(r"%|\b(?:percent|percentage|percentages|rate|ratio)\b", re.I)
_YES_NO: Final = re.compile(
    r"^\W*(?:(?:for|in|as of)\b[^,?]{0,60},\s*)?(?:does|did|do|is|was|are|were|has|have|had)\b",
    re.I,
)
_REASONS: Final = re.compile(
    r"\b(?:why|dr[io]ve[ns]?|drivers?|driving|factors?|reasons?|caus\w+|explain\w*|contribut\w+"
    r"|impact\w*|affect\w*|implicat\w+|relat(?:e[sd]?|ion\w*)|correlat\w*|align\w*|discuss\w*"
    r"|strateg\w*|outlook|guidance|expect\w*|forecast\w*|summari[sz]e\w*|describ\w*)\b",
    re.I,
)
_BETWEEN_YEARS: Final = re.compile(r"\d\s*(?:-|\u2013|to|through)\s*(?:fy\s*)?'?\d", re.I)
MOST_MOMENTS: Final = 6


class How(StrEnum):
    """What to do with the values of several periods."""

    VALUES = "values"
    AVERAGE = "average"
    GROWTH = "growth"
    COMPARE = "compare"
    ANNUAL_GROWTH = "annual growth"


@dataclass(frozen=True, slots=True)
class AskedFigure:
    """A figure with its name and formula; `unit` is that of its value."""

    name: str
    expression: Expression
    unit: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What to compute.

    `side_by_side`: two figures of one period are compared, not two periods.
    `rises`: the question asks whether it rose (True) or fell (False); `positive` is of its sign.
    """

    figures: tuple[AskedFigure, ...]
    moments: tuple[Moment, ...]
    how: How
    side_by_side: bool = False
    yes_no: bool = False
    rises: bool | None = None
    positive: bool | None = None
    percent: bool = False
    rounding: Rounding = field(default_factory=Rounding)


def plan_of(
    part: str, whole: str, book: MetricBook, known: frozenset[str], weights: Mapping[str, float]
) -> Plan | None:
    """The plan for one part of the question `whole`; None where it is not understood.

    `weights` are the terms that the question asks for, its instructions left out; `known` the words
    that need no figure of their own: names, and words for asking and computing.
    """
    if _REASONS.search(part) or asks_for_count(part):
        return None
    periods = periods_in(whole if not periods_in(part).named else part)
    figures = _defined(whole, book, known) or _named(part, book, known, weights)
    if not figures:
        return None
    how, moments = _how(part, periods)
    return Plan(
        figures=figures,
        moments=moments,
        how=how,
        side_by_side=len(figures) == 2 and bool(_SIDE_BY_SIDE.search(part)),
        yes_no=bool(_YES_NO.match(part)),
        rises=_direction(part),
        positive=(sign["sign"].lower() == "positive") if (sign := _SIGN.search(part)) else None,
        percent=bool(_PERCENT.search(part)),
        rounding=Rounding.of(whole),
    )


def asks_for_count(part: str) -> bool:
    """Whether a part of a question asks how many there are, which no amount of money says."""
    return _COUNT.search(part) is not None


def asks_for_change(part: str) -> bool:
    """Whether a part of a question asks how a figure changed, and not why."""
    found = _GROWTH.search(part) or _UP.search(part) or _DOWN.search(part) or _CHANGE.search(part)
    return found is not None and not _REASONS.search(part) and not asks_for_count(part)


def comparison_of(part: str, figure: AskedFigure) -> Plan:
    """The plan that compares two periods of one figure."""
    return Plan(
        figures=(figure,),
        moments=(),
        how=How.COMPARE,
        yes_no=bool(_YES_NO.match(part)),
        rises=_direction(part),
        rounding=Rounding.of(part),
    )


def _direction(part: str) -> bool | None:
    return True if _UP.search(part) else False if _DOWN.search(part) else None


def _defined(whole: str, book: MetricBook, known: frozenset[str]) -> tuple[AskedFigure, ...]:
    """The figure that the question defines itself."""
    found = _DEFINED.search(whole)
    formula = parsed(found["formula"]) if found else None
    if formula is None or not isinstance(formula, Calculation):
        return ()
    if not all(book.named(phrase, known).item for phrase in phrases_of(formula)):
        return ()
    mentions = [m.metric for m in book.mentions(book.words(whole[: found.start()])) if m.metric]  # type: ignore[union-attr] # a formula was found
    name = mentions[0].name if mentions else "the value asked for"
    unit = mentions[0].unit if mentions and mentions[0].formula is not None else "ratio"
    return (AskedFigure(name, formula, unit),)


def _named(
    part: str, book: MetricBook, known: frozenset[str], weights: Mapping[str, float]
) -> tuple[AskedFigure, ...]:
    """The figures that the part names; nothing where one of its words is not understood."""
    rest = periods_in(part).rest
    tokens = book.words(rest)
    mentions = book.mentions(tokens)
    metrics = [m.metric for m in mentions if m.metric is not None]
    if not metrics or len(metrics) > 3:
        return ()
    taken = {place for m in mentions for place in range(m.start, m.end)}
    for place, token in enumerate(tokens):
        if token in book.qualifiers and place not in taken and place + 1 in taken:
            return ()  # "net debt" is another figure than "debt"
        if place in taken or len(token) < 2 or token[0].isdigit() or token in known:
            continue
        if token in weights:
            return ()
    asked = [AskedFigure(m.name, m.expression, _unit(m)) for m in dict.fromkeys(metrics)]
    if len(asked) == 2 and _SHARE.search(part):
        return (_joined("/", asked[0], asked[1], " as a share of ", "percent"),)
    if len(asked) == 2 and _RATIO.search(part):
        return (_joined("/", asked[0], asked[1], " to ", "ratio"),)
    if len(asked) == 2 and _LESS.search(part):
        return (_joined("-", asked[0], asked[1], " less ", "money"),)
    return tuple(asked)


def _unit(metric: AskedMetric) -> str:
    return metric.unit if metric.formula is not None else "money"


def _joined(sign: str, left: AskedFigure, right: AskedFigure, word: str, unit: str) -> AskedFigure:
    formula = Calculation(sign, left.expression, right.expression)
    return AskedFigure(f"{left.name}{word}{right.name}", formula, unit)


def _how(part: str, periods: Periods) -> tuple[How, tuple[Moment, ...]]:
    """What to do, and with the values of which periods, oldest first."""
    named: list[Period] = [*periods.dates, *periods.quarters]
    named += [Period(year) for year in periods.years]
    named = sorted(dict.fromkeys(named), key=lambda period: period.order)
    if len(named) == 2 and _ANNUAL_GROWTH.search(part):
        return How.ANNUAL_GROWTH, tuple(Moment(period) for period in named)
    average = _AVERAGE.search(part)
    if average and named and all(not (p.month or p.quarter) for p in named):
        count = average["count"]
        size = _COUNTS.get(count.lower()) or int(count) if count else None
        first = named[-1].year - size + 1 if size else named[0].year
        years = range(first, named[-1].year + 1)
        return How.AVERAGE, tuple(Moment(Period(year)) for year in years)[-MOST_MOMENTS:]
    if (
        len(named) == 2
        and _BETWEEN_YEARS.search(part)
        and not named[0].month
        and not named[0].quarter
    ):
        years = range(named[0].year, named[1].year + 1)
        if not _GROWTH.search(part) and not _CHANGE.search(part):
            return How.VALUES, tuple(Moment(Period(year)) for year in years)[-MOST_MOMENTS:]
    moments = tuple(Moment(period) for period in named) or (Moment(),)
    growth = _GROWTH.search(part)
    compares = _UP.search(part) or _DOWN.search(part) or _CHANGE.search(part)
    if growth or compares:
        how = How.GROWTH if growth and not _YES_NO.match(part) else How.COMPARE
        if len(moments) == 1:
            moments = (moments[0].before(), moments[0])
        return how, (moments[0], moments[-1])
    return How.VALUES, moments[-MOST_MOMENTS:]
