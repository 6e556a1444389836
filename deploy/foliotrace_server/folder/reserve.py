"""Keeps room on the disk that only a deletion may use.

Deleting a document writes before it frees: audit records, write-ahead logs, the index's next
segment. On a disk without a free byte it would fail, and nobody could make room by deleting.
"""

import os
import shutil
from pathlib import Path
from typing import Final

import structlog

SIZE_BYTES: Final = 8 * 1024 * 1024
_log = structlog.get_logger(__name__)


class DeletionReserve:
    """The file `reserve` of a data folder. The methods block on the disk."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "reserve"

    def hold(self) -> None:
        """Set the room aside, unless the disk would be nearly full after it."""
        if self._file.exists() or self._free_bytes() < 2 * SIZE_BYTES:
            return
        try:
            descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT, 0o600)
            try:
                for _ in range(SIZE_BYTES // (1 << 20)):  # written: a sparse file holds no room
                    os.write(descriptor, bytes(1 << 20))
            finally:
                os.close(descriptor)
        except OSError as error:
            self._file.unlink(missing_ok=True)
            _log.warning("reserve.failed", error_type=type(error).__name__)

    def make_room(self) -> None:
        """Give the room to the deletion that follows, if the disk has less than that."""
        if self._free_bytes() < SIZE_BYTES and self._file.exists():
            self._file.unlink(missing_ok=True)
            _log.warning("reserve.used", size_bytes=SIZE_BYTES)

    def _free_bytes(self) -> int:
        try:
            return shutil.disk_usage(self._file.parent).free
        except OSError:
            return SIZE_BYTES  # unknown: neither hold nor spend
