"""A parsed page as two compact blobs, and back, without loss.

The words go apart: word_planes.py, imported with the first page, since numpy is slow to import.
"""

import zlib
from typing import Final

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

_LEVEL: Final = 1  # 5 % larger than level 6, a quarter less time


def pack_page(page: ParsedPage) -> tuple[bytes, bytes]:
    """(everything but the words, the words)."""
    fields = (
        page.number,
        page.text,
        page.kind,
        page.label,
        page.width,
        page.height,
        [block_to_json(block) for block in page.blocks],
        [table_to_json(table) for table in page.tables],
        page.status,
        page.problem,
        page.engine,
        page.confidence,
        page.degraded_from,
    )
    encoded = orjson.dumps(fields, option=orjson.OPT_PASSTHROUGH_DATACLASS)
    return zlib.compress(encoded, _LEVEL), pack_words(page.words)


def unpack_page(page: bytes, words: bytes) -> ParsedPage:
    """The page again."""
    (
        number,
        text,
        kind,
        label,
        width,
        height,
        blocks,
        tables,
        status,
        problem,
        engine,
        confidence,
        degraded_from,
    ) = orjson.loads(zlib.decompress(page))
    return ParsedPage(
        number=number,
        text=text,
        kind=PageKind(kind),
        label=label,
        width=width,
        height=height,
        words=unpack_words(words),
        blocks=tuple(block_from_json(block) for block in blocks),
        tables=tuple(table_from_json(table) for table in tables),
        status=PageStatus(status),
        problem=problem,
        engine=engine,
        confidence=confidence,
        degraded_from=degraded_from,
    )


def pack_words(words: Words) -> bytes:
    """The words' columns, deflated."""
    from foliotrace.adapters.local import word_planes

    return word_planes.pack_words(words)


def unpack_words(blob: bytes) -> Words:
    """The words again."""
    from foliotrace.adapters.local import word_planes

    return word_planes.unpack_words(blob)
