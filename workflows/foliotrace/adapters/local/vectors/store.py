"""The SQLite file of the vector index, and the vectors of a collection as a matrix in memory.

Vectors are float32, normalised to length 1, keyed by chunk id and all from one model. The table
`waiting` lists the documents that are not fully embedded yet; `state` holds the library, the model
and the library version that the file follows.
"""

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from foliotrace.adapters.local.keyword.collections import scope_of
from foliotrace.adapters.local.sqlite.database import Database
from foliotrace.model import Chunk, Deadline
from foliotrace.ports import Change, Vector

Matrix: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]

_THREAD_ROWS: Final = 20_000  # a product over more rows takes longer than a thread hop

_TABLES: Final = """
CREATE TABLE state (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  library_id INTEGER NOT NULL,
  model TEXT NOT NULL,
  version INTEGER NOT NULL,
  epoch INTEGER NOT NULL
);
INSERT INTO state VALUES (1, 0, '', 0, 0);
CREATE TABLE vectors (
  chunk_id TEXT NOT NULL UNIQUE,
  scope TEXT NOT NULL,
  document_id TEXT NOT NULL,
  vector BLOB NOT NULL
);
CREATE INDEX vectors_of_document ON vectors (document_id);
CREATE INDEX vectors_in_scope ON vectors (scope);
CREATE TABLE waiting (
  document_id TEXT PRIMARY KEY,
  tenant TEXT NOT NULL,
  collection TEXT NOT NULL,
  scope TEXT NOT NULL,
  version INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX waiting_in_scope ON waiting (scope);
"""


@dataclass(frozen=True, slots=True)
class IndexState:
    """How far the index has followed the library; `epoch` grows with every change of a vector."""

    version: int
    epoch: int
    pending: bool  # some document of the scope is not fully embedded


@dataclass(frozen=True, slots=True)
class VectorMatrix:
    """The vectors of one scope: row i is of chunk `chunk_ids[i]` of document `document_ids[i]`."""

    epoch: int
    chunk_ids: tuple[str, ...]
    document_ids: np.ndarray[Any, np.dtype[np.str_]]
    rows: Matrix

    def nearest(
        self, vector: Matrix, limit: int, document_ids: Sequence[str] | None
    ) -> list[tuple[float, str]]:
        """(cosine, chunk id) of the nearest chunks, best first, by comparing every row."""
        if not self.chunk_ids or self.rows.shape[1] != vector.shape[0]:
            return []
        cosines = self.rows @ vector
        if document_ids is not None:
            admitted = np.isin(self.document_ids, np.asarray(document_ids, dtype=np.str_))
            cosines = np.where(admitted, cosines, -np.inf)
        count = min(limit, len(self.chunk_ids))
        best = np.argpartition(-cosines, count - 1)[:count]
        best = best[np.argsort(-cosines[best], kind="stable")]
        return [(float(cosines[i]), self.chunk_ids[i]) for i in best if np.isfinite(cosines[i])]


def normalised(vectors: Sequence[Vector]) -> Matrix:
    """One row of length 1 (or 0) per vector. Raises ValueError for ragged or non-finite vectors."""
    matrix = np.asarray(vectors, dtype=np.float32)
    if matrix.ndim != 2 or not matrix.shape[1] or not np.isfinite(matrix).all():
        raise ValueError("vectors must be finite and of one length")
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    return np.asarray(matrix / np.where(lengths > 0, lengths, 1), dtype=np.float32)


