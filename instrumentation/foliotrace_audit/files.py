"""Files of the log: append whole lines or nothing, lock a stream, name its parts.

Each writer process has a stream (a folder) of its own, so that processes never wait for each other
and no chain has two writers.
"""

import fcntl
import os
import re
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

LOCK_FILE = "lock"
CHECKPOINT_FILE = "checkpoints.jsonl"
_sync_to_disk = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync
# Other files and folders may lie beside the streams; only names that this module makes are read.
_STREAM_NAME = re.compile(r".+-[0-9]+-[0-9]{8}T[0-9]{6}[0-9a-f]{6}")
_SEGMENT_NAME = re.compile(r"[0-9]{4,9}", re.ASCII)


class AppendFile:
    """A 0600 file for appending. An `append` that raises OSError leaves the file as before."""

    def __init__(self, path: Path) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._descriptor = os.open(path, flags, 0o600)
        self.size_bytes = os.fstat(self._descriptor).st_size
        self._has_remainder = False

    def append(self, content: bytes, *, sync: bool) -> None:
        """Write all of `content`, and wait for the disk if `sync`. Raises OSError."""
        if self._has_remainder:
            self._rewind()
        self._has_remainder = True
        try:
            written = 0
            while written < len(content):  # a nearly full disk takes a part of it
                written += os.write(self._descriptor, content[written:] if written else content)
            if sync:
                _sync_to_disk(self._descriptor)
        except OSError:
            # The caller appends the same lines again later. Half a line in front of them would
            # read as a damaged record for ever.
            self._rewind()
            raise
        self._has_remainder = False
        self.size_bytes += len(content)

    def _rewind(self) -> None:
        """Drop what an unfinished append left. May raise: the next append then rewinds first."""
        os.ftruncate(self._descriptor, self.size_bytes)
        self._has_remainder = False

    def sync(self) -> None:
        """Wait until everything appended is on the disk. Raises OSError."""
        _sync_to_disk(self._descriptor)

    def close(self) -> None:
        """Close the file. Twice is fine."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def write_synced(path: Path, content: bytes, *, exclusive: bool = False) -> None:
    """Write a 0600 file and wait for the disk. Raises OSError, with `exclusive` if it exists."""
    flags = os.O_WRONLY | os.O_CREAT | (os.O_EXCL if exclusive else os.O_TRUNC)
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make the creation or removal of files in `folder` durable.

    Syncing a file does not sync its name: after a power cut a file with synced content can be
    missing from its folder.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def new_stream_folder(log_folder: Path, now: datetime) -> Path:
    """A new folder `<host>-<pid>-<start>` for this writer.

    Containers often share a host name and pid 1, so the start ends with random digits.
    """
    log_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    host = "".join(c if c.isalnum() else "_" for c in socket.gethostname())[:40] or "host"
    start = f"{now:%Y%m%dT%H%M%S}{secrets.token_hex(3)}"
    folder = log_folder / f"{host}-{os.getpid()}-{start}"
    folder.mkdir(mode=0o700)
    sync_folder(log_folder)
    return folder


def segment_path(stream: Path, number: int) -> Path:
    """The file of segment `number` (from 0)."""
    return stream / f"{number:04d}.jsonl"


def torn_path(stream: Path, number: int) -> Path:
    """Where the torn tail of segment `number` is kept."""
    return stream / f"{number:04d}.torn"


def tombstone_path(stream: Path, number: int) -> Path:
    """The tombstone of segment `number`."""
    return stream / f"{number:04d}.expired"


def segments(stream: Path) -> dict[int, Path]:
    """The segment files of a stream, by number, in order."""
    return _numbered(stream, ".jsonl")


def tombstones(stream: Path) -> dict[int, Path]:
    """The tombstones of a stream's removed segments, by number, in order."""
    return _numbered(stream, ".expired")


def _numbered(stream: Path, suffix: str) -> dict[int, Path]:
    """A folder under such a name is none of them: the file that it stands for is missing."""
    paths = (path for path in stream.iterdir() if _SEGMENT_NAME.fullmatch(path.stem))
    files = (path for path in paths if path.suffix == suffix and not path.is_dir())
    return dict(sorted((int(path.stem), path) for path in files))


def streams(log_folder: Path) -> list[Path]:
    """The stream folders of a log, by name."""
    if not log_folder.is_dir():
        return []
    return sorted(p for p in log_folder.iterdir() if p.is_dir() and _STREAM_NAME.fullmatch(p.name))


def others(log_folder: Path) -> list[Path]:
    """The folders of a log that are no streams, by name."""
    own = set(streams(log_folder))
    return sorted(p for p in log_folder.iterdir() if p.is_dir() and p not in own) if own else []


# flock and not a file with a pid in it: the kernel releases it when the process dies, however it
# dies, so no lock is ever stale and no pid is ever mistaken for another process's.


def lock_stream(stream: Path, *, wait: bool = True) -> int | None:
    """Take the exclusive lock of a stream for as long as the returned descriptor is open.

    None if another process has it, unless this is to `wait`.
    """
    descriptor = os.open(stream / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


@contextmanager
def try_lock_stream(stream: Path) -> Iterator[bool]:
    """True while this process holds the stream's lock; False if its writer is alive."""
    descriptor = os.open(stream / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(descriptor)


def has_writer(stream: Path) -> bool:
    """Whether a living process holds the stream's lock. Writes nothing: auditors may only read."""
    try:
        descriptor = os.open(stream / LOCK_FILE, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def read_last_line(path: Path, *, limit_bytes: int) -> tuple[bytes, bytes]:
    """(last complete line with its newline, torn bytes after it); empty where there is none.

    Reads at most `limit_bytes` from the end.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - limit_bytes))
        tail = file.read(limit_bytes)
    complete, newline, torn = tail.rpartition(b"\n")
    if not newline:
        return b"", tail
    return complete[complete.rfind(b"\n") + 1 :] + newline, torn
