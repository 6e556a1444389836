"""CRC-32 of every page of a SQLite file, beside it, so that a changed byte anywhere is found.

SQLite checks the structure of its pages and never their content. In WAL mode pages of the file
change in checkpoints only. Sums are written right after a checkpoint, while the write-ahead log
still holds the same pages: a page that the log holds is not judged, so a crash in between is safe.
"""

import os
import sqlite3
import struct
import time
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Final

SUFFIX: Final = "-sums"
_ENTRY: Final = struct.Struct("<I")  # one for each page; 0: not known
_FRAME: Final = struct.Struct(">II")  # page number, and what does not matter here
_WAL_HEADER_BYTES: Final = 32
_FRAME_HEADER_BYTES: Final = 24
_CHECKPOINT_BYTES: Final = 4 * 1024 * 1024  # SQLite's own default: 1000 pages
_ATTEMPTS: Final = 3
_PAUSE_S: Final = 0.5


def is_checkpoint_due(path: Path) -> bool:
    """Whether the write-ahead log of the file has grown enough."""
    try:
        return _beside(path, "-wal").stat().st_size >= _CHECKPOINT_BYTES
    except OSError:
        return False


def checkpoint(connection: sqlite3.Connection, path: Path, *, wait: bool = False) -> bool:
    """Write the log's pages into the file, with their sums; False if a reader is in the way.

    With `wait`, readers are waited for. Only the connection that writes may call it. Raises
    sqlite3.Error, OSError.
    """
    mode = "FULL" if wait else "PASSIVE"
    busy, frames, done = connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
    if busy or done < frames:
        return False
    if frames > 0:
        _update(path, frames)
    return True


def damaged_pages(path: Path, *, in_use: bool) -> list[int]:
    """Numbers of the pages, from 1, that do not hold what was written. Raises OSError.

    While the file is in use, what differs is read again, in case a checkpoint was under way.
    """
    wrong = _differing(path)
    for _ in range(_ATTEMPTS if in_use else 0):
        if not wrong:
            return []
        time.sleep(_PAUSE_S)
        wrong &= _differing(path)
    return sorted(wrong)


def _differing(path: Path) -> set[int]:
    try:
        sums = _beside(path, SUFFIX).read_bytes()
    except FileNotFoundError:
        return set()
    with path.open("rb") as file:
        size = _page_bytes(file)
        file.seek(0)
        different = set()
        for number, (stated,) in enumerate(_ENTRY.iter_unpack(sums[: len(sums) // 4 * 4]), 1):
            page = file.read(size)
            if stated and _sum(page) != stated:  # also where the file has become too short
                different.add(number)
    return different - set(_logged(path, size)) if different else different


def _update(path: Path, frames: int) -> None:
    beside = _beside(path, SUFFIX)
    is_new = not beside.exists()
    descriptor = os.open(beside, os.O_RDWR | os.O_CREAT, 0o600)
    with path.open("rb") as file, os.fdopen(descriptor, "r+b") as sums:
        size = _page_bytes(file)
        count = file.seek(0, os.SEEK_END) // size
        numbers = range(1, count + 1) if is_new else sorted(set(_logged(path, size, frames)))
        sums.truncate(count * _ENTRY.size)
        for number in numbers:
            if number <= count:
                file.seek((number - 1) * size)
                sums.seek((number - 1) * _ENTRY.size)
                sums.write(_ENTRY.pack(_sum(file.read(size))))
        sums.flush()
        os.fsync(sums.fileno())


def _logged(path: Path, page_bytes: int, frames: int | None = None) -> Iterable[int]:
    """Page numbers of the log's first `frames` frames, or of all of its present round."""
    try:
        file = _beside(path, "-wal").open("rb")
    except FileNotFoundError:
        return
    with file:
        salts = file.read(_WAL_HEADER_BYTES)[16:24]
        while frames is None or frames > 0:
            header = file.read(_FRAME_HEADER_BYTES)
            if len(header) < _FRAME_HEADER_BYTES or header[8:16] != salts:
                return
            yield _FRAME.unpack_from(header)[0]
            file.seek(page_bytes, os.SEEK_CUR)
            frames = None if frames is None else frames - 1


def _page_bytes(file: BinaryIO) -> int:
    """The page size in the header, where 1 stands for 65536; a damaged one is taken for 4096."""
    header = file.read(18)
    stated = int.from_bytes(header[16:18], "big")
    size = 65536 if stated == 1 else stated
    return size if size >= 512 and size & (size - 1) == 0 else 4096


def _sum(page: bytes) -> int:
    return zlib.crc32(page) or 1


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