class VectorStore:
    """The file of the vector index. Every method may raise LibraryUnavailable."""

    ready = True

    def __init__(self, path: Path, *, read_only: bool = False, tables: Sequence[str] = ()) -> None:
        """`tables` are statements that create further tables."""
        self.database = Database(path, (_TABLES, *tables), read_only=read_only)
        self._matrices: dict[str, VectorMatrix] = {}

    def belongs_to(self, library_id: int, model: str) -> bool:
        """Whether the vectors are of this library and model."""
        rows = self.database.rows("SELECT library_id, model FROM state")
        return rows == [(library_id, model)]

    async def verify(self) -> None:
        """Find out whether vectors that are stored elsewhere are still there."""

    def state(self, scope: str | None = None) -> IndexState:
        """How far the index has followed, for one scope or for all of them."""
        version, epoch, pending = self.database.rows(
            "SELECT version, epoch, EXISTS (SELECT 1 FROM waiting WHERE ? IS NULL OR scope = ?)"
            " FROM state",
            (scope, scope),
        )[0]
        return IndexState(version, epoch, bool(pending))

    async def clear(self, library_id: int, model: str) -> None:
        """Delete all vectors and start again from version 0."""

        def work(c: sqlite3.Connection) -> None:
            c.execute("DELETE FROM vectors")
            c.execute("DELETE FROM waiting")
            c.execute(
                "UPDATE state SET library_id = ?, model = ?, version = 0, epoch = epoch + 1",
                (library_id, model),
            )

        await self.database.write(work)

    async def record(self, changes: Sequence[Change]) -> None:
        """Delete the vectors of deleted documents; queue the other documents for embedding."""

        def work(c: sqlite3.Connection) -> None:
            for change in changes:
                if change.deleted:
                    c.execute("DELETE FROM vectors WHERE document_id = ?", (change.document_id,))
                    c.execute("DELETE FROM waiting WHERE document_id = ?", (change.document_id,))
                else:
                    c.execute(
                        "INSERT OR REPLACE INTO waiting VALUES (?, ?, ?, ?, ?)",
                        (
                            change.document_id,
                            change.tenant,
                            change.collection,
                            scope_of(change.tenant, change.collection),
                            change.version,
                        ),
                    )
            c.execute("UPDATE state SET version = ?, epoch = epoch + 1", (changes[-1].version,))

        await self.database.write(work)

    def next_pending(self) -> Change | None:
        """The document that has been queued longest, or None."""
        return next(iter(self.pending(limit=1)), None)

    def pending(self, *, limit: int = -1) -> list[Change]:
        """The queued documents, the longest queued first."""
        rows = self.database.rows(
            "SELECT version, tenant, collection, document_id FROM waiting ORDER BY version LIMIT ?",
            (limit,),
        )
        return [
            Change(
                version=row[0], tenant=row[1], collection=row[2], document_id=row[3], deleted=False
            )
            for row in rows
        ]

    def embedded_chunks(self, document_id: str) -> set[str]:
        """The ids of the document's chunks that have a vector."""
        return {
            row[0]
            for row in self.database.rows(
                "SELECT chunk_id FROM vectors WHERE document_id = ?", (document_id,)
            )
        }

    def unplaced(self, document_id: str) -> Mapping[str, Matrix]:
        """The vectors of the document by chunk id that were bought and have no place yet: none."""
        return {}

    async def add(self, change: Change, name: str, chunks: Sequence[Chunk], matrix: Matrix) -> None:
        """Store the vectors of `chunks` of the changed document, which is called `name`.

        Row i of `matrix` is of chunk i.
        """
        scope = scope_of(change.tenant, change.collection)
        rows = [
            (chunk.id, scope, chunk.document_id, vector.tobytes())
            for chunk, vector in zip(chunks, matrix, strict=True)
        ]

        def work(c: sqlite3.Connection) -> None:
            c.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?, ?)", rows)
            c.execute("UPDATE state SET epoch = epoch + 1")

        await self.database.write(work)

    async def finish(self, change: Change, served: set[str]) -> None:
        """Take the embedded document off the queue; delete vectors of chunks not in `served`."""
        stale_ids = [(chunk_id,) for chunk_id in self.embedded_chunks(change.document_id) - served]

        def work(c: sqlite3.Connection) -> None:
            c.executemany("DELETE FROM vectors WHERE chunk_id = ?", stale_ids)
            c.execute(
                "DELETE FROM waiting WHERE document_id = ? AND version = ?",
                (change.document_id, change.version),
            )
            c.execute("UPDATE state SET epoch = epoch + 1")

        await self.database.write(work)

    async def nearest(
        self,
        tenant: str,
        collection: str,
        vector: Matrix,
        *,
        limit: int,
        document_ids: Sequence[str] | None,
        deadline: Deadline,
    ) -> list[tuple[float, str]]:
        """(cosine, chunk id) of the collection's nearest chunks, best first.

        Only chunks of `document_ids`, unless that is None. Raises IndexUnavailable.
        """
        scope = scope_of(tenant, collection)
        epoch = self.state(scope).epoch
        matrix = self._matrices.get(scope)
        if matrix is None or matrix.epoch != epoch:
            matrix = self._matrices[scope] = await self._load(scope, epoch)
        if len(matrix.chunk_ids) < _THREAD_ROWS:
            return matrix.nearest(vector, limit, document_ids)
        return await asyncio.to_thread(matrix.nearest, vector, limit, document_ids)

    async def _load(self, scope: str, epoch: int) -> VectorMatrix:
        """Read the vectors of a scope into memory."""

        def work(c: sqlite3.Connection) -> VectorMatrix:
            rows = c.execute(
                "SELECT chunk_id, document_id, vector FROM vectors WHERE scope = ? ORDER BY rowid",
                (scope,),
            ).fetchall()
            raw = b"".join(row[2] for row in rows)
            flat = np.frombuffer(raw, dtype=np.float32)
            return VectorMatrix(
                epoch=epoch,
                chunk_ids=tuple(row[0] for row in rows),
                document_ids=np.asarray([row[1] for row in rows], dtype=np.str_),
                rows=flat.reshape(len(rows), -1) if rows else flat.reshape(0, 1),
            )

        return await self.database.read(work)
