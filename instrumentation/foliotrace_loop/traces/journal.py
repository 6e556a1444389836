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
from typing import Any, Final

from foliotrace_loop.traces.identity import microseconds, moment, new_id, order_step
from foliotrace_loop.traces.records import Record
from foliotrace_loop.traces.rewriting import RAW, State, letter_of, row_of, sent_run

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS runs (
  seq INTEGER PRIMARY KEY,
  old_id TEXT NOT NULL UNIQUE,
  parent TEXT,
  start_us INTEGER,
  end_us INTEGER,
  depth INTEGER,
  step TEXT,
  dotted TEXT,
  bytes INTEGER NOT NULL,
  state TEXT NOT NULL,
  reason TEXT
);
"""
_INDEXES: Final = """
CREATE INDEX IF NOT EXISTS run_order ON runs (dotted);
"""
_RAW: Final = ", ".join(RAW)
_BODIES: Final = (
    "CREATE TABLE IF NOT EXISTS bodies"
    f" (seq INTEGER PRIMARY KEY, head BLOB NOT NULL, {', '.join(f'{n} BLOB' for n in RAW)})"
)
_PUT_BODY: Final = f"INSERT INTO bodies VALUES (?, ?{', ?' * len(RAW)})"  # noqa: S608 - marks
_PAGE: Final = 1000
_DEEPEST: Final = 500


@dataclass(frozen=True, slots=True)
class Pending:
    """A run to send, as far as batching needs it."""

    seq: int
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
        self._shift_us: int | None = None
        self._db.executescript(_SCHEMA)
        self._db.execute(_BODIES)

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
        self._execute("DELETE FROM runs")
        self._execute("DELETE FROM bodies")
        seen = 0
        for page in _pages(records, _PAGE):
            rows, bodies = [], []
            for record in page:
                seen += 1
                row, body = row_of(seen, record)
                rows.append(row)
                bodies.append(body)
            with self._lock:
                self._db.execute("BEGIN IMMEDIATE")
                # REPLACE deletes the earlier row: the last line with an id counts.
                self._db.executemany(
                    "INSERT OR REPLACE INTO runs"
                    " (seq, old_id, parent, start_us, end_us, bytes, state, reason)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    rows,
                )
                self._db.executemany(_PUT_BODY, bodies)
                self._db.execute("COMMIT")
        (held,) = self._one("SELECT count(*) FROM runs") or (0,)
        self._number(upload, now)
        self.note(repeated=seen - held, loaded=1)

    def _number(self, upload: str, now: datetime) -> None:
        shift = self.fact("shift_us")
        if shift is None:
            (latest,) = self._one(
                "SELECT max(coalesce(end_us, start_us)) FROM runs WHERE state = 'pending'"
            ) or (None,)
            now_us = microseconds(now.isoformat()) or 0
            shift = 0 if latest is None else now_us - latest
            self.note(shift_us=shift)
        with self._lock:
            db = self._db

            def step(old_id: str, start_us: int) -> str:
                return order_step(start_us + shift, new_id(upload, old_id, start_us + shift))

            db.create_function("step", 2, step)
            db.execute("BEGIN IMMEDIATE")
            db.execute("UPDATE runs SET step = step(old_id, start_us) WHERE state = 'pending'")
            # Roots, and runs whose parent is not there: nothing would ever show those.
            db.execute(
                "UPDATE runs SET depth = 0, dotted = step"
                " WHERE state = 'pending' AND (parent IS NULL OR NOT EXISTS (SELECT 1 FROM runs p"
                "   WHERE p.old_id = runs.parent AND p.state = 'pending'))"
            )
            db.execute("CREATE INDEX run_parent ON runs (parent)")
            db.execute("CREATE INDEX run_depth ON runs (depth)")
            depth = 0
            while (
                depth < _DEEPEST
                and db.execute(
                    "UPDATE runs SET depth = :depth + 1, dotted = p.dotted || '.' || runs.step"
                    " FROM (SELECT * FROM runs WHERE depth = :depth) p"
                    " WHERE runs.parent = p.old_id AND runs.depth IS NULL"
                    " AND runs.state = 'pending'",
                    {"depth": depth},
                ).rowcount
            ):
                depth += 1
            db.execute(
                "UPDATE runs SET state = 'dead', reason = ?"
                " WHERE state = 'pending' AND depth IS NULL",
                (f"its ancestors form a circle, or are more than {_DEEPEST}",),
            )
            db.execute("DROP INDEX run_parent")
            db.execute("DROP INDEX run_depth")
            for statement in filter(None, map(str.strip, _INDEXES.split(";"))):
                db.execute(statement)
            db.execute("COMMIT")

    def pending(self, after: str = "") -> Sequence[Pending]:
        """Runs to send, parents before children and traces in one piece, after this one."""
        rows = self._all(
            "SELECT seq, dotted, bytes FROM runs WHERE state = 'pending' AND dotted > ?"
            " ORDER BY dotted LIMIT ?",
            (after, _PAGE),
        )
        return [Pending(*row) for row in rows]

    def runs(self, pending: Sequence[Pending]) -> list[dict[str, Any]]:
        """These runs as they are sent, but for their project."""
        marks = ", ".join("?" * len(pending))
        rows = self._all(
            f"SELECT r.seq, r.parent, r.start_us, r.end_us, r.dotted, b.head, {_RAW}"  # noqa: S608 - marks
            f" FROM runs r JOIN bodies b USING (seq) WHERE r.seq IN ({marks})",
            tuple(each.seq for each in pending),
        )
        if self._shift_us is None:
            self._shift_us = int(self.fact("shift_us"))
        shift = self._shift_us
        by_seq = {row[0]: sent_run(row, shift) for row in rows}
        return [by_seq[each.seq] for each in pending]

    def mark_sent(self, pending: Sequence[Pending]) -> None:
        """Note that these were acknowledged."""
        marks = ", ".join("?" * len(pending))
        self._execute(
            f"UPDATE runs SET state = 'sent', reason = NULL WHERE seq IN ({marks})",  # noqa: S608 - marks
            [each.seq for each in pending],
        )

    def mark_dead(self, pending: Pending, reason: str) -> None:
        """Note that this one is refused."""
        self._execute(
            "UPDATE runs SET state = 'dead', reason = ? WHERE seq = ?", (reason, pending.seq)
        )

    def revive(self, state: State) -> int:
        """Send again what is in this state; how many. Runs that cannot be sent stay dead."""
        return self._execute(
            "UPDATE runs SET state = 'pending', reason = NULL WHERE state = ?"
            " AND dotted IS NOT NULL",
            (state,),
        )

    def revive_missing(self, held: Iterable[str]) -> int:
        """Send again what was acknowledged and is not among `held`; how many."""
        self._execute("CREATE TEMP TABLE IF NOT EXISTS held (id TEXT PRIMARY KEY) WITHOUT ROWID")
        self._execute("DELETE FROM held")
        self._many("INSERT OR IGNORE INTO held VALUES (?)", ((each,) for each in held))
        return self._execute(
            "UPDATE runs SET state = 'pending', reason = 'acknowledged, not found'"
            " WHERE state = 'sent' AND substr(dotted, -36) NOT IN (SELECT id FROM held)"
        )

    def times(self) -> tuple[datetime, datetime] | None:
        """Shifted start of the first and the last run; None if there is nothing to send."""
        row = self._one("SELECT min(start_us), max(start_us) FROM runs WHERE dotted IS NOT NULL")
        if row is None or row[0] is None:
            return None
        shift = int(self.fact("shift_us"))
        return moment(row[0] + shift), moment(row[1] + shift)

    def counts(self) -> Counts:
        """How the upload stands."""
        row = self._one(
            "SELECT count(*), coalesce(sum(depth = 0), 0), coalesce(sum(state = 'sent'), 0),"
            " coalesce(sum(depth = 0 AND state = 'sent'), 0), coalesce(sum(state = 'dead'), 0),"
            " coalesce(sum(depth = 0 AND parent IS NOT NULL), 0) FROM runs"
        )
        late = self._one(
            "SELECT count(*) FROM runs r JOIN runs p ON p.old_id = r.parent WHERE p.seq > r.seq"
        )
        assert row is not None  # noqa: S101 - an aggregate has a row
        assert late is not None  # noqa: S101
        runs, traces, sent, sent_traces, dead, orphans = row
        return Counts(
            runs=runs,
            traces=traces,
            sent=sent,
            sent_traces=sent_traces,
            dead=dead,
            orphans=orphans,
            repeated=int(self.fact("repeated") or 0),
            children_first=late[0],
        )

    def dead_letters(self) -> Iterator[DeadLetter]:
        """The runs that are not sent."""
        for old_id, reason, head, *raw in self._all(
            f"SELECT r.old_id, r.reason, b.head, {_RAW} FROM runs r JOIN bodies b USING (seq)"  # noqa: S608 - columns
            " WHERE r.state = 'dead' ORDER BY r.seq"
        ):
            yield DeadLetter(old_id, reason, letter_of(head, raw))

    def forget_bodies(self) -> None:
        """Delete the content of what was acknowledged; ids and states stay."""
        self._execute("DELETE FROM bodies WHERE seq IN (SELECT seq FROM runs WHERE state = 'sent')")

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
