"""The stores of llama-agents' servers, in memory and on disk: redacted, indexed, in WAL mode."""

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from llama_agents.client.protocol.serializable_events import (  # type: ignore[import-untyped] # no py.typed
    EventEnvelope,
    EventEnvelopeWithMetadata,
    EventValidationError,
)
from llama_agents.server import (
    AbstractWorkflowStore,
    HandlerQuery,
    MemoryWorkflowStore,
    PersistentHandler,
    SqliteWorkflowStore,
)
from workflows.context.serializers import BaseSerializer, JsonSerializer
from workflows.context.state_store import InMemoryStateStore
from workflows.events import StopEvent

from foliotrace import errors
from foliotrace.catalog import ErrorCode, ErrorKind

__all__ = [
    "DurableStore",
    "EventEnvelope",
    "EventEnvelopeWithMetadata",
    "EventValidationError",
    "InMemoryStore",
    "failure_kind",
]

_START_TICK = '%\\"type\\": \\"add_event\\"%'  # ticks are JSON within JSON
_STEP_DONE_TICK = '%\\"type\\": \\"step_result\\"%'
_OUR_ERRORS = "foliotrace.errors."


class _RedactingStore(AbstractWorkflowStore):
    """Keeps the text of exceptions that are not ours out of handlers and event streams.

    Messages of our own errors (`foliotrace.errors`) are safe to show; any other text may quote a
    secret or a document.
    """

    async def update_handler_status(self, run_id: str, **changes: Any) -> None:  # noqa: ANN401 - the base's own arguments
        if changes.get("error") is not None:
            changes["error"] = ErrorCode.INTERNAL_ERROR
        await super().update_handler_status(run_id, **changes)

    async def append_event(self, run_id: str, event: EventEnvelopeWithMetadata) -> None:
        failed = event.value.get("exception") if event.type == "WorkflowFailedEvent" else None
        if failed:
            event, message = _redacted(event, failed)
            for handler in await self.query(HandlerQuery(run_id_in=[run_id])):
                handler.error = message
                await self.update(handler)
        await super().append_event(run_id, event)  # type: ignore[safe-super] # a store follows in the MRO


def _redacted(
    event: EventEnvelopeWithMetadata, failed: dict[str, Any]
) -> tuple[EventEnvelopeWithMetadata, str]:
    """(the event with a safe exception, the message for the handler)."""
    ours = str(failed.get("exception_type", "")).startswith(_OUR_ERRORS)
    message = str(failed["exception_message"]) if ours else ErrorCode.INTERNAL_ERROR
    kind = failed["exception_type"] if ours else ErrorCode.INTERNAL_ERROR
    value = {**event.value, "exception": {"exception_type": kind, "exception_message": message}}
    return event.model_copy(update={"value": value}), message


async def failure_kind(
    store: AbstractWorkflowStore, handler: PersistentHandler
) -> ErrorKind | None:
    """What sort of failure ended a run; None if no error of ours did."""
    with suppress(ValueError):
        return ErrorCode.parse(handler.error or "").kind
    for stored in reversed(await store.query_events(handler.run_id or "")):
        if stored.event.type == "WorkflowFailedEvent":
            name = str(stored.event.value["exception"]["exception_type"])
            error = getattr(errors, name.removeprefix(_OUR_ERRORS), None)
            if isinstance(error, type) and issubclass(error, errors.FoliotraceError):
                return error.code.kind
    return None


class InMemoryStore(_RedactingStore, MemoryWorkflowStore):
    """A store in memory that finds handlers by handler id or run id without a scan.

    The library's own store scans every handler: 34 % of a server's CPU at 1,000 handlers.
    """

    def __init__(self, max_completed: int) -> None:
        super().__init__(max_completed=max_completed)
        self._running_ids: set[str] = set()
        self._handler_of_run: dict[str, str] = {}
        self._state_keys: defaultdict[str, list[tuple[str, tuple[str, ...]]]] = defaultdict(list)

    async def query(self, query: HandlerQuery) -> list[PersistentHandler]:
        """The handlers that match `query`; without a scan if it names ids."""
        ids = query.handler_id_in
        if ids is None and query.run_id_in is not None:
            ids = [self._handler_of_run[r] for r in query.run_id_in if r in self._handler_of_run]
        if ids is None:
            return await super().query(query)
        by_id = (self.handlers[i] for i in ids if i in self.handlers)
        return [handler for handler in by_id if _matches(query, handler)]

    async def update(self, handler: PersistentHandler) -> None:
        """Store a record; the run counts as running until a record with a final status."""
        run_id = handler.run_id
        if run_id is not None:
            self._handler_of_run[run_id] = handler.handler_id
            if handler.status == "running":
                self._running_ids.add(run_id)
            else:
                self._running_ids.discard(run_id)
        await super().update(handler)

    async def delete(self, query: HandlerQuery) -> int:
        """Delete handlers and the index entries of their runs."""
        for handler in await self.query(query):
            self._handler_of_run.pop(handler.run_id or "", None)
            self._running_ids.discard(handler.run_id or "")
        return await super().delete(query)

    @property
    def running(self) -> int:
        """Number of runs that have not ended."""
        return len(self._running_ids)

    def _build_state_store(
        self,
        run_id: str,
        namespace: tuple[str, ...],
        state_type: type[Any] | None,
        serializer: BaseSerializer | None,
    ) -> InMemoryStateStore[Any]:
        self._state_keys[run_id].append((run_id, namespace))
        return super()._build_state_store(run_id, namespace, state_type, serializer)

    def _evict_run_state_stores(self, run_id: str) -> None:
        self._handler_of_run.pop(run_id, None)
        for key in self._state_keys.pop(run_id, ()):
            self._state_store_cache.pop(key, None)


