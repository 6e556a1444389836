"""A parsed page as plain JSON values and as two compressed blobs, and back without loss.

The parser processes send the JSON values; the library stores the blobs. The words of a page travel
apart from the rest, because packing them needs numpy, which is slow to import.
"""

import zlib
from base64 import b64decode, b64encode
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import orjson

from foliotrace.model import (
    Block,
    BlockKind,
    Box,
    PageKind,
    PageStatus,
    ParsedPage,
    Table,
    TableCell,
    TableRow,
    Words,
)

if TYPE_CHECKING:
    import numpy as np

_BLOCK_KINDS: Final = {kind.value: kind for kind in BlockKind} | {
    # the values of earlier versions, which stored pages may hold
    "paragraph": BlockKind.TEXT,
    "list_item": BlockKind.LIST,
    "figure": BlockKind.CAPTION,
}
_LEVEL: Final = 1  # 5 % larger than level 6, a quarter less time


def _storable(text: str | None) -> str | None:
    """The text with each lone surrogate replaced by one U+FFFD, so that no offset moves.

    Lone surrogates come from damaged files; neither UTF-8 nor JSON can hold them.
    """
    if text is None:
        return None
    try:
        text.encode()
    except UnicodeEncodeError:
        return "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text)
    return text


def page_to_values(page: ParsedPage) -> list[Any]:
    """Everything but the words, as JSON values by position.

    New fields go to the end, and only there: stored pages are read by position.
    """
    return [
        page.number,
        _storable(page.text),
        page.kind.value,
        _storable(page.label),
        page.width,
        page.height,
        [_block_to_values(block) for block in page.blocks],
        [_table_to_values(table) for table in page.tables],
        page.status.value,
        page.problem,
        page.engine,
        page.confidence,
        page.degraded_from,
        b64encode(page.words.confidences).decode(),
    ]


def page_from_values(values: list[Any], words: Words) -> ParsedPage:
    """The page of `page_to_values`. Raises KeyError, TypeError, ValueError for anything else."""
    number, text, kind, label, width, height, blocks, tables, status, *rest = values
    problem, engine, confidence, degraded_from, *more = rest
    if more and more[0]:
        words = replace(words, confidences=b64decode(more[0]))
    return ParsedPage(
        number=number,
        text=text,
        kind=PageKind(kind),
        label=label,
        width=width,
        height=height,
        words=words,
        blocks=tuple(_block_from_values(block) for block in blocks),
        tables=tuple(_table_from_values(table) for table in tables),
        status=PageStatus(status),
        problem=problem,
        engine=engine,
        confidence=confidence,
        degraded_from=degraded_from,
    )


def pack_page(page: ParsedPage) -> tuple[bytes, bytes]:
    """(everything but the words, the words), compressed."""
    return zlib.compress(orjson.dumps(page_to_values(page)), _LEVEL), pack_words(page.words)


def unpack_page(page: bytes, words: bytes) -> ParsedPage:
    """The page of `pack_page`."""
    return page_from_values(orjson.loads(zlib.decompress(page)), unpack_words(words))


def _block_to_values(block: Block) -> list[Any]:
    return [block.kind.value, block.start, block.end, block.level, _box_to_values(block.box)]


def _block_from_values(values: list[Any]) -> Block:
    kind, start, end, level, box = values
    return Block(
        kind=_BLOCK_KINDS[kind], start=start, end=end, level=level, box=_box_from_values(box)
    )


def _box_to_values(box: Box | None) -> list[float] | None:
    return None if box is None else [box.x, box.y, box.width, box.height]


def _box_from_values(values: list[float] | None) -> Box | None:
    return None if values is None else Box(*values)


def _table_to_values(table: Table) -> list[Any]:
    rows = [
        [
            row.start,
            row.end,
            row.is_header,
            [[c.start, c.end, c.column, c.ref, _box_to_values(c.box)] for c in row.cells],
        ]
        for row in table.rows
    ]
    values = [table.start, table.end, _box_to_values(table.box), rows]
    about = (table.caption, table.unit, table.period, table.continued_header)
    if about == (None,) * 4 and not table.header_path:
        return values
    headers = [_storable(header) for header in table.header_path]
    return [*values, *map(_storable, about[:3]), headers, _storable(table.continued_header)]


def _table_from_values(values: list[Any]) -> Table:
    start, end, box, rows, *about = values
    caption, unit, period, header_path, *more = about or (None, None, None, ())
    return Table(
        start=start,
        end=end,
        rows=tuple(map(_row_from_values, rows)),
        box=_box_from_values(box),
        caption=caption,
        unit=unit,
        period=period,
        header_path=tuple(header_path),
        continued_header=more[0] if more else None,
    )


def _row_from_values(values: list[Any]) -> TableRow:
    start, end, is_header, cells = values
    return TableRow(
        start=start, end=end, cells=tuple(map(_cell_from_values, cells)), is_header=is_header
    )


def _cell_from_values(values: list[Any]) -> TableCell:
    start, end, column, ref, box = values
    return TableCell(start=start, end=end, column=column, ref=ref, box=_box_from_values(box))


# Words are stored column by column (starts and ends as differences), each column byte plane by byte
# plane (all first bytes, then all second bytes): neighbouring bytes are then similar, which halves
# what deflate makes of them.


@cache
def _word_layout() -> "np.dtype[Any]":
    import numpy as np

    return np.dtype(
        [("start", "<u4"), ("end", "<u4"), ("x", "<f4"), ("y", "<f4"), ("w", "<f4"), ("h", "<f4")]
    )


_NO_WORDS: Final = zlib.compress(b"", _LEVEL)


def pack_words(words: Words) -> bytes:
    """The columns of the words, compressed."""
    if not words.packed:
        return _NO_WORDS
    import numpy as np

    rows = np.frombuffer(words.packed, dtype=_word_layout())
    starts = np.diff(rows["start"].astype("<i4"), prepend=np.int32(0)).astype("<i4")
    lengths = (rows["end"].astype("<i4") - rows["start"].astype("<i4")).astype("<i4")
    columns = [starts, lengths, *(rows[name] for name in ("x", "y", "w", "h"))]
    planes = (np.ascontiguousarray(c).view(np.uint8).reshape(-1, 4).T for c in columns)
    return zlib.compress(b"".join(plane.tobytes() for plane in planes), _LEVEL)


def unpack_words(blob: bytes) -> Words:
    """The words of `pack_words`."""
    if blob == _NO_WORDS:
        return Words(b"")
    import numpy as np

    raw = zlib.decompress(blob)
    count = len(raw) // _word_layout().itemsize
    planes = np.frombuffer(raw, dtype=np.uint8).reshape(6, 4, count)
    rows = np.empty(count, dtype=_word_layout())
    columns = [np.ascontiguousarray(plane.T) for plane in planes]
    starts = np.cumsum(columns[0].view("<i4").reshape(-1))
    rows["start"] = starts
    rows["end"] = starts + columns[1].view("<i4").reshape(-1)
    for name, column in zip(("x", "y", "w", "h"), columns[2:], strict=True):
        rows[name] = column.view("<f4").reshape(-1)
    return Words(rows.tobytes())
