"""The words of a page as one compact blob, and back. Apart from packing.py because it needs numpy.

The columns are stored apart (starts and ends as differences), which halves what deflate makes of
them. Measured in docs/explanation/library-and-index.md.
"""

import zlib
from typing import Any, Final, TypeAlias

import numpy as np

from foliotrace.model import Words

_WORD: Final = np.dtype(
    [("start", "<u4"), ("end", "<u4"), ("x", "<f4"), ("y", "<f4"), ("w", "<f4"), ("h", "<f4")]
)
_LEVEL: Final = 1  # 5 % larger than level 6, a quarter less time

_Numbers: TypeAlias = np.ndarray[Any, np.dtype[Any]]


def pack_words(words: Words) -> bytes:
    """The words' columns, deflated."""
    rows = np.frombuffer(words.packed, dtype=_WORD)
    starts = np.diff(rows["start"].astype("<i4"), prepend=np.int32(0)).astype("<i4")
    lengths = (rows["end"].astype("<i4") - rows["start"].astype("<i4")).astype("<i4")
    columns = [starts, lengths, *(rows[c] for c in ("x", "y", "w", "h"))]
    return zlib.compress(b"".join(_planes(c) for c in columns), _LEVEL)


def unpack_words(blob: bytes) -> Words:
    """The words again."""
    raw = zlib.decompress(blob)
    count = len(raw) // _WORD.itemsize
    planes = np.frombuffer(raw, dtype=np.uint8).reshape(6, 4, count)
    rows = np.empty(count, dtype=_WORD)
    columns = [np.ascontiguousarray(plane.T) for plane in planes]
    starts = np.cumsum(columns[0].view("<i4").reshape(-1))
    rows["start"] = starts
    rows["end"] = starts + columns[1].view("<i4").reshape(-1)
    for name, column in zip(("x", "y", "w", "h"), columns[2:], strict=True):
        rows[name] = column.view("<f4").reshape(-1)
    return Words(rows.tobytes())


def _planes(column: _Numbers) -> bytes:
    """First bytes of every number, then second bytes, and so on: alike bytes stand together."""
    four_bytes = np.ascontiguousarray(column).view(np.uint8).reshape(-1, 4)
    return np.ascontiguousarray(four_bytes.T).tobytes()
