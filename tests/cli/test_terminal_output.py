"""Tables and progress on a terminal, without a library for them."""

import io
import os
import re
import sys
import tomllib
from pathlib import Path

import click
import pytest

from foliotrace_server.cli import terminal
from foliotrace_server.cli.terminal import progress_bars, table


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_redrawn_in_one_line_and_removed_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(terminal, "_REDRAW_S", 0.0)
    with progress_bars() as bars:
        files = bars.add("files", 2)
        report = bars.add("report.pdf")
        bars.move(report, 30, 40)
        bars.remove(report)
        bars.advance(files)
        drawn = sys.stderr.getvalue()
    assert "\n" not in drawn
    assert "files ------------------------ 0/2   report.pdf ##################------ 30/40" in drawn
    assert drawn.endswith("files ############------------ 1/2")
    assert sys.stderr.getvalue().endswith("\r\x1b[K")


def test_progress_fits_into_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(terminal.shutil, "get_terminal_size", lambda: os.terminal_size((20, 24)))
    with progress_bars() as bars:
        bars.add("a file with a very long name", 10)
        assert len(sys.stderr.getvalue().removeprefix("\r\x1b[K")) == 19


def test_nothing_is_drawn_where_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with progress_bars() as bars:
        bars.advance(bars.add("files", 2))
    assert sys.stderr.getvalue() == ""


def test_columns_of_a_table_are_as_wide_as_their_widest_cell() -> None:
    lines = [click.unstyle(line) for line in table(("name", "pages"), [("a.pdf", "12")])]
    assert lines == ["name   pages", "a.pdf  12"]


def test_a_default_installation_has_no_library_for_terminals() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    lock = (Path(__file__).parents[2] / "requirements" / "default.lock").read_text()
    names = {re.split(r"[^A-Za-z0-9-]", each)[0] for each in project["dependencies"]}
    assert not names & {"rich", "pygments"}
    assert not re.search(r"(?m)^(rich|pygments|markdown-it-py|mdurl)==", lock)
