"""Reads and writes datasets: one JSONL file for each, one row on each line, sorted by id.

Sorted, with sorted keys: two branches that add rows merge, and a review shows what changed.
"""

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid5

from foliotrace_loop.ports import LoopError
from foliotrace_loop.shapes import Row, Split

_NAMESPACE: Final = UUID("0d4a2f0e-52f7-4c40-8e9c-6d7a3c1f2b90")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_FIELDS: Final = frozenset(each.name for each in fields(Row))


def row_id(dataset: str, source: str) -> str:
    """The id of the row that `dataset` has for a source: a run id, or the hash of its inputs."""
    return str(uuid5(_NAMESPACE, f"{dataset}\n{source}"))


def inputs_hash(inputs: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON of the inputs."""
    text = json.dumps(inputs, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()


class Datasets:
    """The datasets of a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, dataset: str) -> Path:
        """The file of a dataset. Raises LoopError for an unusable name."""
        if not _NAME.fullmatch(dataset):
            raise LoopError(f"{dataset!r} is no name for a dataset: letters, digits, _ . and -")
        return self.folder / f"{dataset}.jsonl"

    def names(self) -> Sequence[str]:
        """The datasets that exist."""
        return sorted(path.stem for path in self.folder.glob("*.jsonl"))

    def read(self, dataset: str) -> Sequence[Row]:
        """All rows, retired ones included. Raises LoopError naming file and line."""
        path = self.path(dataset)
        try:
            lines = path.read_text("utf-8").splitlines()
        except FileNotFoundError:
            raise LoopError(f"there is no dataset {path}") from None
        rows = [
            _row(line, f"{path}:{number}") for number, line in enumerate(lines, 1) if line.strip()
        ]
        if len({row.id for row in rows}) < len(rows):
            raise LoopError(f"{path} holds two rows with one id")
        return rows

    def suite(self, dataset: str, split: Split) -> Sequence[Row]:
        """The rows to evaluate: `full` holds those of `smoke` too. Raises LoopError."""
        return [
            row
            for row in self.read(dataset)
            if row.retired_at is None and (split == "full" or row.split == "smoke")
        ]

    def put(self, dataset: str, row: Row) -> bool:
        """Add the row, or replace the one with its id; whether it is new.

        When it was created, and that it is retired, stays.
        """
        path = self.path(dataset)
        rows = {each.id: each for each in (self.read(dataset) if path.exists() else ())}
        before = rows.get(row.id)
        if before is not None:
            created, retired_at = before.created or row.created, row.retired_at or before.retired_at
            row = replace(row, created=created, retired_at=retired_at)
        rows[row.id] = row
        self._write(path, rows.values())
        return before is None

    def retire(self, dataset: str, id_: str, date: str | None) -> Row:
        """Mark a row as retired, or not (None); it stays in the file.

        Raises LoopError if there is none.
        """
        rows = self.read(dataset)
        for number, row in enumerate(rows):
            if row.id == id_:
                retired = replace(row, retired_at=date)
                self._write(self.path(dataset), [*rows[:number], retired, *rows[number + 1 :]])
                return retired
        raise LoopError(f"{self.path(dataset)} holds no row {id_}")

    def erase(self, dataset: str, is_meant: Callable[[Row], bool], date: str) -> int:
        """Leave a retired tombstone, id and dates alone, of each row that is meant; how many."""
        rows = self.read(dataset)
        meant = {row.id for row in rows if is_meant(row)}
        if meant:
            stones = {row.id: _tombstone(row, date) for row in rows if row.id in meant}
            self._write(self.path(dataset), [stones.get(row.id, row) for row in rows])
        return len(meant)

    def _write(self, path: Path, rows: Iterable[Row]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = "".join(
            json.dumps(_json(row), sort_keys=True, ensure_ascii=False) + "\n"
            for row in sorted(rows, key=lambda row: row.id)
        )
        partial = path.with_suffix(".partial")
        partial.write_text(text, "utf-8")
        os.replace(partial, path)


def _tombstone(row: Row, date: str) -> Row:
    return Row(
        id=row.id,
        inputs={},
        reference_outputs={},
        metadata={"erased_at": date},
        split=row.split,
        created=row.created,
        retired_at=row.retired_at or date,
    )


def _json(row: Row) -> dict[str, Any]:
    return {name: value for name, value in asdict(row).items() if value not in (None, (), "")}


def _row(line: str, where: str) -> Row:
    try:
        value = json.loads(line)
    except ValueError as error:
        raise LoopError(f"{where} is not JSON: {error}") from None
    if not isinstance(value, dict) or not isinstance(value.get("inputs"), dict):
        raise LoopError(f"{where} is no row: it needs an object `inputs`")
    if unknown := sorted(set(value) - _FIELDS):
        raise LoopError(f"{where} has unknown fields: {', '.join(unknown)}")
    if value.get("split", "full") not in ("smoke", "full"):
        raise LoopError(f"{where}: `split` is smoke or full")
    if not isinstance(value.get("reference_outputs", {}), dict):
        raise LoopError(f"{where}: `reference_outputs` is an object")
    value.setdefault("reference_outputs", {})
    # A row written by hand needs no id: it follows from its inputs.
    value.setdefault("id", row_id(Path(where).stem, inputs_hash(value["inputs"])))
    value["evaluators"] = tuple(value.get("evaluators", ()))
    return Row(**value)
