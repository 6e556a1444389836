"""Feedback, experiments, queues and rollouts in one SQLite file, made when first written."""

import json
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from foliotrace_loop.feedback import Feedback, FeedbackView

T = TypeVar("T")

_FIRST: Final = """
CREATE TABLE feedback (
  id TEXT PRIMARY KEY,
  tenant TEXT NOT NULL,
  subject TEXT NOT NULL,
  run_id TEXT NOT NULL,
  trace_id TEXT,
  key TEXT NOT NULL,
  score REAL,
  value TEXT,
  comment TEXT,
  source TEXT NOT NULL,
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX feedback_of_run ON feedback (tenant, run_id);

CREATE TABLE experiments (
  id TEXT PRIMARY KEY,
  suite TEXT NOT NULL,
  git_sha TEXT,
  created_at TEXT NOT NULL,
  experiment TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX experiments_newest ON experiments (suite, created_at);

CREATE TABLE queues (
  tenant TEXT NOT NULL,
  name TEXT NOT NULL,
  reviewers INTEGER NOT NULL,
  rules TEXT NOT NULL,
  created_at TEXT NOT NULL,
  PRIMARY KEY (tenant, name)
) WITHOUT ROWID;

CREATE TABLE queue_items (
  tenant TEXT NOT NULL,
  queue TEXT NOT NULL,
  run_id TEXT NOT NULL,
  trace_id TEXT,
  reason TEXT NOT NULL,
  added_at TEXT NOT NULL,
  accepted_as TEXT,
  PRIMARY KEY (tenant, queue, run_id),
  FOREIGN KEY (tenant, queue) REFERENCES queues (tenant, name) ON DELETE CASCADE
) WITHOUT ROWID;

CREATE TABLE leases (
  tenant TEXT NOT NULL,
  queue TEXT NOT NULL,
  run_id TEXT NOT NULL,
  reviewer TEXT NOT NULL,
  until TEXT NOT NULL,
  PRIMARY KEY (tenant, queue, run_id, reviewer),
  FOREIGN KEY (tenant, queue, run_id) REFERENCES queue_items ON DELETE CASCADE
) WITHOUT ROWID;

CREATE TABLE reviews (
  tenant TEXT NOT NULL,
  queue TEXT NOT NULL,
  run_id TEXT NOT NULL,
  reviewer TEXT NOT NULL,
  label TEXT NOT NULL,
  comment TEXT,
  at TEXT NOT NULL,
  PRIMARY KEY (tenant, queue, run_id, reviewer),
  FOREIGN KEY (tenant, queue, run_id) REFERENCES queue_items ON DELETE CASCADE
) WITHOUT ROWID;
"""
_ROLLOUTS: Final = "CREATE TABLE rollouts (id INTEGER PRIMARY KEY, rollout TEXT NOT NULL);"
MIGRATIONS: Final = (_FIRST, _ROLLOUTS)
_FEEDBACK: Final = tuple(each.name for each in fields(Feedback))
_VIEW: Final = tuple(each.name for each in fields(FeedbackView))


