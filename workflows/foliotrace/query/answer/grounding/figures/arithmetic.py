"""Redoes the arithmetic behind a number that no passage states, from what the passages do. Pure.

Only rows whose labels share words with the question or the sentence take part, and only the
operations that reports are read with. Where many results are possible, a number counts as derived
only if it is so precise that it would not be among them by chance.
"""

from collections.abc import Collection, Iterator, Sequence
from itertools import combinations, pairwise, permutations, product
from math import log
from typing import Final

from foliotrace.query.answer.grounding.figures import tables
from foliotrace.query.answer.grounding.figures.numbers import Quantity, close
from foliotrace.query.answer.grounding.figures.premises import Premises, Result
from foliotrace.query.answer.grounding.figures.ratios import Ratio, RatioTerm
from foliotrace.query.answer.grounding.figures.tables import NumberRow

MOST_BY_CHANCE: Final = 0.25  # results that a random number would meet within its rounding
_MOST_COLUMNS: Final = 6
_MOST_IN_A_SPAN: Final = 12  # numbers: a span with more is a table
_ROWS_OF_A_PART: Final = 3
_LESS: Final = frozenset({"less", "minus", "difference"})
_PRICED: Final = frozenset({"average", "each", "per", "apiece"})
_FRACTIONS: Final = {
    "half": 0.5, "third": 1 / 3, "quarter": 0.25, "double": 2.0, "twice": 2.0, "triple": 3.0,
}  # fmt: skip


def derives(claimed: Quantity, premises: Premises) -> bool:
    """Whether operations on the premises give the claimed number, rounded as it is written.

    A change must also go the way that is said, between the years that are named.
    """
    if claimed.is_year:
        return False
    if any(_is(claimed, each, premises) for each in _from_stated(premises)):
        return True
    if sum(not (q.is_year or q.percent) for q in premises.stated) > 1 and not premises.asks_total:
        return False  # the sentence gives its premises itself
    if premises.ratio is not None and not claimed.scale > 1:
        nearest = list(_composite(premises, premises.ratio, at_most=1))
        if any(_is(claimed, each, premises) for each in nearest):
            return True
        if nearest:
            most = _ROWS_OF_A_PART + 2 if premises.ratio.mean else _ROWS_OF_A_PART
            results = _composite(premises, premises.ratio, at_most=most)
            return _not_by_chance(claimed, list(results), premises)
    rows = premises.relevant
    for results in (_simple(rows), _of_totals(rows, premises)):
        if any(_is(claimed, each, premises) for each in results):
            return True
    if _not_by_chance(claimed, list(_sums(rows, premises)), premises):
        return True
    return _not_by_chance(claimed, list(_from_prose(premises, percent=claimed.percent)), premises)


def _is(claimed: Quantity, result: Result, premises: Premises) -> bool:
    if premises.changes_only and not result.is_change:
        return False
    if result.year and premises.of_years and result.year not in premises.of_years:
        return False
    if result.is_change and not _fits(result, premises):
        return False
    return any(close(claimed, value) for value in _values(claimed, result, premises.scales))


def _values(claimed: Quantity, result: Result, scales: Collection[float]) -> list[float]:
    """The result in the unit of the claimed number."""
    if claimed.points or result.points:
        return [result.value] if claimed.points and result.points else []
    if (claimed.money and not result.amount) or (result.relative and not claimed.percent):
        return []
    if claimed.percent:
        return [] if result.amount else [100.0 * result.value]
    if not result.amount:
        return [result.value]
    if result.absolute:
        return [result.value, result.value / claimed.scale]
    return [result.value, *(result.value * scale / claimed.scale for scale in scales)]


def _fits(result: Result, premises: Premises) -> bool:
    """Whether a change goes the way that is said, between the years that are named."""
    if result.years is None:
        # Both orders of the operands are tried: what went up by 29% is not what fell by 29%.
        said = premises.said if result.relative else None
        return said is None or (result.value > 0) == (said == "up")
    if premises.said is not None and (result.value > 0) != (premises.said == "up"):
        return False
    if len(premises.years) != 2 or len(set(result.years)) != 2:
        return True
    # A fiscal year may be named after the calendar year in which it begins or ends.
    return any({year + shift for year in result.years} == premises.years for shift in (0, 1, -1))


def _not_by_chance(claimed: Quantity, results: list[Result], premises: Premises) -> bool:
    if not any(_is(claimed, each, premises) for each in results):
        return False
    low, high = claimed.value / 2, claimed.value * 2
    values = {
        round(value, 6)
        for each in results
        for value in map(abs, _values(claimed, each, premises.scales))
        if low <= value <= high
    }
    width = 2 * claimed.tolerance if claimed.rounds else 1e-6 * claimed.value
    return len(values) * width / (claimed.value * log(4)) <= MOST_BY_CHANCE


