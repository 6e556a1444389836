"""Pages as bytes between a parser process and its parent.

JSON, never pickle: a worker that a hostile file has taken over can send wrong pages, and nothing
else. Frames are a four-byte big-endian length and a JSON object.
"""

import struct
from base64 import b64decode, b64encode
from typing import Any, BinaryIO

import orjson

from foliotrace.adapters.local.page_parts import (
    block_from_json,
    block_to_json,
    table_from_json,
    table_to_json,
)
from foliotrace.model import (
    PageKind,
    PageStatus,
    ParsedPage,
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
        "blocks": [block_to_json(block) for block in page.blocks],
        "tables": [table_to_json(table) for table in page.tables],
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
        blocks=tuple(block_from_json(block) for block in value["blocks"]),
        tables=tuple(table_from_json(table) for table in value["tables"]),
        status=PageStatus(value["status"]),
        problem=value["problem"],
        engine=value["engine"],
        confidence=value["confidence"],
    )
