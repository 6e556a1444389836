"""The sentence that an answer with computed or compared figures begins with. Pure."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Final

from foliotrace.query.answer.cells.choose import ChosenCell
from foliotrace.query.answer.computed.amounts import Rounding
from foliotrace.query.answer.computed.evaluate import Evaluated
from foliotrace.query.answer.computed.plans import How, Plan

DERIVED: Final = "derived"
_SYMBOLS: Final = ("US$", "$", "\u20ac", "\u00a3", "\u00a5")

_NAMED_REPORTS: Final = 3

PeriodOf = Callable[[ChosenCell], str | None]


def conclusion(plan: Plan, found: Sequence[Evaluated], period_of: PeriodOf) -> str | None:
    """What follows from the values; None where the cells alone are the answer."""
    missing = [name for each in found for name in each.missing]
    if missing:
        names = " and ".join(dict.fromkeys(missing))
        return f"{_capital(plan.figures[0].name)} is not computed: no figure was found for {names}"
    if plan.how is How.AVERAGE:
        return _average(plan, found, period_of)
    if plan.side_by_side and len(found) == 2:
        return _side_by_side(plan, found, period_of)
    if plan.how is How.ANNUAL_GROWTH:
        return _annual_growth(plan, found, period_of)
    if plan.yes_no and plan.positive is not None and len(found) == 1:
        return _sign(plan, found[0], period_of)
    if plan.how in (How.GROWTH, How.COMPARE) and len(found) > 1:
        size = len(found) // len(plan.figures)
        each = [found[at : at + size] for at in range(0, len(found), size)]
        changes = [_change(plan, values, period_of) for values in each]
        return "; ".join(change for change in changes if change) or None
    lines = [
        _value(plan, each, period_of)
        for each in found
        if not each.plain or _is_converted(each, plan.rounding)
    ]
    return "; ".join(lines) or None


def development(
    found: Sequence[Evaluated], period_of: PeriodOf, rounding: Rounding, without: Sequence[str] = ()
) -> str | None:
    """How a figure went from report to report, oldest first.

    `without` are the names of reports that state no such figure.
    """
    values = [each.value for each in found if each.value is not None]
    if len(values) < 2:
        return None
    steps = [after - before for before, after in pairwise(values)]
    if all(step > 0 for step in steps):
        how = "rose from report to report" if len(steps) > 1 else "rose"
    elif all(step < 0 for step in steps):
        how = "fell from report to report" if len(steps) > 1 else "fell"
    else:
        how = "rose and fell" if any(steps) else "did not change"
    first, last = found[0], found[-1]
    each = [f"{_written_value(e, rounding)}{_when(e, period_of)}" for e in found]
    if all(e.plain for e in found):
        each = [each[0], each[-1]]  # the others are cells, which the answer lists
    steps_written = " to ".join(each) if len(each) == 2 else ", ".join(each)
    text = f"{_capital(first.figure.name)} {how}: {steps_written}"
    text = f"{text}, {_difference(first, last, rounding)} ({DERIVED})"
    if not without:
        return text
    named = ", ".join(sorted(without)[:_NAMED_REPORTS])
    more = len(without) - _NAMED_REPORTS
    return f"{text}; no such figure was found in {named}{f' and {more} more' if more > 0 else ''}"


def highest_of(found: Sequence[Evaluated], period_of: PeriodOf, *, least: bool) -> str:
    """Which of several figures of one period is the highest, or the lowest."""
    ranked = sorted(found, key=lambda each: each.value or Decimal(0), reverse=not least)
    each = [
        f"{_written_value(e, Rounding())} {e.cells[-1].row.label if e.plain else e.figure.name}"
        for e in ranked
    ]
    kind = "lowest" if least else "highest"
    when = _when(ranked[0], period_of)
    return f"{_capital(ranked[0].figure.name)}{when}: the {kind} ({DERIVED}: {'; '.join(each)})"


def _is_converted(each: Evaluated, rounding: Rounding) -> bool:
    """Whether a cell is to be written in another scale than its table has."""
    unit = each.cells[-1].source.table.unit or ""
    return rounding.scale is not None and rounding.scale not in unit.casefold()


def _value(plan: Plan, each: Evaluated, period_of: PeriodOf) -> str:
    when = each.moment.name or _period(each, period_of)
    name = _capital(each.figure.name)
    value = _written_value(each, plan.rounding)
    how = f": {_formula(each)}" if each.written else ""
    return f"{name}{f', {when}' if when else ''}: {value} ({DERIVED}{how})"


def _average(plan: Plan, found: Sequence[Evaluated], period_of: PeriodOf) -> str:
    values = [each.value or Decimal(0) for each in found]
    mean = sum(values, Decimal(0)) / len(values)
    figure = found[0].figure
    each_value = ", ".join(_written_value(each, plan.rounding) for each in found)
    when = f"{_when(found[0], period_of, bare=True)} to {_when(found[-1], period_of, bare=True)}"
    name = f"Average of {figure.name}, {when}"
    value = _number(mean, found[0], plan.rounding)
    return f"{name}: {value} ({DERIVED}: the mean of {each_value})"


def _side_by_side(plan: Plan, found: Sequence[Evaluated], period_of: PeriodOf) -> str | None:
    one, other = found
    if one.moment != other.moment or not other.value or one.value is None:
        return None
    if one.figure.unit != "money" or other.figure.unit != "money":
        return None
    share = plan.rounding.percent(one.value / other.value)
    return (
        f"{_capital(one.figure.name)}{_when(one, period_of)}: {_written_value(one, Rounding())}, "
        f"{share} ({DERIVED}) of {other.figure.name}, {_written_value(other, Rounding())}"
    )


def _change(plan: Plan, found: Sequence[Evaluated], period_of: PeriodOf) -> str | None:
    first, last = found[0], found[-1]
    if first.value is None or last.value is None:
        return None
    rose, fell = last.value > first.value, last.value < first.value
    way = "rose" if rose else "fell" if fell else "did not change"
    text = (
        f"{first.figure.name} {way} from {_written_value(first, plan.rounding)}"
        f"{_when(first, period_of)} to {_written_value(last, plan.rounding)}"
        f"{_when(last, period_of)}, {_difference(first, last, plan.rounding)}"
    )
    formulas = "; ".join(_formula(each) for each in (first, last) if not each.plain)
    text += f" ({DERIVED}{f': {formulas}' if formulas else ''})"
    if plan.yes_no:
        asked = {True: rose, False: fell, None: rose or fell}[plan.rises]
        return f"{'Yes' if asked else 'No'}: {text}"
    return _capital(text)


def _annual_growth(plan: Plan, found: Sequence[Evaluated], period_of: PeriodOf) -> str | None:
    first, last = found[0], found[-1]
    years = last.moment.period.year - first.moment.period.year
    if not first.value or not last.value or years < 1 or first.value < 0 or last.value < 0:
        return None
    rate = Decimal(float(last.value / first.value) ** (1 / years) - 1)
    before, after = _written_value(first, Rounding()), _written_value(last, Rounding())
    return (
        f"Annual growth of {first.figure.name}{_when(first, period_of)} to"
        f"{_when(last, period_of)}: {plan.rounding.percent(rate)} "
        f"({DERIVED}: ({after} / {before}) ^ (1/{years}) - 1)"
    )


def _sign(plan: Plan, each: Evaluated, period_of: PeriodOf) -> str:
    positive = each.value is not None and each.value > 0
    formula = "" if each.plain else f" ({DERIVED}: {_formula(each)})"
    return (
        f"{'Yes' if positive is plan.positive else 'No'}: {each.figure.name}"
        f"{_when(each, period_of)} is {_written_value(each, plan.rounding)}{formula}"
    )


def _difference(first: Evaluated, last: Evaluated, rounding: Rounding) -> str:
    """By how much: percentage points of percentages, else percent and the difference."""
    before, after = first.value or Decimal(0), last.value or Decimal(0)
    if first.figure.unit == "percent":
        return f"{rounding.number((after - before) * 100, 1)} percentage points"
    if first.figure.unit != "money" or before <= 0:
        return f"a difference of {_number(after - before, last, rounding)}"
    sign = "+" if after > before else ""
    return f"{sign}{rounding.percent((after - before) / before)}"


def _written_value(each: Evaluated, rounding: Rounding) -> str:
    return _number(each.value or Decimal(0), each, rounding)


def _number(value: Decimal, each: Evaluated, rounding: Rounding) -> str:
    unit = each.figure.unit
    if unit == "percent":
        return rounding.percent(value)
    if unit == "money" and each.plain:
        return Rounding(scale=rounding.scale).money(value, _symbol(each))
    if unit in ("days", "times"):
        return f"{rounding.number(value, 2)} {unit}"
    if unit == "ratio":
        return rounding.number(value, 2)
    return rounding.money(value, _symbol(each))


def _symbol(each: Evaluated) -> str:
    for chosen in each.cells:
        written = f"{chosen.cell.text} {chosen.source.table.unit or ''} {chosen.column.sign}"
        for symbol in _SYMBOLS:
            if symbol in written:
                return symbol
    return ""


def _when(each: Evaluated, period_of: PeriodOf, *, bare: bool = False) -> str:
    named = _period(each, period_of) or each.moment.name
    return named if bare else f" ({named})" if named else ""


def _period(each: Evaluated, period_of: PeriodOf) -> str:
    """The period that the last of its cells states."""
    return next((text for cell in reversed(each.cells) if (text := period_of(cell))), "")


def _formula(each: Evaluated) -> str:
    written = each.written
    while written.startswith("(") and written.endswith(")") and _closes_last(written):
        written = written[1:-1]
    return written


def _closes_last(text: str) -> bool:
    """Whether the bracket that opens the text closes at its end."""
    depth = 0
    for place, sign in enumerate(text):
        depth += (sign == "(") - (sign == ")")
        if not depth:
            return place == len(text) - 1
    return False


def _capital(text: str) -> str:
    return text if text[1:2].isupper() else text[:1].upper() + text[1:]  # "iPhone" stays