# --- rows ----------------------------------------------------------------------------------


def _simple(rows: Sequence[NumberRow]) -> Iterator[Result]:
    """Changes and means of one row; shares, their changes, sums and differences of two."""
    for row in rows:
        for before, after, years in _in_time(row, row.values):
            change = after - before
            yield Result(
                change, amount=not row.percent, points=row.percent, is_change=True, years=years
            )
            if before:
                yield Result((after - before) / before, is_change=True, relative=True, years=years)
                yield Result(after / before)
            yield Result((after + before) / 2, amount=True)
    for one, other in permutations(rows, 2):
        if one.percent != other.percent:
            continue
        columns = list(tables.aligned(one, other))[:_MOST_COLUMNS]
        divided = [(i, j) for i, j in columns if other.values[j]]
        shares = [one.values[i] / other.values[j] for i, j in divided]
        for share, (i, _) in zip(shares, divided, strict=True):
            yield Result(share, year=one.periods[i][0] if one.periods else None)
        if len(shares) > 1:
            yield Result(sum(shares) / len(shares))
        if shares and len(shares) == len(columns) == len(one.values):
            for before, after, years in _in_time(one, shares):
                yield from _change_of_share(before, after, years)


def _change_of_share(
    before: float, after: float, years: tuple[int, int] | None
) -> Iterator[Result]:
    change = after - before
    yield Result(change, is_change=True, years=years)
    yield Result(100 * change, points=True, is_change=True, years=years)


def _sums(rows: Sequence[NumberRow], premises: Premises) -> Iterator[Result]:
    """Sums and differences of two rows, where one is spoken of."""
    for one, other in permutations(rows, 2):
        if one.percent != other.percent:
            continue
        for i, j in list(tables.aligned(one, other))[:_MOST_COLUMNS]:
            if premises.asks_total:
                yield Result(one.values[i] + other.values[j], amount=True)
            if premises.asks_difference:
                yield Result(one.values[i] - other.values[j], amount=True)


def _in_time(
    row: NumberRow, values: Sequence[float]
) -> Iterator[tuple[float, float, tuple[int, int] | None]]:
    """(older, newer, their years) of neighbours; both ways where the order is not known."""
    for i, (left, right) in enumerate(pairwise(values[:_MOST_COLUMNS])):
        if len(row.periods) < len(values) or row.periods[i] == row.periods[i + 1]:
            yield left, right, None
            yield right, left, None
        elif row.periods[i] > row.periods[i + 1]:
            yield right, left, (row.periods[i + 1][0], row.periods[i][0])
        else:
            yield left, right, (row.periods[i][0], row.periods[i + 1][0])


def _of_totals(rows: Sequence[NumberRow], premises: Premises) -> Iterator[Result]:
    """Totals of columns; shares of a total that is so labelled, or is the largest of a row."""
    stated = [q.value for q in premises.stated if not (q.is_year or q.percent)]
    for total in tables.totals(premises.rows):
        for row in rows:
            for i, j in tables.aligned(row, total):
                if total.values[j]:
                    yield Result(row.values[i] / total.values[j])
        yield from (Result(part / whole) for part in stated for whole in total.values if whole)
    for row in rows:
        if not row.periods:
            whole = max(row.values, default=0.0)
            yield from (Result(part / whole) for part in row.values if whole)
    if premises.asks_total:
        for periods in {row.periods for row in rows if row.periods}:
            same = [row.values for row in premises.rows if row.periods == periods]
            if len(same) > 2:
                yield from (Result(sum(column), amount=True) for column in zip(*same, strict=True))


# --- ratios --------------------------------------------------------------------------------


def _composite(premises: Premises, ratio: Ratio, *, at_most: int) -> Iterator[Result]:
    """The ratio in each column, its mean and its changes, for each reading of its rows."""
    for below in ratio.below:
        for under in _readings(below, premises, at_most):
            for above in ratio.above:
                for over in _readings(above, premises, at_most):
                    yield from _series(over, under, ratio)


def _readings(
    parts: Sequence[RatioTerm], premises: Premises, at_most: int
) -> Iterator[tuple[tuple[RatioTerm, NumberRow], ...]]:
    """Each way to give the parts their rows; words of a question that are no row are left out."""
    choices = []
    for part in parts:
        words = part.words if part.named else tables.expanded(part.words)
        wanted = frozenset(premises.terms(words))
        found = tables.relevant(premises.rows, wanted, premises.terms, at_most)
        if found:
            choices.append([(part, row) for row in found])
        elif part.named:
            return iter(())
    return (reading for reading in product(*choices) if reading)


