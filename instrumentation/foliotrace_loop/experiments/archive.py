"""Keeps experiments: in the loop's SQLite file, and as JSON files for CI."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from foliotrace_loop.ports import LoopError
from foliotrace_loop.shapes import Experiment
from foliotrace_loop.store import LoopStore

_experiments: Final = TypeAdapter(Experiment)


def save(store: LoopStore, experiment: Experiment) -> None:
    """Store an experiment."""
    row = (
        experiment.id,
        experiment.suite,
        None if experiment.git_dirty else experiment.git_sha,
        experiment.created_at,
        _experiments.dump_json(experiment).decode(),
    )
    store.write(lambda c: c.execute("INSERT OR REPLACE INTO experiments VALUES (?,?,?,?,?)", row))


def of_commit(store: LoopStore, suite: str, git_sha: str) -> Experiment | None:
    """The newest experiment with a suite on a clean commit."""
    rows = store.rows(
        "SELECT experiment FROM experiments WHERE suite = ? AND git_sha = ?"
        " ORDER BY created_at DESC LIMIT 1",
        (suite, git_sha),
    )
    return _experiments.validate_json(rows[0][0]) if rows else None


def find(store: LoopStore, reference: str) -> Experiment:
    """The experiment with an id, or in a JSON file. Raises LoopError."""
    rows = store.rows("SELECT experiment FROM experiments WHERE id = ?", (reference,))
    if rows:
        return _experiments.validate_json(rows[0][0])
    path = Path(reference)
    if not path.is_file():
        raise LoopError(f"there is no experiment and no file {reference}")
    return read_file(path)


def read_file(path: Path) -> Experiment:
    """The experiment in a JSON file. Raises LoopError."""
    try:
        return _experiments.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise LoopError(f"{path} holds no experiment: {type(error).__name__}") from None


def write_file(path: Path, experiment: Experiment) -> None:
    """Write an experiment as a JSON file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_experiments.dump_json(experiment, indent=1) + b"\n")


def ids(store: LoopStore) -> Sequence[str]:
    """The ids of all experiments, oldest first."""
    return [row[0] for row in store.rows("SELECT id FROM experiments ORDER BY created_at")]
