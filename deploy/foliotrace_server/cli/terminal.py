"""What a terminal shows beside plain text: tables, and a line of progress that is redrawn."""

import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from time import monotonic
from typing import Final, TextIO

_REDRAW_S: Final = 0.1
_BAR_CELLS: Final = 24
_CLEAR: Final = "\r\x1b[K"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The lines of a table, each column as wide as its widest cell; the header is dim."""
    import click

    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for number, row in enumerate((header, *rows)):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        line = "  ".join(cells).rstrip()
        yield click.style(line, dim=True) if number == 0 else line


@dataclass(slots=True)
class _Bar:
    label: str
    total: int | None
    done: int = 0


@dataclass(slots=True)
class ProgressBars:
    """Progress in one line of a terminal; without one (`terminal` is None) nothing is drawn.

    The first bar is the sum, if it has a total; beside it stands the one that moved last.
    """

    terminal: TextIO | None
    _bars: dict[int, _Bar] = field(default_factory=dict)
    _ids: Iterator[int] = field(default_factory=count)
    _drawn_s: float = 0.0

    def add(self, label: str, total: int | None = None) -> int:
        """Add a bar; its id for the other methods."""
        bar = next(self._ids)
        self._bars[bar] = _Bar(label, total)
        self._draw(bar)
        return bar

    def move(self, bar: int, done: int, total: int) -> None:
        """Set a bar to `done` of `total`."""
        self._bars[bar].done, self._bars[bar].total = done, total
        self._draw(bar)

    def advance(self, bar: int) -> None:
        """Advance a bar by one."""
        self._bars[bar].done += 1
        self._draw(bar)

    def remove(self, bar: int) -> None:
        """Remove a bar."""
        del self._bars[bar]

    def clear(self) -> None:
        """Remove the line."""
        if self.terminal is not None:
            self.terminal.write(_CLEAR)
            self.terminal.flush()

    def _draw(self, moved: int) -> None:
        now_s = monotonic()
        if self.terminal is None or now_s - self._drawn_s < _REDRAW_S:
            return
        self._drawn_s = now_s
        shown = dict.fromkeys((min(self._bars), moved))
        line = "   ".join(_text(self._bars[bar]) for bar in shown)
        columns = shutil.get_terminal_size().columns
        self.terminal.write(_CLEAR + line[: columns - 1])
        self.terminal.flush()


def _text(bar: _Bar) -> str:
    if not bar.total:
        return bar.label
    filled = min(_BAR_CELLS, _BAR_CELLS * bar.done // bar.total)
    return f"{bar.label} {'#' * filled}{'-' * (_BAR_CELLS - filled)} {bar.done}/{bar.total}"


@contextmanager
def progress_bars() -> Iterator[ProgressBars]:
    """Bars on standard error while the block runs, if it is a terminal."""
    bars = ProgressBars(sys.stderr if sys.stderr.isatty() else None)
    try:
        yield bars
    finally:
        bars.clear()
