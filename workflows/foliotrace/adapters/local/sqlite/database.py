"""One SQLite file: a single writer on its own thread, and a reader connection for each thread.

Small reads run on the calling thread, because a thread hop costs more than the read. Every failure
of SQLite becomes `LibraryUnavailable` with a stable reason.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog

from foliotrace.adapters.local.sqlite import page_sums
from foliotrace.adapters.local.sqlite.write_queue import WriteQueue
from foliotrace.catalog import Reason
from foliotrace.errors import LibraryUnavailable


class NewerSchema(sqlite3.DatabaseError):
    """A newer foliotrace wrote the file."""

    def __init__(self, found: int, known: int) -> None:
        super().__init__(
            f"its schema has version {found}, this foliotrace knows {known}:"
            " use the release that wrote it, or a newer one"
        )
        self.found = found


def apply_migrations(connection: sqlite3.Connection, migrations: Sequence[str]) -> None:
    """Apply the missing migrations, all or none; safe when two processes open the file at once.

    `connection` is in autocommit (`isolation_level=None`). Raises NewerSchema, sqlite3.Error.
    """
    if schema_version(connection) == len(migrations):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        found = schema_version(connection)
        if found > len(migrations):
            raise NewerSchema(found, len(migrations))
        for migration in migrations[found:]:
            for statement in _statements(migration):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version={len(migrations)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a failing disk may have ended it
            connection.execute("ROLLBACK")
        raise


def schema_version(connection: sqlite3.Connection) -> int:
    """How many migrations were applied to the file."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _statements(migration: str) -> Iterator[str]:
    # Not `executescript`: it commits the transaction that makes the migrations all or none.
    statement = ""
    for line in migration.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


T = TypeVar("T")
_log = structlog.get_logger(__name__)

_WRITER = (
    "PRAGMA journal_mode=WAL",  # readers of other processes never wait for the writer
    "PRAGMA synchronous=FULL",  # NORMAL would lose acknowledged writes in a power cut
    "PRAGMA foreign_keys=ON",
    "PRAGMA secure_delete=ON",  # deleted text must not stay in free pages of the file
    "PRAGMA cache_size=-8000",  # KiB
    "PRAGMA wal_autocheckpoint=0",  # `_checkpoint` does it, with the pages' sums
    "PRAGMA journal_size_limit=0",  # a log that starts anew is cut: its size says what is in it
)
_READER = ("PRAGMA query_only=ON", "PRAGMA cache_size=-4000")

_CAUSES: Final = (
    ("disk is full", Reason.LIBRARY_DISK_FULL),
    ("disk i/o error", Reason.LIBRARY_DISK_ERROR),
    ("locked", Reason.LIBRARY_LOCKED),
    ("readonly", Reason.LIBRARY_READ_ONLY),
    ("read-only", Reason.LIBRARY_READ_ONLY),
    ("permission denied", Reason.LIBRARY_READ_ONLY),
    ("unable to open", Reason.LIBRARY_UNREADABLE),
    ("malformed", Reason.LIBRARY_DAMAGED),
    ("not a database", Reason.LIBRARY_DAMAGED),
)
"""What SQLite's messages hold, in the order they are looked for."""


def unavailable(error: sqlite3.Error | OSError) -> LibraryUnavailable:
    """The LibraryUnavailable for a failure of SQLite or of the file system."""
    text = str(error).lower()
    for mark, reason in _CAUSES:
        if mark in text:
            return LibraryUnavailable(f"The library failed: {mark}.", reason=reason)
    return LibraryUnavailable(f"The library failed: {type(error).__name__}.")


@contextmanager
def translated() -> Iterator[None]:
    """Turn failures of SQLite into LibraryUnavailable; a violated constraint stays a bug."""
    try:
        yield
    except sqlite3.IntegrityError:
        raise
    except (sqlite3.OperationalError, sqlite3.DatabaseError, OSError) as error:
        raise unavailable(error) from error


@contextmanager
def decoding() -> Iterator[None]:
    """Report a row that cannot be decoded as damage of the library."""
    try:
        yield
    except (ValueError, TypeError, KeyError) as error:
        raise LibraryUnavailable(reason=Reason.LIBRARY_DAMAGED) from error


class _ReaderOfThread(threading.local):
    connection: sqlite3.Connection | None = None


