"""One table of quality: each goal, its figure with interval, and the record before.

Reads the records of the benchmarks; `--run` runs those benchmarks first. Figures without an
interval are means over few questions: read a difference of one question as noise.
"""

import argparse
import json
import runpy
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from bench.record import RESULTS

BENCHMARKS = ("retrieval", "subjects")


@dataclass(frozen=True)
class Goal:
    """A figure of a record, by its path; `at_least` or else at most `bar`."""

    record: str
    path: tuple[str, ...]
    bar: float
    at_least: bool = True


_PAGES = "page_recall@5"
_FILTERED = "page_recall@5_right_document_filter"
GOALS = (
    Goal("retrieval", ("financebench-dev", _PAGES), 0.58),
    Goal("retrieval", ("financebench-dev", f"{_PAGES}_company_left_out"), 0.58),
    Goal("retrieval", ("financebench-dev", _FILTERED), 0.68),
    Goal("retrieval", ("financebench-dev", f"{_FILTERED}_company_left_out"), 0.68),
    Goal("retrieval", ("scifact", "ndcg@10"), 0.695),
    Goal("retrieval", ("sec10q-dev", "right_document@5"), 0.95),
    *(
        Goal("subjects", (corpus, kind), 0.95)
        for corpus in ("sec10q-dev", "financebench-dev")
        for kind in ("left_out", "left_out_lower_case", "left_out_ticker", "left_out_misspelt")
    ),
    *(
        Goal("subjects", (corpus, kind), bar, at_least=False)
        for corpus in ("sec10q-dev", "financebench-dev")
        for kind, bar in (("own", 0.05), ("own_ticker", 0.1), ("own_misspelt", 0.1))
    ),
)


def row(goal: Goal) -> tuple[str, str, str, str, str]:
    """(figure, goal, value, 95 % interval, the record before)."""
    record = json.loads((RESULTS / f"{goal.record}.json").read_text())
    value = _value(record["figures"], goal.path)
    before = _value(_before(goal.record), goal.path)
    interval = _at(record["figures"], (*goal.path[:-1], f"{goal.path[-1]}_interval"))
    met = value is not None and (value >= goal.bar if goal.at_least else value <= goal.bar)
    return (
        " · ".join(goal.path),
        f"{'>=' if goal.at_least else '<='} {goal.bar}",
        ("-" if value is None else f"{value:.3f}") + ("" if met else " *"),
        "-" if interval is None else " to ".join(f"{bound:.3f}" for bound in interval),
        "-" if before is None else f"{before:.3f}",
    )


def _at(figures: object, path: tuple[str, ...]) -> list[float] | None:
    for name in path:
        figures = figures.get(name) if isinstance(figures, Mapping) else None
    return figures if isinstance(figures, list) else None if figures is None else [float(figures)]  # type: ignore[arg-type]


def _value(figures: object, path: tuple[str, ...]) -> float | None:
    """A figure, or the share where the record holds (how many, of how many)."""
    found = _at(figures, path)
    return None if found is None else found[0] / found[1] if len(found) == 2 else found[0]


def _before(record: str) -> object:
    """The figures of the record that was committed before the one that is there."""
    file = f"bench/results/{record}.json"
    commits = _git("log", "-n", "2", "--format=%h", "--", file).split()
    if _git("status", "--porcelain", "--", file):
        commits = ["", *commits]  # the one that is there is not committed yet
    return json.loads(_git("show", f"{commits[1]}:{file}"))["figures"] if commits[1:] else {}


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def main(*, run: bool) -> None:
    for name in BENCHMARKS if run else ():
        sys.argv = [f"bench.{name}"]
        runpy.run_module(f"bench.{name}", run_name="__main__")
    rows = [("figure", "goal", "value", "95 % interval", "before"), *map(row, GOALS)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for cells in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)))
    for name in BENCHMARKS:
        record = json.loads((RESULTS / f"{name}.json").read_text())
        tried = record["figures"].get("settings_tried", "not said")
        print(f"{name}: commit {record['commit']}, settings tried: {tried}")
    print("* goal not met")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", action="store_true", help="run the benchmarks first")
    main(run=parser.parse_args().run)
