"""Named values inside named values, as XML and JSON have them, as headings, fields and tables.

Values of a node are lines "name: text"; nodes of one name that hold only values are the rows of a
table; every other node is a section with its name as heading.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from foliotrace.adapters.local.readers.sections import (
    Element,
    GridCell,
    GridRow,
    NewGrid,
    Prose,
    grid,
)
from foliotrace.adapters.local.readers.text.html import elements_of_html
from foliotrace.model import BlockKind

_MOST_COLUMNS: Final = 60
_LONG: Final = 400  # characters; a record with a longer value is a section of its own
_DEEPEST_HEADING: Final = 6
_HTML: Final = re.compile(r"</?(?:p|div|br|b|i|a|ul|li|h\d|table|span|em|img)\b[^<>]*>", re.I)


@dataclass(slots=True)
class Node:
    """A value if it has `text` and no children. Without a name it is an item of a list."""

    name: str
    text: str = ""
    children: list["Node"] = field(default_factory=list)
    is_prose: bool = False

    @property
    def is_value(self) -> bool:
        """Whether it can stand on a line or in a cell."""
        return not self.children and not self.is_prose


def elements(root: Node) -> Iterator[Element]:
    """The content of `root` as blocks."""
    yield from _section(root, 1)


def _section(node: Node, level: int) -> Iterator[Element]:
    if node.name:
        yield Prose(node.name, BlockKind.HEADING, min(level, _DEEPEST_HEADING))
    if node.text:
        yield from _prose(node.text)
    yield from _children(node.children, level + bool(node.name))


def _children(children: Sequence[Node], level: int) -> Iterator[Element]:
    lines: list[str] = []
    for (name, is_value, is_prose), group in groupby(
        children, key=lambda n: (n.name, n.is_value, n.is_prose)
    ):
        nodes = list(group)
        if is_value and name and len(nodes) == 1 and not _HTML.search(nodes[0].text):
            if nodes[0].text:
                lines.append(f"{name}: {nodes[0].text}")
            continue
        if lines:
            yield Prose("\n".join(lines))
            lines = []
        if is_value and len(nodes) == 1:
            yield from _prose(nodes[0].text)
        elif is_value:
            yield from _list(name, nodes, level)
        elif is_prose:
            for node in nodes:
                yield from _prose(node.text)
        elif _are_records(nodes):
            yield from _records(name, nodes, level)
        else:
            for node in nodes:
                yield from _section(node, level)
    if lines:
        yield Prose("\n".join(lines))


def _prose(text: str) -> Iterator[Element]:
    if _HTML.search(text):
        yield from elements_of_html(text.encode())
    elif text.strip():
        yield Prose(text)


def _list(name: str, nodes: Sequence[Node], level: int) -> Iterator[Element]:
    if name:
        yield Prose(name, BlockKind.HEADING, min(level, _DEEPEST_HEADING))
    for node in nodes:
        if node.text:
            yield Prose(node.text, BlockKind.LIST)


def _are_records(nodes: Sequence[Node]) -> bool:
    """Whether all nodes hold short values only, each name at most once, and share a name."""
    if len(nodes) < 2:
        return False
    shared: set[str] | None = None
    for node in nodes:
        names = [child.name for child in node.children]
        if node.text or len(set(names)) != len(names) or "" in names:
            return False
        if any(
            not c.is_value or len(c.text) > _LONG or _HTML.search(c.text) for c in node.children
        ):
            return False
        shared = set(names) if shared is None else shared & set(names)
    return bool(shared) and len({c.name for n in nodes for c in n.children}) <= _MOST_COLUMNS


def _fits_cell(node: Node) -> bool:
    return node.is_value and len(node.text) <= _LONG and not _HTML.search(node.text)


def _records(name: str, nodes: Sequence[Node], level: int) -> Iterator[Element]:
    if name:
        yield Prose(name, BlockKind.HEADING, min(level, _DEEPEST_HEADING))
    columns = {
        key: column
        for column, key in enumerate(dict.fromkeys(c.name for n in nodes for c in n.children))
    }
    head = [GridCell(key, column) for key, column in columns.items()]
    body = [
        sorted(
            (GridCell(c.text, columns[c.name]) for c in node.children if c.text),
            key=lambda cell: cell.column,
        )
        for node in nodes
    ]
    yield from grid([head, *body], 1)


def record_lines(records: Iterator[Node]) -> Iterator[Element]:
    """Records that come one at a time, such as lines of JSON: rows while their names stay alike."""
    names: dict[str, int] = {}
    for record in records:
        flat = _are_records([record, record])
        if flat and not {child.name for child in record.children} <= names.keys():
            yield NewGrid()
            names = {child.name: column for column, child in enumerate(record.children)}
            yield GridRow(tuple(GridCell(n, c) for n, c in names.items()), is_header=True)
        if flat:
            cells = (GridCell(c.text, names[c.name]) for c in record.children if c.text)
            if row := tuple(sorted(cells, key=lambda cell: cell.column)):
                yield GridRow(row)
        else:
            yield NewGrid()
            names = {}
            yield from _section(record, 1)