def _series(
    over: tuple[tuple[RatioTerm, NumberRow], ...],
    under: tuple[tuple[RatioTerm, NumberRow], ...],
    ratio: Ratio,
) -> Iterator[Result]:
    anchor = under[0][1]
    values = []
    for column in range(min(len(anchor.values), _MOST_COLUMNS)):
        dividend, divisor = _total(over, anchor, column), _total(under, anchor, column)
        if dividend is not None and divisor:
            values.append(ratio.factor * dividend / divisor)
    if len(values) == len(anchor.values) > 1:
        yield Result(sum(values) / len(values))
    if ratio.mean:
        return
    known = len(values) == len(anchor.periods)
    for column, value in enumerate(values):
        yield Result(value, year=anchor.periods[column][0] if known else None)
    if len(values) == len(anchor.values):
        for before, after, years in _in_time(anchor, values):
            yield from _change_of_share(before, after, years)
            if before:
                yield Result((after - before) / before, is_change=True, relative=True, years=years)


def _total(
    reading: tuple[tuple[RatioTerm, NumberRow], ...], anchor: NumberRow, column: int
) -> float | None:
    """The sum of the parts in a column; None where one of them has no number for it."""
    total = 0.0
    for part, row in reading:
        value = _part_value(part, row, anchor, column)
        if value is None:
            return None
        total += part.sign * value
    return total


def _part_value(part: RatioTerm, row: NumberRow, anchor: NumberRow, column: int) -> float | None:
    at = next((i for i, j in tables.aligned(row, anchor) if j == column), None)
    if at is None or part.kind == "plain":
        return None if at is None else row.values[at]
    step = -1 if row.newest_first is False else 1
    if not 0 <= at + step < len(row.values):
        return None
    older = row.values[at + step]
    return row.values[at] - older if part.kind == "change" else (row.values[at] + older) / 2


# --- prose ---------------------------------------------------------------------------------


def _from_stated(premises: Premises) -> Iterator[Result]:
    """One operation on the numbers that sentence and question give and passages hold."""
    numbers = [q for q in (*premises.stated, *premises.of_question) if not q.is_year]
    amounts = [q.value * q.scale for q in numbers if not q.percent]
    shares = [q.value for q in numbers if q.percent and not q.points]
    for one, other in permutations(shares, 2):
        yield Result(one - other, points=True, is_change=premises.changes_only)
    for part in shares:
        yield from (Result(part / 100 * n, amount=True, absolute=True) for n in amounts)
    less = not premises.words.isdisjoint(_LESS) and not premises.asks_total
    yield from _pairs(amounts, premises, sums=not less, differences=True)
    if len(amounts) > 2:
        yield Result(sum(amounts), amount=True, absolute=True)
    if not premises.words.isdisjoint(_PRICED):
        yield from (Result(a * b, amount=True, absolute=True) for a, b in combinations(amounts, 2))
    for word, factor in _FRACTIONS.items():
        if word in premises.words:
            yield from (Result(factor * n, amount=True, absolute=True) for n in amounts)


def _from_prose(premises: Premises, *, percent: bool) -> Iterator[Result]:
    """One operation on two numbers of one near span; a percentage of one, and what is left."""
    sums, differences = premises.asks_total, premises.asks_difference
    together = tuple(q for span in premises.near for q in span)
    for span in dict.fromkeys((*premises.near, together)):
        if len(span) > _MOST_IN_A_SPAN:
            continue
        amounts = [q.value * q.scale for q in span if not (q.is_year or q.percent)]
        yield from _pairs(amounts, premises, sums=sums, differences=differences)
        for share in () if percent else [q.value / 100 for q in span if q.percent]:
            for amount in amounts:
                yield Result(share * amount, amount=True, absolute=True)
                yield Result((1 - share) * amount, amount=True, absolute=True)


def _pairs(
    amounts: Sequence[float], premises: Premises, *, sums: bool, differences: bool
) -> Iterator[Result]:
    for one, other in permutations(amounts, 2):
        if differences:
            yield Result(one - other, amount=True, absolute=True, is_change=premises.changes_only)
        if other:
            per = "per" in premises.words  # "$130 per share" is money too
            yield Result(one / other, amount=per, absolute=per)
            yield Result((one - other) / other, is_change=True, relative=True)
    if sums:
        for one, other in combinations(amounts, 2):
            yield Result(one + other, amount=True, absolute=True)
