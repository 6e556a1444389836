"""Opens files of this machine that lie under an allowed folder.

Every part of a path is opened by itself, below the part before it and never through a symbolic
link: a check of the whole path could be outrun by somebody who replaces a part of it.
"""

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO, Final

from foliotrace.catalog import ErrorCode
from foliotrace.errors import NotAllowed, NotFound
from foliotrace.ports import OutsideFile

_PIECE_BYTES: Final = 1 << 20
_NO_LINK: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


class AllowedFolders:
    """The folders whose files may be ingested."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = [(folder, folder.resolve()) for folder in folders]

    @asynccontextmanager
    async def open(self, path: str) -> AsyncIterator[OutsideFile]:
        """The file; a relative path is sought in each allowed folder.

        Raises NotAllowed `source_not_allowed`, NotFound `source_not_found`.
        """
        with await asyncio.to_thread(self._open, Path(path)) as file:
            yield OutsideFile(name=Path(path).name, content=_pieces(file))

    def _open(self, path: Path) -> BinaryIO:
        candidates = [
            (real, path.relative_to(named) if path.is_absolute() else path)
            for folder, real in self._folders
            for named in {folder, real}
            if not path.is_absolute() or path.is_relative_to(named)
        ]
        if not candidates or ".." in path.parts or "\0" in str(path):
            raise NotAllowed(
                "The file is not under an allowed folder.", code=ErrorCode.SOURCE_NOT_ALLOWED
            )
        for folder, relative in candidates:
            try:
                return _open_below(folder, relative)
            except OSError:  # also for a symbolic link: whoever asks learns nothing of its target
                continue
        raise NotFound(code=ErrorCode.SOURCE_NOT_FOUND)


def _open_below(folder: Path, relative: Path) -> BinaryIO:
    """A regular file below `folder`. Raises OSError for what is none, and for symbolic links."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for part in relative.parts:
        above = descriptor
        try:  # without O_NONBLOCK, opening a pipe would wait for its writer
            descriptor = os.open(part, _NO_LINK | os.O_NONBLOCK, dir_fd=above)
        finally:
            os.close(above)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotFoundError
    return os.fdopen(descriptor, "rb")


async def _pieces(file: BinaryIO) -> AsyncIterator[bytes]:
    while piece := await asyncio.to_thread(file.read, _PIECE_BYTES):
        yield piece