class Database:
    """The SQLite file at `path`, migrated to the newest of `migrations`."""

    def __init__(
        self,
        path: Path,
        migrations: Sequence[str],
        *,
        read_only: bool = False,
        lock_wait_s: float = 10.0,
    ) -> None:
        self.path = path
        self._lock_wait_s = lock_wait_s
        self._read_only = read_only
        self._local = _ReaderOfThread()
        self._readers: list[sqlite3.Connection] = []
        self._closed = False
        self._guard = threading.Lock()
        with translated():
            if read_only:
                try:
                    found = schema_version(self.reader())
                    if found != len(migrations):
                        raise _schema_mismatch(found, len(migrations))
                except BaseException:
                    self.close()
                    raise
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = self._connect(_WRITER, vacuum=True)
            try:
                apply_migrations(self._writer, migrations)
            except NewerSchema as error:
                self._writer.close()
                raise _schema_mismatch(error.found, len(migrations)) from error
            except BaseException:
                self._writer.close()
                raise
            self._writes = WriteQueue(
                self._writer, name=f"write-{path.name}", written=self._checkpoint_if_due
            )

    def _connect(self, pragmas: Sequence[str], *, vacuum: bool = False) -> sqlite3.Connection:
        # A process that only reads must not checkpoint when it closes: it keeps no sums.
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode={'ro' if self._read_only else 'rwc'}",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            timeout=self._lock_wait_s,
        )
        try:
            if vacuum:  # takes effect only before the first table is created
                connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
            for pragma in pragmas:
                connection.execute(pragma)
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def reader(self) -> sqlite3.Connection:
        """The reader connection of the calling thread."""
        connection = self._local.connection
        if connection is None:
            with self._guard:
                if self._closed:
                    raise LibraryUnavailable(reason=Reason.LIBRARY_CLOSED)
                if self._read_only and not self.path.exists():
                    raise LibraryUnavailable(reason=Reason.LIBRARY_MISSING)
                connection = self._connect(_READER)
                self._readers.append(connection)
            self._local.connection = connection
        return connection

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """All rows of a small read, on the calling thread. Raises LibraryUnavailable."""
        try:
            return self.reader().execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            if self._closed:
                raise LibraryUnavailable(reason=Reason.LIBRARY_CLOSED) from error
            raise unavailable(error) from error

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run a larger read on a worker thread. Raises LibraryUnavailable."""
        return await asyncio.to_thread(self._read, work)

    def read_here(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run a small read on the calling thread. Raises LibraryUnavailable."""
        return self._read(work)

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with translated():
            return work(self.reader())

    async def write(
        self, work: Callable[[sqlite3.Connection], T], *, acknowledged: bool = True
    ) -> T:
        """Run `work` in a transaction on the writer thread; durable on return.

        Writes that wait for each other share a transaction; each succeeds or fails by itself, and
        may run a second time after the transaction was rolled back.

        Writes that nobody was promised (`acknowledged=False`) are not synced to the disk: they
        survive the death of the process, and reach the disk with the next acknowledged write.
        Cancelling the caller does not stop the commit. Raises LibraryUnavailable.
        """
        with translated():
            return await self._open_queue().write(work, acknowledged=acknowledged)

    def _open_queue(self) -> WriteQueue:
        if self._closed:
            raise LibraryUnavailable(reason=Reason.LIBRARY_CLOSED)
        if self._read_only:
            raise LibraryUnavailable(reason=Reason.LIBRARY_READ_ONLY)
        return self._writes

    def _checkpoint_if_due(self) -> None:
        if page_sums.is_checkpoint_due(self.path):
            self._checkpoint()

    def _checkpoint(self) -> None:
        """Move the write-ahead log into the file. What fails is tried again after the next write.

        The write before it is committed, whatever happens here.
        """
        try:
            page_sums.checkpoint(self._writer, self.path)
        except (sqlite3.Error, OSError) as error:
            _log.warning("library.checkpoint_failed", error_type=type(error).__name__)

    async def compact(self) -> None:
        """Return freed pages to the disk, empty the write-ahead log. Raises LibraryUnavailable."""
        await self._open_queue().run(self._compact)

    def _compact(self) -> None:
        with translated():
            self._writer.execute("PRAGMA incremental_vacuum").fetchall()
            done = page_sums.checkpoint(self._writer, self.path, wait=True)
            if done:
                done = not self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        if not done:
            raise LibraryUnavailable(
                "The library could not be compacted while a long read is in progress.",
                reason=Reason.LIBRARY_LOCKED,
                hint="Retry when that read has ended.",
            )

    def close(self) -> None:
        """Finish the writes in progress and close every connection. May be called twice."""
        with self._guard:
            if self._closed:
                return
            self._closed = True
        if not self._read_only:
            self._writes.close()
        for connection in self._readers:
            connection.close()
        if not self._read_only:
            self._checkpoint()  # closing the last connection would do it without the sums
            self._writer.close()


def _schema_mismatch(found: int, known: int) -> LibraryUnavailable:
    return LibraryUnavailable(
        f"The library has schema version {found}; this foliotrace knows {known}.",
        reason=Reason.LIBRARY_SCHEMA_VERSION,
        hint="Use the foliotrace release that wrote the folder, or a newer one.",
    )
