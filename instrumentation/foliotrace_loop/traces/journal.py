"""The journal of one upload: every run of the file, its new id, and what became of it.

One SQLite file for each input and project. An upload that is killed continues from it, with the
same ids.
"""

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from foliotrace_loop.traces.identity import microseconds, moment, new_id, order_step
from foliotrace_loop.traces.records import Record
from foliotrace_loop.traces.rewriting import RunJson, State, letter_of, row_of, sent_run

_VERSION: Final = 2
_START_ANEW: Final = """
BEGIN IMMEDIATE;
DROP TABLE IF EXISTS runs;
DROP TABLE IF EXISTS bodies;
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
DELETE FROM facts WHERE name = 'loaded';
CREATE TABLE runs (
  seq INTEGER PRIMARY KEY,
  old_id TEXT NOT NULL UNIQUE,
  parent TEXT,
  start_us INTEGER,
  end_us INTEGER,
  bytes INTEGER NOT NULL,
  problem TEXT
);
CREATE TABLE bodies (seq INTEGER PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE sending (
  dotted TEXT PRIMARY KEY,
  seq INTEGER NOT NULL,
  depth INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  start_us INTEGER NOT NULL,
  end_us INTEGER,
  orphan_of TEXT,
  state TEXT NOT NULL,
  reason TEXT
) WITHOUT ROWID;
PRAGMA user_version = 2;
COMMIT;
"""
"""`runs` are as in the file, with why one is none. `sending` is in the order of sending, so that a
request reads and changes neighbours."""
_NUMBER: Final = """
INSERT INTO sending
WITH RECURSIVE placed (old_id, dotted, seq, depth, bytes, start_us, end_us, orphan_of) AS (
  SELECT old_id, step(old_id, start_us), seq, 0, bytes, start_us, end_us, parent FROM runs
  WHERE problem IS NULL AND (parent IS NULL OR NOT EXISTS (
    SELECT 1 FROM runs p WHERE p.old_id = runs.parent AND p.problem IS NULL))
  UNION ALL
  SELECT r.old_id, p.dotted || '.' || step(r.old_id, r.start_us), r.seq, p.depth + 1, r.bytes,
    r.start_us, r.end_us, NULL
  FROM placed p CROSS JOIN runs r ON r.parent = p.old_id AND r.problem IS NULL
  WHERE p.depth < :deepest
)
SELECT dotted, seq, depth, bytes, start_us, end_us, orphan_of, 'pending', NULL FROM placed
ORDER BY dotted
"""
"""Runs whose parent is not there are roots: nothing would ever show those otherwise."""
_PUT_RUN: Final = "INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?, ?, ?)"
_PUT_BODY: Final = "INSERT INTO bodies VALUES (?, ?)"
_PAGE: Final = 1000
_DEEPEST: Final = 500


class Pending(NamedTuple):
    """A run to send, as far as batching needs it."""

    dotted: str
    bytes: int

    @property
    def root(self) -> str:
        """The step of its trace's root: what the runs of a trace share."""
        return self.dotted.partition(".")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How an upload stands."""

    runs: int
    traces: int
    sent: int
    sent_traces: int
    dead: int
    orphans: int  # whose parent is not in the file: sent as roots
    repeated: int  # lines whose id stood in the file before; the last counts
    children_first: int  # children that stood in the file before their parents


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A run that is not sent, and why."""

    id: str
    reason: str
    run: Mapping[str, Any] | None


