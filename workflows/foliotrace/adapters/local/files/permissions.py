"""File modes of a data folder: its documents are for the user who runs the service, nobody else."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_OTHERS: Final = 0o077  # what group and others may do
_OURS: Final = ("*.db", "*.db-wal", "*.db-shm", "*.db-sums", "writer.*", "keyword", "blobs")


@contextmanager
def private_files() -> Iterator[None]:
    """Create files as 0600 and folders as 0700, in the whole process."""
    before = os.umask(_OTHERS)
    try:
        yield
    finally:
        os.umask(before)


def tighten(folder: Path) -> None:
    """Take group's and others' rights off a data folder and what we keep in it.

    Files beside ours are left alone. Raises OSError.
    """
    if not _is_open(folder):
        return
    for pattern in _OURS:
        for found in folder.glob(pattern):
            for each in (found, *(found.rglob("*") if found.is_dir() else ())):
                _close(each)
    _close(folder)  # last: a walk that was cut off begins anew


def _is_open(path: Path) -> bool:
    return bool(path.stat().st_mode & _OTHERS)


def _close(path: Path) -> None:
    if not path.is_symlink() and _is_open(path):
        path.chmod(path.stat().st_mode & ~_OTHERS)