def _matches(query: HandlerQuery, handler: PersistentHandler) -> bool:
    """Whether `handler` meets the conditions of `query` other than handler ids."""
    names, states, runs = query.workflow_name_in, query.status_in, query.run_id_in
    idle = handler.idle_since is not None
    return (
        (names is None or handler.workflow_name in names)
        and (states is None or handler.status in states)
        and (runs is None or handler.run_id in runs)
        and (query.is_idle is None or query.is_idle == idle)
    )


class DurableStore(_RedactingStore, SqliteWorkflowStore):
    """A store on disk with one connection in WAL mode; the library opens one for each operation.

    Only the process that holds the writer lease opens the file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), poll_interval=0.1, single_connection=True)
        self.on_finished: Callable[[PersistentHandler], None] = lambda _: None

    async def update(self, handler: PersistentHandler) -> None:
        """Store a record, and call `on_finished` if the run has ended."""
        await super().update(handler)
        if handler.status != "running":
            self.on_finished(handler)

    def add_completed(self, workflow: str, results: Mapping[str, StopEvent]) -> None:
        """Store the records of runs that the engine did not execute, by handler id."""
        now = datetime.now(UTC).isoformat()
        serializer = JsonSerializer()
        rows = [
            (handler_id, workflow, handler_id, serializer.serialize(result), now, now, now)
            for handler_id, result in results.items()
        ]
        with self._connect() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO handlers (handler_id, workflow_name, status, run_id,"
                " result, started_at, updated_at, completed_at)"
                " VALUES (?, ?, 'completed', ?, ?, ?, ?, ?)",
                rows,
            )
            connection.commit()

    @staticmethod
    def _open_nolock(db_path: str) -> sqlite3.Connection:
        """Open with SQLite's own locks, which the library switches off here."""
        connection = sqlite3.connect(db_path, timeout=30.0, check_same_thread=False)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA secure_delete=ON")
        return connection

    def is_replayable(self, run_id: str) -> bool:
        """Whether the start event is stored; a run resumed without it would wait for ever."""
        return self._count(run_id, _START_TICK) > 0

    def steps_done(self, run_id: str) -> int:
        """Number of completed steps of a run; a resume alone adds no such tick."""
        return self._count(run_id, _STEP_DONE_TICK)

    def _count(self, run_id: str, pattern: str) -> int:
        with self._connect() as connection:
            rows = connection.execute(
                "SELECT count(*) FROM ticks WHERE run_id = ? AND tick_data LIKE ?",
                (run_id, pattern),
            )
            return int(rows.fetchone()[0])

    def forget_finished(self, before_iso: str) -> int:
        """Delete all records of runs that ended before `before_iso`; how many runs."""
        with self._connect() as connection:
            runs = connection.execute(
                "SELECT run_id FROM handlers WHERE status != 'running' AND completed_at < ?",
                (before_iso,),
            ).fetchall()
            _forget_runs(connection, runs)
        return len(runs)

    def handler_ids(self) -> frozenset[str]:
        """The ids of all runs with a record."""
        with self._connect() as connection:
            return frozenset(
                row[0] for row in connection.execute("SELECT handler_id FROM handlers")
            )

    def forget(self, handler_ids: Sequence[str]) -> None:
        """Delete all records of these runs, and leave nothing deleted in the files."""
        with self._connect() as connection:
            find = "SELECT run_id FROM handlers WHERE handler_id = ?"
            runs = [row for i in handler_ids for row in connection.execute(find, (i,))]
            _forget_runs(connection, runs)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        """Close the file."""
        if self._persistent_conn is not None:
            self._persistent_conn.close()


def _forget_runs(connection: sqlite3.Connection, runs: Sequence[tuple[str]]) -> None:
    for table in ("events", "ticks", "workflow_state", "handlers"):
        connection.executemany(f"DELETE FROM {table} WHERE run_id = ?", runs)  # noqa: S608 - fixed names
    connection.commit()
