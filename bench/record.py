"""Record a benchmark's figures with what is needed to read them: versions, machine, command."""

import json
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
PACKAGES = (
    "foliotrace",
    "llama-index-core",
    "llama-index-workflows",
    "llama-index-instrumentation",
    "llama-agents-server",
    "opentelemetry-sdk",
    "tantivy",
    "liteparse",
    "pydantic",
)


def save(
    name: str, figures: Mapping[str, object], *, command: str, packages: Sequence[str] = ()
) -> Path:
    """Write `figures` to bench/results/<name>.json beside versions, machine and command."""
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{name}.json"
    content = {
        "command": command,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": f"{platform.machine()} {platform.system()}, Python {platform.python_version()}",
        "versions": {package: version(package) for package in (*PACKAGES, *packages)},
        "figures": figures,
    }
    file.write_text(json.dumps(content, indent=1, default=str) + "\n")
    print(f"recorded in {file.relative_to(Path.cwd())}", file=sys.stderr)
    return file


def conclude(
    name: str, figures: Mapping[str, object], broken: Sequence[str], *, recorded: bool
) -> None:
    """Print the figures, record them with the options used, and exit 1 if promises are broken."""
    print(json.dumps(figures, indent=1))
    if recorded:
        save(name, figures, command=" ".join((f"python -m bench.{name}", *sys.argv[1:])))
    if broken:
        raise SystemExit("broken: " + ", ".join(broken))


def _commit() -> str:
    """The commit, with `-dirty` if anything but records differs from it.

    Several benchmarks in a row each write a record; that alone does not make a figure doubtful.
    """
    commit = _git("rev-parse", "--short", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!bench/results")
    return f"{commit}-dirty" if changed else commit or "unknown"


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=RESULTS.parent.parent
    ).stdout.strip()