class Journal:
    """The SQLite file at `path`. Safe to use from several threads, by one process."""

    def __init__(self, path: Path | str) -> None:
        if path != ":memory:":
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).touch(mode=0o600)
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")  # a lost write is one more harmless send
        # Bodies stand in the order of the file and are read in the order of sending.
        self._db.execute("PRAGMA cache_size=-32768")
        self._shift_us: int | None = None
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version != _VERSION:
            self._start_anew()

    def _start_anew(self) -> None:
        """Tables for a new journal, or for one of an earlier version.

        That one's runs are loaded again; the shift that it noted keeps their ids.
        """
        self._db.executescript(_START_ANEW)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def fact(self, name: str) -> Any:  # noqa: ANN401 - text or number
        """Something noted of the upload; None if it was not."""
        row = self._one("SELECT value FROM facts WHERE name = ?", (name,))
        return row[0] if row else None

    def note(self, **facts: str | int) -> None:
        """Note something of the upload."""
        self._many("INSERT OR REPLACE INTO facts VALUES (?, ?)", facts.items())

    def load(self, records: Iterable[Record], upload: str, now: datetime) -> None:
        """Take all runs of the file and give them ids, order and the shift to `now`.

        The latest end becomes `now`. Loaded again, the shift and therefore all ids stay the same.
        """
        self.note(loaded=0)
        for table in ("runs", "bodies", "sending"):
            self._execute(f"DELETE FROM {table}")  # noqa: S608 - three names
        seen = 0
        for page in _pages(records, _PAGE):
            rows, bodies = [], []
            for record in page:
                seen += 1
                row, body = row_of(seen, record)
                rows.append(row)
                bodies.append((seen, body))
            with self._lock:
                self._db.execute("BEGIN IMMEDIATE")
                # REPLACE deletes the earlier row: the last line with an id counts.
                self._db.executemany(_PUT_RUN, rows)
                self._db.executemany(_PUT_BODY, bodies)
                self._db.execute("COMMIT")
        self._number(upload, now)
        (held,) = self._one("SELECT count(*) FROM runs") or (0,)
        self.note(repeated=seen - held, loaded=1)

    def _number(self, upload: str, now: datetime) -> None:
        shift = self.fact("shift_us")
        if shift is None:
            (latest,) = self._one(
                "SELECT max(coalesce(end_us, start_us)) FROM runs WHERE problem IS NULL"
            ) or (None,)
            now_us = microseconds(now.isoformat()) or 0
            shift = 0 if latest is None else now_us - latest
            self.note(shift_us=shift)

        def step(old_id: str, start_us: int) -> str:
            return order_step(start_us + shift, new_id(upload, old_id, start_us + shift))

        with self._lock:
            db = self._db
            db.create_function("step", 2, step)
            db.execute("BEGIN IMMEDIATE")
            db.execute("CREATE INDEX run_parent ON runs (parent)")
            db.execute(_NUMBER, {"deepest": _DEEPEST})
            db.execute("DROP INDEX run_parent")
            db.execute(
                "UPDATE runs SET problem = ?"
                " WHERE problem IS NULL AND seq NOT IN (SELECT seq FROM sending)",
                (f"its ancestors form a circle, or are more than {_DEEPEST}",),
            )
            db.execute("COMMIT")

    def pending(self, after: str = "") -> Sequence[Pending]:
        """Runs to send, parents before children and traces in one piece, after this one."""
        rows = self._all(
            "SELECT dotted, bytes FROM sending WHERE state = 'pending' AND dotted > ?"
            " ORDER BY dotted LIMIT ?",
            (after, _PAGE),
        )
        return [Pending(*row) for row in rows]

    def runs(self, pending: Sequence[Pending]) -> list[RunJson]:
        """These runs as they are sent, but for their project: neighbours, one or more."""
        rows = self._all(
            "SELECT s.dotted, s.start_us, s.end_us, s.orphan_of, b.body"
            " FROM sending s JOIN bodies b USING (seq)"
            " WHERE s.dotted BETWEEN ? AND ? AND s.state = 'pending' ORDER BY s.dotted",
            (pending[0].dotted, pending[-1].dotted),
        )
        if self._shift_us is None:
            self._shift_us = int(self.fact("shift_us"))
        shift = self._shift_us
        return [sent_run(row, shift) for row in rows]

    def mark_sent(self, pending: Sequence[Pending]) -> None:
        """Note that these neighbours were acknowledged."""
        self._execute(
            "UPDATE sending SET state = 'sent', reason = NULL"
            " WHERE dotted BETWEEN ? AND ? AND state = 'pending'",
            (pending[0].dotted, pending[-1].dotted),
        )

    def mark_dead(self, pending: Pending, reason: str) -> None:
        """Note that this one is refused."""
        self._execute(
            "UPDATE sending SET state = 'dead', reason = ? WHERE dotted = ?",
            (reason, pending.dotted),
        )

    def revive(self, state: State) -> int:
        """Send again what is in this state; how many. Runs that cannot be sent stay dead."""
        return self._execute(
            "UPDATE sending SET state = 'pending', reason = NULL WHERE state = ?", (state.value,)
        )

    def revive_missing(self, held: Iterable[str]) -> int:
        """Send again what was acknowledged and is not among `held`; how many."""
        self._execute("CREATE TEMP TABLE IF NOT EXISTS held (id TEXT PRIMARY KEY) WITHOUT ROWID")
        self._execute("DELETE FROM held")
        self._many("INSERT OR IGNORE INTO held VALUES (?)", ((each,) for each in held))
        return self._execute(
            "UPDATE sending SET state = 'pending', reason = 'acknowledged, not found'"
            " WHERE state = 'sent' AND substr(dotted, -36) NOT IN (SELECT id FROM held)"
        )

    def times(self) -> tuple[datetime, datetime] | None:
        """Shifted start of the first and the last run; None if there is nothing to send."""
        row = self._one("SELECT min(start_us), max(start_us) FROM sending")
        if row is None or row[0] is None:
            return None
        shift = int(self.fact("shift_us"))
        return moment(row[0] + shift), moment(row[1] + shift)

    def counts(self) -> Counts:
        """How the upload stands."""
        queries = (
            "SELECT coalesce(sum(depth = 0), 0), coalesce(sum(state = 'sent'), 0),"
            " coalesce(sum(depth = 0 AND state = 'sent'), 0), coalesce(sum(state = 'dead'), 0),"
            " count(orphan_of) FROM sending",
            "SELECT count(*), count(problem) FROM runs",
            "SELECT count(*) FROM runs r JOIN runs p ON p.old_id = r.parent WHERE p.seq > r.seq",
        )
        traces, sent, sent_traces, dead, orphans, runs, problems, late = (
            number for query in queries for row in self._all(query) for number in row
        )
        return Counts(
            runs=runs,
            traces=traces,
            sent=sent,
            sent_traces=sent_traces,
            dead=dead + problems,
            orphans=orphans,
            repeated=int(self.fact("repeated") or 0),
            children_first=late,
        )

    def dead_letters(self) -> Iterator[DeadLetter]:
        """The runs that are not sent."""
        for old_id, reason, body in self._all(
            "SELECT r.old_id, coalesce(r.problem, s.reason), b.body"
            " FROM runs r JOIN bodies b USING (seq)"
            " LEFT JOIN (SELECT seq, reason FROM sending WHERE state = 'dead') s USING (seq)"
            " WHERE r.problem IS NOT NULL OR s.seq IS NOT NULL ORDER BY r.seq"
        ):
            yield DeadLetter(old_id, reason, letter_of(body))

    def forget_bodies(self) -> None:
        """Delete the content of what was acknowledged; ids and states stay."""
        self._execute(
            "DELETE FROM bodies WHERE seq IN (SELECT seq FROM sending WHERE state = 'sent')"
        )

    def _execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        with self._lock:
            return self._db.execute(sql, parameters).rowcount

    def _many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._db.executemany(sql, rows)
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def _all(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        with self._lock:
            return self._db.execute(sql, parameters).fetchall()

    def _one(self, sql: str, parameters: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        with self._lock:
            row: tuple[Any, ...] | None = self._db.execute(sql, parameters).fetchone()
            return row


def _pages(records: Iterable[Record], size: int) -> Iterator[list[Record]]:
    page: list[Record] = []
    for record in records:
        page.append(record)
        if len(page) == size:
            yield page
            page = []
    if page:
        yield page
