"""JSON and lines of JSON by their structure; what is no strict JSON is read as plain text."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, Final

import orjson

from foliotrace.adapters.local.readers.reading_options import ReadingOptions
from foliotrace.adapters.local.readers.sections import Element, paginate
from foliotrace.adapters.local.readers.streamed import StreamedReader
from foliotrace.adapters.local.readers.text import plain
from foliotrace.adapters.local.readers.text.charset import read_text
from foliotrace.adapters.local.readers.text.structure import Node, elements, record_lines
from foliotrace.model import ParsedPage

_DEPTH: Final = 60  # deeper values are shown as JSON


def stream(path: Path, options: ReadingOptions) -> Iterator[ParsedPage]:
    """The value as sections, or each line as a record."""
    lines = _lines(path)
    first = next(lines, "")
    second = next(lines, "")
    if _loaded(first) is not None and _loaded(second) is not None:
        yield from paginate(_records(chain((first, second), lines)))
        return
    value = _loaded("".join(read_text(path)))
    if value is None:
        yield from plain.stream(path, options)
        return
    yield from paginate(elements(_node("", value, 0)))


def _lines(path: Path) -> Iterator[str]:
    rest = ""
    for piece in read_text(path):
        *lines, rest = (rest + piece).split("\n")
        yield from (line for line in lines if line.strip())
    if rest.strip():
        yield rest


def _loaded(text: str) -> dict[str, Any] | list[Any] | None:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, (dict, list)) else None


def _records(lines: Iterator[str]) -> Iterator[Element]:
    def nodes() -> Iterator[Node]:
        for line in lines:
            value = _loaded(line)
            yield Node("", line) if value is None else _node("", value, 0)

    yield from record_lines(nodes())


def _node(name: str, value: Any, depth: int) -> Node:
    if depth > _DEPTH:
        return Node(name, orjson.dumps(value).decode())
    if isinstance(value, dict):
        return Node(name, "", [child for k, v in value.items() for child in _named(k, v, depth)])
    if isinstance(value, list):
        return Node(name, "", [_node("", item, depth + 1) for item in value])
    return Node(name, _text(value))


def _named(name: str, value: Any, depth: int) -> Iterator[Node]:
    """A list is its items under the list's name."""
    if isinstance(value, list) and value:
        if any(isinstance(item, (dict, list)) for item in value):
            yield from (_node(name, item, depth + 1) for item in value)
        else:
            yield Node(name, "", [Node("", _text(item)) for item in value])
    else:
        yield _node(name, value, depth + 1)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return " ".join(value.split()) if isinstance(value, str) else str(value)


_reader = StreamedReader(stream)
overview, pages = _reader.overview, _reader.pages
