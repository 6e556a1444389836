"""What is wrong with a data folder that is served nevertheless, for `/readyz` and the log."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson
import structlog

from foliotrace.catalog import Reason
from foliotrace.errors import LibraryUnavailable, Unavailable
from foliotrace.stack import DataFolder
from foliotrace_audit.files import segment_path
from foliotrace_server.bodies import FolderProblemBody
from foliotrace_server.observing.audit import audit_folders
from foliotrace_server.settings import Settings

MADE_AFTER_THE_LIBRARY: Final = (
    ("accepted jobs", "intents.db"),
    ("an audit log", "audit/*/*.jsonl"),
)
"""What besides the core's own files only a folder with a library holds: (name, glob)."""
_LEAST_FREE_BYTES: Final = 1024 * 1024
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class FolderProblems:
    """Reports what was missing when the folder was opened, and whether its disk is full now."""

    path: Path
    missing: Sequence[FolderProblemBody]

    @classmethod
    def examine(cls, settings: Settings, folder: DataFolder) -> "FolderProblems":
        """Look for missing files, and log each kind once. Raises LibraryUnavailable."""
        found = [
            _problem(reason, count)
            for reason, count in (
                (Reason.ORIGINALS_MISSING, len(missing_originals(folder))),
                (Reason.AUDIT_KEYS_MISSING, len(missing_keys(settings))),
            )
            if count
        ]
        problems = cls(folder.path, found)
        for each in problems():
            _log.error("data_folder.problem", code=each.code, count=each.count, hint=each.hint)
        return problems

    def __call__(self) -> Sequence[FolderProblemBody]:
        """The problems at this moment."""
        full = [_problem(Reason.DATA_DISK_FULL, 1)] if is_disk_full(self.path) else []
        return [*self.missing, *full]


def _problem(reason: Reason, count: int) -> FolderProblemBody:
    return FolderProblemBody(code=reason, message=reason.message, hint=reason.hint, count=count)


def missing_originals(folder: DataFolder) -> Sequence[tuple[str, str]]:
    """(tenant, content hash) of documents whose original file is not there."""
    return [each for each in folder.library.originals() if not folder.blobs.holds(*each)]


def missing_keys(settings: Settings) -> Sequence[str]:
    """Ids of chain keys that the audit log was begun with and that its keys folder lacks."""
    log_folder, keys_folder = audit_folders(settings)
    ids = {_chain_key_of(stream) for stream in log_folder.glob("*/")} - {None}
    return sorted(str(each) for each in ids if not (keys_folder / f"{each}.key").is_file())


def _chain_key_of(stream: Path) -> str | None:
    """The key of the stream's first file; None if it is expired or unreadable."""
    try:
        with segment_path(stream, 0).open("rb") as file:
            return str(orjson.loads(file.readline())["chain_key_id"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def is_disk_full(folder: Path) -> bool:
    """Whether less than 1 MiB is free, too little to go on writing."""
    try:
        return shutil.disk_usage(folder).free < _LEAST_FREE_BYTES
    except OSError:
        return False


@contextmanager
def naming_a_full_disk(folder: Path) -> Iterator[None]:
    """Report what fails for want of space as a full disk, whatever the file at hand says of it.

    SQLite calls it an I/O error where it cannot extend a memory-mapped file.
    """
    try:
        yield
    except (Unavailable, OSError) as error:
        if is_disk_full(folder):
            raise LibraryUnavailable(reason=Reason.LIBRARY_DISK_FULL) from error
        raise
