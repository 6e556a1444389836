"""Reads runs from a file, one after the other: JSONL, a JSON array, an object that holds one, gzip.

Memory is bounded by the largest run, or the largest tree where runs hold their children.
"""

import gzip
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import orjson

from foliotrace_loop.ports import LoopError

_CHUNK: Final = 1 << 20
_LONGEST: Final = 1 << 28  # characters of one value
_LISTS: Final = ("runs", "traces", "items", "data")
"""Names under which an object holds the runs."""
_ENVELOPE: Final = re.compile(rf'\s*\{{\s*"(?:{"|".join(_LISTS)})"\s*:\s*\[')
_DECODER: Final = json.JSONDecoder()


class Record(NamedTuple):
    """One run of the file, or why it is none."""

    place: str
    run: Mapping[str, Any] | None
    problem: str | None = None


def file_hash(path: Path) -> str:
    """SHA-256 of the file. Raises LoopError if it cannot be read."""
    digest = sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise LoopError(f"cannot read {path}: {error.strerror}") from None
    return digest.hexdigest()


def read_runs(path: Path) -> Iterator[Record]:
    """Every run of the file, children that a run holds included.

    A line of JSONL that is no run is reported in its place. Raises LoopError for a file that
    cannot be read or that is no JSON.
    """
    try:
        with _text(path) as file:
            head = file.read(_CHUNK)
            envelope = _ENVELOPE.match(head)
            if envelope or head.lstrip()[:1] == "[":
                start = envelope.end() if envelope else head.index("[") + 1
                yield from _array(file, head, start, path)
            elif _starts_with_a_line(head):
                yield from _lines(file, head)
            else:
                yield from _object(file, head, path)
    except OSError as error:
        raise LoopError(f"cannot read {path}: {error.strerror or error}") from None
    except (EOFError, UnicodeDecodeError) as error:
        raise LoopError(f"{path} is damaged: {error}") from None


@contextmanager
def _text(path: Path) -> Iterator[IO[str]]:
    with path.open("rb") as raw:
        compressed = raw.read(2) == b"\x1f\x8b"
    opened = gzip.open if compressed else open
    with opened(path, "rt", encoding="utf-8-sig") as file:
        yield file


def _starts_with_a_line(head: str) -> bool:
    """Whether the file is JSONL; the first of its lines may be damaged."""
    lines = [line for line in head.split("\n") if line.strip()]
    return len(lines) < 2 or any(line.rstrip().endswith("}") and _is_json(line) for line in lines)


def _is_json(line: str) -> bool:
    try:
        return isinstance(orjson.loads(line), dict)
    except ValueError:
        return False


def _object(file: IO[str], head: str, path: Path) -> Iterator[Record]:
    """One object over several lines: a run, or an object that holds runs."""
    text = head + file.read(_LONGEST)
    try:
        value = orjson.loads(text)
    except ValueError as error:
        raise LoopError(f"{path} is neither JSON nor JSONL: {error}") from None
    yield from _runs(value, "run 1")


def _lines(file: IO[str], head: str) -> Iterator[Record]:
    rest = head
    number = 0
    while True:
        lines = rest.split("\n")
        rest = lines.pop()
        for line in lines:
            number += 1
            if line.strip():
                yield from _line(line, f"line {number}")
        chunk = file.read(_CHUNK)
        if not chunk:
            if rest.strip():
                yield from _line(rest, f"line {number + 1}")
            return
        rest += chunk


def _line(line: str, place: str) -> Iterator[Record]:
    try:
        value = orjson.loads(line)
    except ValueError as error:
        yield Record(place, None, f"not JSON: {error}")
        return
    yield from _runs(value, place)


def _array(file: IO[str], buffer: str, at: int, path: Path) -> Iterator[Record]:
    number, ended = 0, False
    while True:
        at = _skip(buffer, at)
        if buffer[at : at + 1] == "]":
            return
        try:
            value, end = _DECODER.raw_decode(buffer, at)
            if end == len(buffer) and not ended:
                raise ValueError("a number may go on in the next chunk")
        except ValueError as error:
            if ended or len(buffer) - at > _LONGEST:
                raise LoopError(f"{path}: run {number + 1} is not JSON: {error}") from None
            # Twice as much each time, so that a long value is not parsed over and over.
            chunk = file.read(max(_CHUNK, len(buffer) - at))
            ended = not chunk
            buffer, at = buffer[at:] + chunk, 0
            continue
        number, at = number + 1, end
        yield from _runs(value, f"run {number}")


def _skip(buffer: str, at: int) -> int:
    while at < len(buffer) and buffer[at] in " \t\r\n,":
        at += 1
    return at


def _runs(value: object, place: str) -> Iterator[Record]:
    """A run and the children in it, without recursion: a tree may be deep."""
    waiting: list[tuple[object, str, str | None]] = [(value, place, None)]
    while waiting:
        each, where, parent = waiting.pop()
        if not isinstance(each, dict):
            yield Record(where, None, "not an object")
            continue
        if "start_time" not in each:
            held = next((each[n] for n in _LISTS if isinstance(each.get(n), list)), None)
            if held is not None:
                inside = reversed([*enumerate(held, 1)])
                waiting += [(inner, f"run {n}", None) for n, inner in inside]
                continue
        children = each.pop("child_runs", None) or ()
        each.setdefault("id", where)
        if parent is not None and not each.get("parent_run_id"):
            each["parent_run_id"] = parent
        yield Record(where, each)
        if isinstance(children, list):
            waiting += [
                (child, f"{where}, child {n}", str(each["id"]))
                for n, child in enumerate(children, 1)
            ]
