"""Header lines that stand above a table and that no table took in. Pure.

"Three Months Ended | Nine Months Ended" above "October 30, 2022 | October 31, 2021 | ...": they
name the columns only where there is one part for each, and most of them are periods.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from foliotrace.model import ParsedPage, Table
from foliotrace.query.answer.cells.column_lengths import over_changes
from foliotrace.query.answer.cells.periods import periods_in

_REACH: Final = 320  # characters above the table
_LEAST_PERIODS: Final = 2
_HEADER_ROWS: Final = 3  # at most, of a header that was taken for a table
_ANNOUNCED: Final = re.compile(
    r"(?:^|[.:]\s+)(?P<sentence>[^.:]*\b"
    r"(?:as follows|(?:following|below)\s+(?:table|summar))[^.:]*)"
    r"[.:][^.:]{0,80}$",
    re.I,
)


@dataclass(frozen=True, slots=True)
class LinesAbove:
    """The names of a table's value columns, the lines they were read from, and the title above."""

    headers: tuple[str, ...]
    texts: tuple[str, ...]
    title: str


def lines_above(text: str, start: int, width: int) -> LinesAbove | None:
    """What the lines above position `start` say of `width` columns; None where they do not fit."""
    above = text[max(0, start - _REACH) : start]
    if width < _LEAST_PERIODS or "\t" not in above:
        return None
    lines = [line.strip() for line in above.split("\n")[1:] if line.strip()]
    for place in range(len(lines) - 1, -1, -1):
        parts = [" ".join(part.split()) for part in lines[place].split("\t")]
        if len(parts) < _LEAST_PERIODS:
            continue
        if len(parts) != width or not _are_periods(parts):
            return None
        over = _spanning(lines[place - 1], width) if place else None
        first = place - 1 if over else place
        headers = (
            [f"{top} {part}" for top, part in zip(over, parts, strict=True)] if over else parts
        )
        periods = [text for text in headers if periods_in(text).named]
        if len(set(periods)) < len(periods):
            return None  # another line would tell them apart
        title = lines[first - 1] if first and "\t" not in lines[first - 1] else ""
        texts = tuple(" ".join(line.split()) for line in lines[first : place + 1])
        return LinesAbove(tuple(headers), texts, title)
    return None


def line_above(text: str, start: int) -> str:
    """The line of prose right above position `start`; empty where there is none."""
    lines = [line for line in text[max(0, start - _REACH) : start].split("\n") if line.strip()]
    return lines[-1].strip() if lines and "\t" not in lines[-1] else ""


def announced_above(text: str, start: int) -> str:
    """The sentence that announces a table at position `start`: "... are as follows:"."""
    found = _ANNOUNCED.search(text[max(0, start - _REACH) : start])
    return found["sentence"] if found else ""


def lone_header(page: ParsedPage, table: Table, columns: int) -> list[str]:
    """The headers of a table that is nothing but the periods of the next one; else empty."""
    if len(table.rows) > _HEADER_ROWS:
        return []
    parts: dict[int, list[str]] = {}
    for cell in (cell for row in table.rows for cell in row.cells):
        parts.setdefault(cell.column, []).append(page.text[cell.start : cell.end])
    texts = [" ".join(parts[place]) for place in sorted(parts)]
    texts = over_changes(texts, columns - 1) or texts
    if len(texts) != columns - 1 or not all(periods_in(text).named for text in texts):
        return []
    return ["", *texts]


def _are_periods(parts: Sequence[str]) -> bool:
    """Whether at least half of the parts are periods, two or more, and none is a mere amount."""
    named = sum(periods_in(part).named for part in parts)
    return named >= _LEAST_PERIODS and 2 * named >= len(parts)


def _spanning(line: str, width: int) -> list[str] | None:
    """The parts of a line that span equally many columns, each repeated; None if they do not."""
    parts = [" ".join(part.split()) for part in line.split("\t")]
    spans = len(parts) > 1 and len(parts) < width and width % len(parts) == 0
    if not spans or not all(periods_in(part).months for part in parts):
        return None
    return [part for part in parts for _ in range(width // len(parts))]
