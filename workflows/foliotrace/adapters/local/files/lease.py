"""The lease of a data folder's single writer: a file lock that the kernel drops with its process.

Readers need no lease. The holder's process id and URL are stored beside the lock, so that the
command line finds a running server and sends its requests there.
"""

import fcntl
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, Final

import structlog

from foliotrace.adapters.local.files.permissions import tighten
from foliotrace.catalog import ErrorCode, Reason
from foliotrace.errors import Conflict, LibraryUnavailable

_log = structlog.get_logger(__name__)
_LOCK: Final = "writer.lock"
_HOLDER: Final = "writer.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseHolder:
    """The process that writes to the folder."""

    pid: int
    url: str | None = None  # where it serves HTTP, if it does


class WriterLease:
    """The right to write to a data folder, held until `release` or the end of the process."""

    def __init__(self, folder: Path, lock: BinaryIO) -> None:
        self.folder = folder
        self._lock: BinaryIO | None = lock

    @classmethod
    def acquire(cls, folder: Path, *, url: str | None = None) -> "WriterLease":
        """Take the lease, and take others' rights off the folder.

        Raises Conflict `data_folder_locked`, which names the holder, LibraryUnavailable.
        """
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Appending never truncates a lock file that another process holds.
            lock = (folder / _LOCK).open("ab")
        except OSError as error:
            raise LibraryUnavailable(
                "The data folder cannot be written.",
                reason=Reason.LIBRARY_READ_ONLY,
                hint="Make the data folder writable for this user.",
            ) from error
        if not _locked(lock):
            lock.close()
            raise _taken(folder)
        try:
            tighten(folder)
        except PermissionError:  # a volume of another owner: its modes are that owner's to choose
            _log.warning("data_folder.modes_not_ours", data_dir=str(folder))
        lease = cls(folder, lock)
        lease.announce(url)
        return lease

    @staticmethod
    def holder(folder: Path) -> LeaseHolder | None:
        """The holder of the folder's lease, or None."""
        try:
            with (folder / _LOCK).open("rb") as lock:
                if _locked(lock, shared=True):
                    return None
        except OSError:
            return None
        return _read_holder(folder)

    def announce(self, url: str | None) -> None:
        """Publish the URL at which the holder serves HTTP; on a full disk nobody learns it."""
        text = json.dumps(asdict(LeaseHolder(pid=os.getpid(), url=url)))
        beside = self.folder / f"{_HOLDER}.new"
        try:
            beside.write_text(text)
            beside.replace(self.folder / _HOLDER)
        except OSError:  # the lock is what counts, and it is held
            for unusable in (beside, self.folder / _HOLDER):
                unusable.unlink(missing_ok=True)

    def release(self) -> None:
        """Release the lease. May be called twice."""
        lock, self._lock = self._lock, None
        if lock is not None:
            (self.folder / _HOLDER).unlink(missing_ok=True)
            lock.close()

    def __enter__(self) -> "WriterLease":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _locked(lock: BinaryIO, *, shared: bool = False) -> bool:
    """Try to take the lock without waiting; whether it was taken."""
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_holder(folder: Path) -> LeaseHolder:
    try:
        return LeaseHolder(**json.loads((folder / _HOLDER).read_text()))
    except (OSError, ValueError, TypeError):
        return LeaseHolder(pid=0)  # the holder is starting or stopping


def _taken(folder: Path) -> Conflict:
    holder = _read_holder(folder)
    where = f" at {holder.url}" if holder.url else ""
    who = f"process {holder.pid}{where}" if holder.pid else "another process"
    return Conflict(
        f"The data folder is in use by {who}.",
        code=ErrorCode.DATA_FOLDER_LOCKED,
        hint=f"Use --url {holder.url}."
        if holder.url
        else "Stop that process, or open the folder read-only.",
    )