class LoopStore:
    """The SQLite file at `path`. Safe to use from several threads and several processes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._open: sqlite3.Connection | None = None

    def close(self) -> None:
        """Close the file. It is opened again when it is next used."""
        with self._lock:
            if self._open is not None:
                self._open.close()
                self._open = None

    def save_feedback(self, feedback: Feedback) -> FeedbackView:
        """Store a rating, or replace the one with its id; what is stored now.

        The same rating again changes nothing, not even `updated_at`.
        """
        values = _row(feedback)
        names = ", ".join(_FEEDBACK)
        changing = ("score", "value", "comment", "updated_at")
        updates = ", ".join(f"{name} = excluded.{name}" for name in changing)
        differs = " OR ".join(f"feedback.{n} IS NOT excluded.{n}" for n in changing[:-1])

        def save(connection: sqlite3.Connection) -> FeedbackView:
            connection.execute(
                f"INSERT INTO feedback ({names}) VALUES ({', '.join('?' * len(_FEEDBACK))})"  # noqa: S608 - columns
                f" ON CONFLICT (id) DO UPDATE SET {updates} WHERE {differs}",
                values,
            )
            row = connection.execute(
                f"SELECT {', '.join(_VIEW)} FROM feedback WHERE id = ?",  # noqa: S608 - columns
                (feedback.id,),
            ).fetchone()
            return _view(row)

        return self.write(save)

    def feedback_of(self, tenant: str, run_id: str) -> tuple[FeedbackView, ...]:
        """The ratings of a run, oldest first."""
        rows = self.rows(
            f"SELECT {', '.join(_VIEW)} FROM feedback"  # noqa: S608 - columns
            " WHERE tenant = ? AND run_id = ? ORDER BY created_at, id",
            (tenant, run_id),
        )
        return tuple(_view(row) for row in rows)

    def feedback_by_run(self, tenant: str) -> Mapping[str, Sequence[FeedbackView]]:
        """All ratings of a tenant, by run."""
        rows = self.rows(
            f"SELECT {', '.join(_VIEW)} FROM feedback WHERE tenant = ? ORDER BY created_at, id",  # noqa: S608 - columns
            (tenant,),
        )
        by_run: dict[str, list[FeedbackView]] = {}
        for row in rows:
            view = _view(row)
            by_run.setdefault(view.run_id, []).append(view)
        return by_run

    def feedback_changed_since(self, moment: datetime | None) -> Sequence[FeedbackView]:
        """The ratings of all tenants that were given or changed since, oldest first."""
        rows = self.rows(
            f"SELECT {', '.join(_VIEW)} FROM feedback"  # noqa: S608 - columns
            " WHERE ?1 IS NULL OR updated_at >= ?1 ORDER BY updated_at, id",
            (None if moment is None else moment.isoformat(),),
        )
        return [_view(row) for row in rows]

    def rated_runs(self) -> Sequence[tuple[str, str]]:
        """(tenant, run id) of everything that feedback or queues refer to."""
        return self.rows(
            "SELECT tenant, run_id FROM feedback UNION SELECT tenant, run_id FROM queue_items"
        )

    def forget_run(self, tenant: str, run_id: str) -> int:
        """Delete the feedback, reviews and queue items of a run; how many ratings and items."""

        def forget(connection: sqlite3.Connection) -> int:
            return sum(
                connection.execute(
                    f"DELETE FROM {table} WHERE tenant = ? AND run_id = ?",  # noqa: S608 - names
                    (tenant, run_id),
                ).rowcount
                for table in ("feedback", "queue_items")
            )

        return self.write(forget)

    def forget_person(
        self,
        tenant: str,
        person: str,
        *,
        within: Collection[str] | None = None,
        before: datetime | None = None,
    ) -> int:
        """Delete the ratings, reviews and leases of a person, on these runs only; how many."""
        until = before.isoformat() if before is not None else None
        tables = (("feedback", "subject", "created_at"), ("reviews", "reviewer", "at"))

        def forget(connection: sqlite3.Connection) -> int:
            count = 0
            for table, who, when in tables:
                found = connection.execute(
                    f"SELECT DISTINCT run_id FROM {table}"  # noqa: S608 - names
                    f" WHERE tenant = ?1 AND {who} = ?2 AND (?3 IS NULL OR {when} < ?3)",
                    (tenant, person, until),
                ).fetchall()
                for (run_id,) in found:
                    if within is None or run_id in within:
                        count += connection.execute(
                            f"DELETE FROM {table} WHERE tenant = ?1 AND run_id = ?4"  # noqa: S608 - names
                            f" AND {who} = ?2 AND (?3 IS NULL OR {when} < ?3)",
                            (tenant, person, until, run_id),
                        ).rowcount
            connection.execute(
                "DELETE FROM leases WHERE tenant = ? AND reviewer = ?", (tenant, person)
            )
            return count

        return self.write(forget)

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """All rows of a read; none while the file does not exist."""
        with self._lock:
            if self._open is None and not self.path.exists():
                return []
            return self._connection().execute(sql, parameters).fetchall()

    def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in one transaction; durable on return."""
        with self._lock, _transaction(self._connection()) as connection:
            return work(connection)

    def _connection(self) -> sqlite3.Connection:
        if self._open is None:
            self.path.touch(mode=0o600, exist_ok=True)
            connection = sqlite3.connect(
                self.path, isolation_level=None, check_same_thread=False, timeout=10
            )
            try:
                for pragma in ("journal_mode=WAL", "foreign_keys=ON", "secure_delete=ON"):
                    connection.execute(f"PRAGMA {pragma}")
                _migrate(connection)
            except BaseException:
                connection.close()
                raise
            self._open = connection
        return self._open


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _migrate(connection: sqlite3.Connection) -> None:
    with _transaction(connection):
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        if found > len(MIGRATIONS):
            raise sqlite3.DatabaseError("the file was written by a newer foliotrace")
        for migration in MIGRATIONS[found:]:
            for statement in filter(str.strip, migration.split(";")):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version={len(MIGRATIONS)}")


def _row(feedback: Feedback) -> tuple[Any, ...]:
    values = {name: getattr(feedback, name) for name in _FEEDBACK}
    values["value"] = None if feedback.value is None else json.dumps(feedback.value)
    for name in ("created_at", "updated_at"):
        values[name] = values[name].isoformat()
    return tuple(values.values())


def _view(row: Sequence[Any]) -> FeedbackView:
    values = dict(zip(_VIEW, row, strict=True))
    values["value"] = None if values["value"] is None else json.loads(values["value"])
    for name in ("created_at", "updated_at"):
        values[name] = datetime.fromisoformat(values[name])
    return FeedbackView(**values)
