"""How an answer names a cell: its row, period, value and unit. Pure."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from foliotrace.query.answer.cells.choose import ChosenCell

_SCALE: Final = re.compile(r"\b(thousand|million|billion)s?\b", re.I)
_EXCEPT: Final = re.compile(r",?\s*\b(?:except|excluding)\b(?P<what>.*)", re.I)
_EXCEPTED_PARTS: Final = re.compile(r",|\band\b|\bor\b", re.I)
_RATE: Final = "per"  # "earnings per share" are not in millions
_LONGEST_SECTION: Final = 80  # characters
_MONEY: Final = re.compile(r"US\$|[$€£¥]")
_WORD: Final = re.compile(r"[^\W\d_]+")
_FOOTNOTE: Final = re.compile(r"\s*\(\d\)")
_MONTHS: Final = re.compile(r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)", re.I)


@dataclass(frozen=True, slots=True)
class FoundFigure:
    """A chosen cell in words: "Total net sales, three months ended July 1, 2023: $81,797 million".

    `unit` and `period` are None where the table does not say.
    """

    chosen: ChosenCell
    text: str
    unit: str | None
    period: str | None


def worded(chosen: ChosenCell, terms: Callable[[str], Sequence[str]]) -> FoundFigure:
    """A chosen cell as an answer names it; `terms` are the words of a text."""
    period = period_of(chosen)
    unit, value = _value(chosen, terms)
    name = _name(chosen, terms)
    text = f"{name}{f', {period}' if period else ''}: {value}"
    missing = []
    if chosen.cell.numeric:
        if period is None and chosen.source.document.named:
            missing.append("no period")
        if unit is None:
            missing.append("no unit")
    if missing:
        text += f" (the table states {' and '.join(missing)})"
    return FoundFigure(chosen, text, unit, period)


def _value(chosen: ChosenCell, terms: Callable[[str], Sequence[str]]) -> tuple[str | None, str]:
    """(unit, value with its unit) of a cell."""
    value, table, column = chosen.cell.text, chosen.source.table, chosen.column
    if not chosen.cell.numeric:
        return "", value
    if value.rstrip(" )").endswith("%"):
        return "%", value.replace(" %", "%")
    value = re.sub(r"(?<=[$€£¥])\s+", "", value)
    if (column.sign == "%" or "%" in chosen.row.label) and not _MONEY.search(value):
        return "%", f"{value}%"
    if not table.unit:
        own = _MONEY.search(value) or _MONEY.search(column.text)
        named = bool(_WORD.search(value) or re.search(r"\(.+\)", column.text + chosen.row.label))
        if own is None and column.sign:
            return column.sign, f"{column.sign}{value}"
        return (own.group() if own else "" if named else None), value
    exception = _EXCEPT.search(table.unit)
    main = table.unit[: exception.start()] if exception else table.unit
    if exception and _is_excepted(exception["what"], chosen.row.terms | chosen.row.group, terms):
        return table.unit, f"{value} (table in {table.unit.removeprefix('in ')})"
    scale = None if _RATE in chosen.row.terms else _SCALE.search(main)
    money = _MONEY.search(main)
    symbol = "" if _MONEY.search(value) else money.group() if money else column.sign
    if scale is None:
        return main, f"{value} ({main})"
    written = f"{symbol}{value} {scale.group(1).lower()}"
    return table.unit, written


def _is_excepted(what: str, row: frozenset[str], terms: Callable[[str], Sequence[str]]) -> bool:
    """Whether a unit excepts a row: "revenue per member" is only what is per something."""
    for part in _EXCEPTED_PARTS.split(what):
        excepted = frozenset(terms(part)) - {"amount", "data", "number"}
        if excepted & row and (_RATE not in excepted or _RATE in row):
            return True
    return False


def _name(chosen: ChosenCell, terms: Callable[[str], Sequence[str]]) -> str:
    """The row's label; before it the section and group that hold words of the question."""
    column, path = chosen.column, [chosen.row.label]
    for text in (chosen.row.group_label, chosen.source.table.section):
        if chosen.above & frozenset(terms(text)) and len(text) <= _LONGEST_SECTION:
            path.insert(0, text)
    about = column.text if column.terms and not column.periods.named else ""
    return ", ".join([": ".join(path), about] if about else [": ".join(path)])


def period_of(chosen: ChosenCell) -> str | None:
    """The period of the column, else of the table, in lower case but for its months."""
    column = chosen.column
    text = column.text if column.periods.named else None
    table = chosen.source.table
    if text is None and not table.columns:
        return None
    if text is None and table.periods.named and ";" not in (table.period or ";"):
        text = table.period
    return _WORD.sub(_lower, _FOOTNOTE.sub("", text)) if text else None


def _lower(found: "re.Match[str]") -> str:
    word = found.group()
    return word if _MONTHS.match(word) or word.isupper() else word.lower()
