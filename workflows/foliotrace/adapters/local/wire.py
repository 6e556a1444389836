"""Pages as bytes between a parser process and its parent.

JSON, never pickle: a worker that a hostile file has taken over can send wrong pages, and nothing
else. Frames are a four-byte big-endian length and a JSON object.
"""

import struct
from base64 import b64decode, b64encode
from typing import Any, BinaryIO

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

HEADER = struct.Struct(">I")
FRAME_LIMIT_BYTES = 256 * 1024 * 1024


def write_frame(stream: BinaryIO, message: dict[str, Any]) -> None:
    """Write one frame and flush it."""
    body = orjson.dumps(message, option=orjson.OPT_PASSTHROUGH_DATACLASS)
    stream.write(HEADER.pack(len(body)))
    stream.write(body)
    stream.flush()


def read_frame(stream: BinaryIO) -> dict[str, Any] | None:
    """The next frame, or None when the stream has ended."""
    header = stream.read(HEADER.size)
    if len(header) < HEADER.size:
        return None
    body = stream.read(HEADER.unpack(header)[0])
    message: dict[str, Any] = orjson.loads(body)
    return message


def page_to_json(page: ParsedPage) -> dict[str, Any]:
    """A page as JSON values; words as base64 of their packed form."""
    return {
        "number": page.number,
        "text": page.text,
        "kind": page.kind.value,
        "label": page.label,
        "width": page.width,
        "height": page.height,
        "words": b64encode(page.words.packed).decode(),
        "blocks": [
            [b.kind.value, b.start, b.end, b.level, _box_to_json(b.box)] for b in page.blocks
        ],
        "tables": [_table_to_json(table) for table in page.tables],
        "status": page.status.value,
        "problem": page.problem,
        "engine": page.engine,
        "confidence": page.confidence,
    }


def page_from_json(value: dict[str, Any]) -> ParsedPage:
    """The page of `page_to_json`. Raises KeyError, TypeError, ValueError for anything else."""
    return ParsedPage(
        number=value["number"],
        text=value["text"],
        kind=PageKind(value["kind"]),
        label=value["label"],
        width=value["width"],
        height=value["height"],
        words=Words(b64decode(value["words"])),
        blocks=tuple(
            Block(kind=BlockKind(kind), start=start, end=end, level=level, box=_box_from_json(box))
            for kind, start, end, level, box in value["blocks"]
        ),
        tables=tuple(_table_from_json(table) for table in value["tables"]),
        status=PageStatus(value["status"]),
        problem=value["problem"],
        engine=value["engine"],
        confidence=value["confidence"],
    )


def _box_to_json(box: Box | None) -> list[float] | None:
    return None if box is None else [box.x, box.y, box.width, box.height]


def _box_from_json(value: list[float] | None) -> Box | None:
    return None if value is None else Box(*value)


def _table_to_json(table: Table) -> list[Any]:
    rows = [
        [
            row.start,
            row.end,
            row.is_header,
            [[c.start, c.end, c.column, c.ref, _box_to_json(c.box)] for c in row.cells],
        ]
        for row in table.rows
    ]
    return [table.start, table.end, _box_to_json(table.box), rows]


def _table_from_json(value: list[Any]) -> Table:
    start, end, box, rows = value
    return Table(
        start=start,
        end=end,
        box=_box_from_json(box),
        rows=tuple(
            TableRow(
                start=row_start,
                end=row_end,
                is_header=is_header,
                cells=tuple(
                    TableCell(start=a, end=b, column=column, ref=ref, box=_box_from_json(cell_box))
                    for a, b, column, ref, cell_box in cells
                ),
            )
            for row_start, row_end, is_header, cells in rows
        ),
    )
