"""Converts LlamaParse results to pages: text in reading order, offsets, boxes, tables. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from llama_cloud.types import ParsingGetResponse

from foliotrace.adapters.llamacloud.client import CloudFailure, CloudProblem
from foliotrace.catalog import PageProblem
from foliotrace.model import (
    Block,
    BlockKind,
    Box,
    PageNumbers,
    PageStatus,
    ParsedPage,
    Table,
    TableCell,
    TableRow,
    Word,
    Words,
)

_BLOCK_GAP: Final = "\n\n"
_KINDS: Final[Mapping[str, BlockKind]] = {
    "heading": BlockKind.HEADING,
    "list": BlockKind.LIST,
    "code": BlockKind.CODE,
    "image": BlockKind.CAPTION,
}
_MARGINS: Final[Mapping[str, BlockKind]] = {
    "header": BlockKind.HEADER,
    "footer": BlockKind.FOOTER,
}
"""Containers: their text is in items of their own."""


def to_pages(result: ParsingGetResponse, wanted: PageNumbers, *, engine: str) -> list[ParsedPage]:
    """One page for each number of `wanted`; a page that the cloud did not deliver is failed.

    A job may be COMPLETED with failed pages: each page is looked at by itself. Raises CloudFailure
    `garbage` if a page was not asked for or comes twice: then no number can be relied upon.
    """
    _check_numbers(result, frozenset(wanted))
    items = {p.page_number: p for p in result.items.pages} if result.items else {}
    markdown = {p.page_number: p for p in result.markdown.pages} if result.markdown else {}
    texts = {p.page_number: p.text for p in result.text.pages} if result.text else {}
    confidence = (
        {p.page_number: p.confidence for p in result.metadata.pages} if result.metadata else {}
    )
    pages = []
    for number in wanted:
        page = items.get(number)
        if page is not None and page.success is True:
            built = _Builder()
            for item in page.items:
                built.add(item)
            pages.append(
                built.page(
                    number, engine, page.page_width, page.page_height, confidence.get(number)
                )
            )
            continue
        plain = markdown.get(number)
        if plain is not None and plain.success is True:
            pages.append(_plain_page(number, plain.markdown, engine, confidence.get(number)))
        else:
            pages.append(_failed_page(number, texts.get(number), engine))
    return pages


def _check_numbers(result: ParsingGetResponse, wanted: frozenset[int]) -> None:
    for part in (result.items, result.markdown, result.text):
        numbers = [page.page_number for page in part.pages] if part else []
        if len(numbers) != len(set(numbers)) or not wanted.issuperset(numbers):
            raise CloudFailure(
                CloudProblem.GARBAGE, "the result numbers its pages wrongly", lasting=True
            )


def _failed_page(number: int, raw: str | None, engine: str) -> ParsedPage:
    """A page that could not be read; its `raw` text serves if no other parser reads it."""
    return ParsedPage(
        number=number,
        text=(raw or "").strip(),
        status=PageStatus.FAILED,
        problem=PageProblem.CLOUD_PAGE_FAILED,
        engine=engine,
    )


def _plain_page(number: int, text: str | None, engine: str, confidence: float | None) -> ParsedPage:
    if not (text or "").strip():
        return ParsedPage(
            number=number,
            text="",
            status=PageStatus.FAILED,
            problem=PageProblem.CLOUD_PAGE_EMPTY,
            engine=engine,
        )
    return ParsedPage(number=number, text=text or "", engine=engine, confidence=confidence)


@dataclass(slots=True)
class _Builder:
    """Appends the items of a page and records the offsets of each."""

    text: str = ""
    words: list[Word] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)

    def add(self, item: Any) -> None:
        kind = item.type or ""
        if kind == "table":
            self._add_table(item)
        elif kind in _MARGINS:
            self._add_margin(item, _MARGINS[kind])
        elif kind == "list":
            for line in item.items:
                self._add_text(_list_text(line), BlockKind.LIST, getattr(line, "bbox", None))
            if not any(getattr(line, "bbox", None) for line in item.items):
                self._box_last(item.bbox, len(item.items))
        else:
            content = (
                getattr(item, "value", None)
                or getattr(item, "caption", None)
                or getattr(item, "text", None)
                or ""
            )
            block_kind = _KINDS.get(kind, BlockKind.TEXT)
            self._add_text(content, block_kind, item.bbox, level=getattr(item, "level", 0))

    def page(
        self,
        number: int,
        engine: str,
        width: float | None,
        height: float | None,
        confidence: float | None,
    ) -> ParsedPage:
        empty = not self.text.strip()
        return ParsedPage(
            number=number,
            text=self.text,
            width=width,
            height=height,
            words=Words.pack(sorted(self.words, key=lambda word: word.start)),
            blocks=tuple(self.blocks),
            tables=tuple(self.tables),
            status=PageStatus.FAILED if empty else PageStatus.OK,
            problem=PageProblem.CLOUD_PAGE_EMPTY if empty else None,
            engine=engine,
            confidence=confidence,
        )

    def _add_text(
        self, content: str, kind: BlockKind, boxes: Sequence[Any] | None, *, level: int = 0
    ) -> None:
        content = content.strip()
        if not content:
            return
        start = self._open()
        self.text += content
        box = _union(boxes)
        self.blocks.append(Block(kind=kind, start=start, end=len(self.text), level=level, box=box))
        self.words += _boxed_spans(boxes, start, len(self.text))

    def _add_margin(self, item: Any, kind: BlockKind) -> None:
        """A header's or footer's items; its Markdown where they hold no text."""
        before = len(self.text)
        for inner in item.items or ():
            self._add_text(_item_text(inner), kind, inner.bbox or item.bbox)
        if len(self.text) == before:
            self._add_text(item.md or "", kind, item.bbox)

    def _add_table(self, item: Any) -> None:
        start = self._open()
        rows = []
        for index, values in enumerate(item.rows):
            if index:
                self.text += "\n"
            rows.append(self._add_row(values, is_header=index == 0 and len(item.rows) > 1))
        box = _union(item.bbox)
        table = Table(start=start, end=len(self.text), rows=tuple(rows), box=box)
        self.tables.append(table)
        self.blocks.append(Block(kind=BlockKind.TABLE, start=start, end=len(self.text), box=box))
        self.words += _boxed_spans(item.bbox, start, len(self.text))

    def _add_row(self, values: Sequence[Any], *, is_header: bool) -> TableRow:
        start = len(self.text)
        cells = []
        for column, value in enumerate(values):
            if column:
                self.text += "\t"
            cell_start = len(self.text)
            self.text += _cell_text(value)
            cells.append(TableCell(start=cell_start, end=len(self.text), column=column))
        return TableRow(start=start, end=len(self.text), cells=tuple(cells), is_header=is_header)

    def _box_last(self, boxes: Sequence[Any] | None, count: int) -> None:
        """Give the last `count` blocks the box of the whole list."""
        if self.blocks and boxes:
            last = self.blocks[-count:]
            self.words += _boxed_spans(boxes, last[0].start, last[-1].end)

    def _open(self) -> int:
        if self.text:
            self.text += _BLOCK_GAP
        return len(self.text)


def _item_text(item: Any) -> str:
    """The text of an item inside another, tables and lists as their Markdown."""
    named = (getattr(item, name, None) for name in ("value", "caption", "text", "md"))
    return next((str(text) for text in named if text), "")


def _list_text(line: Any) -> str:
    return str(getattr(line, "value", None) or getattr(line, "md", ""))


def _cell_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return " ".join(str(value).split())


def _union(boxes: Sequence[Any] | None) -> Box | None:
    if not boxes:
        return None
    left, top = min(b.x for b in boxes), min(b.y for b in boxes)
    right, bottom = max(b.x + b.w for b in boxes), max(b.y + b.h for b in boxes)
    return Box(left, top, right - left, bottom - top)


def _boxed_spans(boxes: Sequence[Any] | None, start: int, end: int) -> list[Word]:
    """The boxes with their spans where the cloud gives offsets, else one box for the whole."""
    if not boxes:
        return []
    if all(b.start_index is not None and b.end_index is not None for b in boxes):
        return [
            Word(start + b.start_index, min(end, start + b.end_index + 1), Box(b.x, b.y, b.w, b.h))
            for b in boxes
            if start + b.start_index < end
        ]
    whole = _union(boxes)
    return [Word(start, end, whole)] if whole else []
