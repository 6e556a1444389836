"""Runs of questions in the library's file; their texts under a key, if one is given."""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson
from pydantic import TypeAdapter

from foliotrace.adapters.local.sqlite.database import unavailable
from foliotrace.adapters.local.sqlite.library import SqliteLibrary
from foliotrace.catalog import ErrorCode
from foliotrace.errors import LibraryUnavailable, NotFound
from foliotrace.events import RunsNotSaved, emit
from foliotrace.model import Run, RunContent
from foliotrace.ports import Erased, ErasureScope

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

KEY_FILE: Final = "run-content.key"
_DELAY_S: Final = 0.25
_QUEUE: Final = 10_000  # while the disk fails, the oldest queued runs are dropped
_TEXTS: Final = ("query_text", "answer_text")
_SEALED: Final = "sealed"

_runs: Final = TypeAdapter(Run)


class ContentKey:
    """Encrypts the texts of runs (Fernet: AES-128-CBC with HMAC-SHA256)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._loaded: Fernet | None = None

    @property
    def _key(self) -> "Fernet":
        if self._loaded is None:
            from cryptography.fernet import Fernet  # 40 ms, paid only by those who encrypt

            if not self._path.exists():
                self._path.touch(mode=0o600, exist_ok=True)
                self._path.write_bytes(Fernet.generate_key())
            self._loaded = Fernet(self._path.read_bytes().strip())
        return self._loaded

    def encrypt(self, content: object) -> str:
        """`content` as a token. Raises OSError, ValueError for an unusable key."""
        return self._key.encrypt(orjson.dumps(content)).decode()

    def open(self, token: str) -> Any:
        """What was encrypted; None if it was with another key, or the key is gone."""
        from cryptography.fernet import InvalidToken

        if not self._path.exists():
            return None
        try:
            return orjson.loads(self._key.decrypt(token.encode()))
        except (InvalidToken, ValueError):
            return None


class SqliteRuns:
    """A `Runs`. With `encrypt`, new texts are encrypted; `key` decrypts what was, in any case."""

    def __init__(
        self, library: SqliteLibrary, *, key: ContentKey | None = None, encrypt: bool = False
    ) -> None:
        self._database = library.database
        self._key = key
        self._encrypt = encrypt
        self._queued: deque[Run] = deque(maxlen=_QUEUE)
        self._flushing: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()

    async def save(self, run: Run) -> None:
        self._queued.append(run)
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush_soon())

    async def run(self, tenant: str, run_id: str) -> Run:
        for run in reversed(self._queued):
            if run.tenant == tenant and run_id in (run.id, run.trace_id):
                return run
        rows = self._database.rows(
            "SELECT run FROM runs WHERE tenant = ? AND id = ?", (tenant, run_id)
        ) or self._database.rows(
            "SELECT run FROM runs WHERE tenant = ? AND trace_id = ?"
            " ORDER BY created_at DESC, id DESC LIMIT 1",
            (tenant, run_id),
        )
        if not rows:
            raise NotFound(code=ErrorCode.RUN_NOT_FOUND)
        return self._read(rows[0][0])

    async def visit(
        self,
        tenant: str,
        visit: Callable[[Run], bool],
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        after: str | None = None,
    ) -> None:
        await self.flush()
        conditions, parameters = ["tenant = ?"], [tenant]
        for moment, condition in ((since, "created_at >= ?"), (until, "created_at < ?")):
            if moment is not None:
                conditions.append(condition)
                parameters.append(moment.isoformat())
        if after is not None:
            last = await self.run(tenant, after)
            conditions.append("(created_at, id) < (?, ?)")
            parameters += [last.created_at.isoformat(), last.id]
        sql = (
            f"SELECT run FROM runs WHERE {' AND '.join(conditions)}"  # noqa: S608 - conditions
            " ORDER BY created_at DESC, id DESC"
        )

        def read(connection: sqlite3.Connection) -> None:
            for (stored,) in connection.execute(sql, parameters):
                if not visit(_without_texts(stored)):
                    return

        await self._database.read(read)

    async def expire(
        self, *, before: datetime, by_project: Mapping[str, datetime] | None = None
    ) -> int:
        await self.flush()
        moments = [(name, moment.isoformat()) for name, moment in (by_project or {}).items()]

        def delete(connection: sqlite3.Connection) -> int:
            deleted = 0
            for rule in moments:
                deleted += connection.execute(
                    "DELETE FROM runs WHERE project = ? AND created_at < ?", rule
                ).rowcount
            others = ", ".join("?" * len(moments))
            return (
                deleted
                + connection.execute(
                    f"DELETE FROM runs WHERE created_at < ? AND project NOT IN ({others})",  # noqa: S608 - placeholders
                    (before.isoformat(), *(name for name, _ in moments)),
                ).rowcount
            )

        return await self._database.write(delete)

    async def erase(self, scope: ErasureScope) -> Erased:
        """Delete the runs in a scope. Raises LibraryUnavailable."""
        await self.flush()
        wanted = (
            ("tenant = ?", (scope.tenant,)),
            (
                "? IN (json_extract(run, '$.subject'), json_extract(run, '$.user_id'))",
                (scope.user,),
            ),
            ("json_extract(run, '$.request.collection') = ?", (scope.collection,)),
            ("created_at < ?", (scope.before.isoformat() if scope.before else None,)),
        )
        chosen = [(condition, value) for condition, (value,) in wanted if value is not None]
        where = " AND ".join(condition for condition, _ in chosen)
        values = [value for _, value in chosen]

        def delete(connection: sqlite3.Connection) -> Erased:
            ids = f"SELECT id FROM runs WHERE {where}"  # noqa: S608 - conditions above
            cited = connection.execute(
                f"SELECT DISTINCT document_id FROM run_documents WHERE run_id IN ({ids})",  # noqa: S608 - as above
                values,
            ).fetchall()
            count = connection.execute(f"DELETE FROM runs WHERE {where}", values).rowcount  # noqa: S608 - as above
            return Erased(count, tuple(row[0] for row in cited))

        return await self._database.write(delete)

    async def flush(self) -> None:
        """Write the queued runs. They stay queued if it raises LibraryUnavailable."""
        async with self._lock:
            batch = list(self._queued)
            if not batch:
                return
            try:
                rows = {run.id: self._stored(run) for run in batch}
            except (OSError, ValueError) as error:
                raise unavailable(OSError(str(error))) from error
            await self._database.write(lambda c: _insert(c, batch, rows), acknowledged=False)
            written = {id(run) for run in batch}
            # Compared, not counted: the queue may have dropped its oldest runs meanwhile.
            while self._queued and id(self._queued[0]) in written:
                self._queued.popleft()

    async def _flush_soon(self) -> None:
        await asyncio.sleep(_DELAY_S)
        try:
            await self.flush()
        except LibraryUnavailable as error:  # they are written with the next run
            emit(RunsNotSaved(reason=error.reason))

    async def close(self) -> None:
        """Write the queued runs and stop."""
        if self._flushing is not None:
            self._flushing.cancel()
            await asyncio.gather(self._flushing, return_exceptions=True)
            self._flushing = None
        await self.flush()

    def _stored(self, run: Run) -> str:
        """The run as JSON; with a key, its texts are one sealed token."""
        if not self._encrypt or self._key is None or run.content is RunContent.OFF:
            return _runs.dump_json(run).decode()
        content = {
            **{name: getattr(run, name) for name in _TEXTS},
            "quotes": [citation.quote for citation in run.citations],
            "filters": _runs.dump_python(run, mode="json")["request"]["filters"],
        }
        bare = replace(
            run,
            query_text=None,
            answer_text=None,
            citations=tuple(replace(citation, quote="") for citation in run.citations),
            request=replace(run.request, filters=None),
        )
        stored = orjson.loads(_runs.dump_json(bare))
        return orjson.dumps(stored | {_SEALED: self._key.encrypt(content)}).decode()

    def _read(self, stored: str) -> Run:
        record = orjson.loads(stored)
        token = record.pop(_SEALED, None)
        if token is not None:
            content = self._key.open(token) if self._key is not None else None
            if content is None:
                record["content"] = RunContent.UNREADABLE
            else:
                record |= {name: content[name] for name in _TEXTS}
                record["request"]["filters"] = content["filters"]
                for citation, quote in zip(record["citations"], content["quotes"], strict=True):
                    citation["quote"] = quote
        return _runs.validate_python(record)


def _without_texts(stored: str) -> Run:
    record = orjson.loads(stored)
    record.pop(_SEALED, None)
    record |= dict.fromkeys(_TEXTS)
    for citation in record["citations"]:
        citation["quote"] = ""
    return _runs.validate_python(record)


def _insert(connection: sqlite3.Connection, queued: Sequence[Run], rows: Mapping[str, str]) -> None:
    """Store the runs, except those that cite a document deleted meanwhile."""
    deleted = "SELECT 1 FROM changes WHERE document_id = ? AND deleted"
    batch = [
        run
        for run in queued
        if not any(
            connection.execute(deleted, (document_id,)).fetchone()
            for document_id in {citation.document_id for citation in run.citations}
        )
    ]
    connection.executemany(
        "INSERT OR REPLACE INTO runs (id, tenant, created_at, run, trace_id, project)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        [
            (
                run.id,
                run.tenant,
                run.created_at.isoformat(),
                rows[run.id],
                run.trace_id,
                run.project,
            )
            for run in batch
        ],
    )
    connection.executemany(
        "INSERT OR IGNORE INTO run_documents VALUES (?, ?)",
        [(citation.document_id, run.id) for run in batch for citation in run.citations],
    )
