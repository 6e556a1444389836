"""Records which documents are in which managed index, and the library version reached."""

import sqlite3
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from foliotrace.adapters.local.sqlite.database import apply_migrations
from foliotrace.errors import LibraryUnavailable

_SCHEMA = """
CREATE TABLE IF NOT EXISTS indexes (
    tenant TEXT NOT NULL, collection TEXT NOT NULL, directory_id TEXT NOT NULL,
    index_id TEXT NOT NULL, dirty INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant, collection)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS placements (
    tenant TEXT NOT NULL, document_id TEXT NOT NULL, collection TEXT NOT NULL,
    directory_file_id TEXT NOT NULL, content_hash TEXT NOT NULL,
    PRIMARY KEY (tenant, document_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS reached (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER);
INSERT OR IGNORE INTO reached VALUES (1, 0);
"""

_PROOFS = """
ALTER TABLE indexes ADD COLUMN lost INTEGER NOT NULL DEFAULT 0;
ALTER TABLE placements ADD COLUMN state TEXT NOT NULL DEFAULT 'placed';
UPDATE indexes SET dirty = 1;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagedIndex:
    """The directory and index of a tenant's collection in the cloud.

    `dirty`: it needs a sync. `lost`: the cloud does not know it any more.
    """

    tenant: str
    collection: str
    directory_id: str
    index_id: str
    dirty: bool = False
    lost: bool = False

    @property
    def answers(self) -> bool:
        """Whether it may be asked."""
        return not (self.dirty or self.lost)


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The file of a document in the directory of its collection."""

    tenant: str
    document_id: str
    collection: str
    directory_file_id: str
    content_hash: str


class Placements:
    """State of the managed indexes, in SQLite. Calls are short and block the event loop."""

    def __init__(self, file: Path) -> None:
        self._lock = Lock()
        try:
            self._db = sqlite3.connect(
                file, timeout=10, isolation_level=None, check_same_thread=False
            )
            self._db.execute("PRAGMA journal_mode=WAL")
            apply_migrations(self._db, (_SCHEMA, _PROOFS))
        except sqlite3.Error as error:
            raise LibraryUnavailable(f"the placements cannot be opened: {error}") from error

    @property
    def version(self) -> int:
        """The library version up to which all changes are uploaded."""
        return int(self._rows("SELECT version FROM reached")[0][0])

    def reach(self, version: int) -> None:
        """Every change up to `version` is uploaded."""
        self._rows("UPDATE reached SET version = ?", version)

    def index(self, tenant: str, collection: str) -> ManagedIndex | None:
        """The index of a collection; None if it does not exist yet."""
        rows = self._rows(
            "SELECT directory_id, index_id, dirty, lost FROM indexes"
            " WHERE tenant = ? AND collection = ?",
            tenant,
            collection,
        )
        if not rows:
            return None
        directory_id, index_id, dirty, lost = rows[0]
        return ManagedIndex(
            tenant=tenant,
            collection=collection,
            directory_id=directory_id,
            index_id=index_id,
            dirty=bool(dirty),
            lost=bool(lost),
        )

    def keep_index(self, index: ManagedIndex) -> None:
        """Save an index or its new state."""
        self._rows(
            "INSERT OR REPLACE INTO indexes VALUES (?, ?, ?, ?, ?, ?)",
            index.tenant,
            index.collection,
            index.directory_id,
            index.index_id,
            int(index.dirty),
            int(index.lost),
        )

    def indexes(self) -> list[ManagedIndex]:
        """All of them."""
        rows = self._rows("SELECT tenant, collection FROM indexes")
        return [found for row in rows if (found := self.index(*row)) is not None]

    def unready_indexes(self) -> list[ManagedIndex]:
        """The indexes that are lost, or whose files changed since their last successful sync."""
        return [index for index in self.indexes() if not index.answers]

    def placement(self, tenant: str, document_id: str) -> Placement | None:
        """The placement of a document; None if it is not in the cloud."""
        rows = self._rows(
            "SELECT collection, directory_file_id, content_hash FROM placements"
            " WHERE tenant = ? AND document_id = ?",
            tenant,
            document_id,
        )
        if not rows:
            return None
        collection, directory_file_id, content_hash = rows[0]
        return Placement(
            tenant=tenant,
            document_id=document_id,
            collection=collection,
            directory_file_id=directory_file_id,
            content_hash=content_hash,
        )

    def place(self, placement: Placement) -> None:
        """Save the placement of a document."""
        self._rows(
            "INSERT OR REPLACE INTO placements VALUES (?, ?, ?, ?, ?, 'placed')",
            placement.tenant,
            placement.document_id,
            placement.collection,
            placement.directory_file_id,
            placement.content_hash,
        )

    def remove(self, tenant: str, document_id: str) -> None:
        """Delete the placement of a document."""
        self._rows(
            "DELETE FROM placements WHERE tenant = ? AND document_id = ?", tenant, document_id
        )

    def of(self, tenant: str, collection: str) -> dict[str, str]:
        """Document id -> content hash of the documents of a collection that are in the cloud."""
        rows = self._rows(
            "SELECT document_id, content_hash FROM placements WHERE tenant = ? AND collection = ?",
            tenant,
            collection,
        )
        return {row[0]: row[1] for row in rows}

    def skipped(self, tenant: str, collection: str) -> list[str]:
        """The documents of a collection that were placed and that its index does not find."""
        rows = self._rows(
            "SELECT document_id FROM placements"
            " WHERE tenant = ? AND collection = ? AND state = 'skipped'",
            tenant,
            collection,
        )
        return [row[0] for row in rows]

    def record_proof(self, index: ManagedIndex, skipped: Collection[str]) -> None:
        """The index was searched for every placed document, and did not find those `skipped`."""
        place = (index.tenant, index.collection)
        self._rows(
            "UPDATE placements SET state = 'found' WHERE tenant = ? AND collection = ?", *place
        )
        for document_id in skipped:
            self._rows(
                "UPDATE placements SET state = 'skipped' WHERE tenant = ? AND document_id = ?",
                index.tenant,
                document_id,
            )

    def forget(self, index: ManagedIndex) -> None:
        """Drop an index and the placements of its collection."""
        for table in ("indexes", "placements"):
            self._rows(
                f"DELETE FROM {table} WHERE tenant = ? AND collection = ?",  # noqa: S608 - constants
                index.tenant,
                index.collection,
            )

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _rows(self, statement: str, *values: object) -> list[tuple[str, ...]]:
        with self._lock:
            return self._db.execute(statement, values).fetchall()
