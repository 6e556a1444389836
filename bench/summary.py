"""Write docs/benchmarks.md from bench/results: `python -m bench.summary`. Runs no benchmark."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.record import RESULTS

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
PAGES_OF_THEIR_OWN = {"fault_matrix": "reference/fault-matrix.md"}
HEAD = """# Benchmarks
Written by `python -m bench.summary` from [bench/results](../bench/results).
Each block names the command that made it. The machines were shared and noisy: read CPU times and
ratios, not wall times.
"""


def rows(figures: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Every figure with its path, lists shortened to their length when long."""
    if isinstance(figures, Mapping):
        for name, value in figures.items():
            yield from rows(value, f"{path}{' · ' if path else ''}{name}")
    elif isinstance(figures, list) and any(isinstance(v, Mapping | list) for v in figures):
        for number, value in enumerate(figures):
            yield from rows(value, f"{path} {number + 1}")
    elif isinstance(figures, list):
        yield path, ", ".join(map(str, figures)) if len(figures) <= 12 else f"{len(figures)} values"
    else:
        yield path, f"{figures:.4g}" if isinstance(figures, float) else str(figures)


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for file in sorted(RESULTS.glob("*.json")):
        if file.stem in PAGES_OF_THEIR_OWN:
            parts.append(f"## {file.stem}\nSee [{file.stem}]({PAGES_OF_THEIR_OWN[file.stem]}).\n")
            continue
        result = json.loads(file.read_text())
        versions = ", ".join(f"{k} {v}" for k, v in result["versions"].items())
        parts.append(
            f"## {file.stem}\n`{result['command']}` on {result['machine']}, {result['when'][:10]}, "
            f"commit {result['commit']}\n\n| figure | value |\n|---|---|"
        )
        parts += [f"| {name} | {value} |" for name, value in rows(result["figures"])]
        parts.append(f"\n{versions}\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page())
    print(PAGE)
