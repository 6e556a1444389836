"""Annotation queues: runs that people should look at, leased to reviewers, until enough have."""

import json
import re
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from foliotrace_loop.agreement import Agreement, agreement_of
from foliotrace_loop.ports import LoopError
from foliotrace_loop.store import LoopStore

QUEUE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
NEEDS_REVIEW: Final = "needs_review"
LEASE: Final = timedelta(minutes=30)


class QueueReason(StrEnum):
    """Why a run is in a queue; the first that holds."""

    LOW_SCORE = "low_score"
    NEEDS_REVIEW = "needs_review"
    DEGRADED = "degraded"
    SAMPLED = "sampled"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRules:
    """Which runs belong into a queue."""

    score_at_most: float | None = field(
        default=0.5, metadata={"description": "Rated so low by anyone; null: ratings do not count."}
    )
    key: str | None = field(
        default=None, metadata={"description": "Only ratings of this key count."}
    )
    needs_review: bool = field(
        default=True,
        metadata={"description": "Runs tagged `needs_review`, or whose metadata say so."},
    )
    degraded: bool = field(default=True, metadata={"description": "Runs of level 1 and more."})
    sample: float = field(
        default=0.0, metadata={"description": "Share of all other runs, by trace id."}
    )

    def reason(self, run: Mapping[str, Any]) -> QueueReason | None:
        """Why a run, under the names of the filter grammar, belongs into the queue."""
        if self.score_at_most is not None and any(
            each["score"] is not None
            and each["score"] <= self.score_at_most
            and self.key in (None, each["key"])
            for each in run["feedback"]
        ):
            return QueueReason.LOW_SCORE
        marked = NEEDS_REVIEW in run["tags"] or run["metadata"].get(NEEDS_REVIEW) is True
        if self.needs_review and marked:
            return QueueReason.NEEDS_REVIEW
        if self.degraded and run["level"] > 0:
            return QueueReason.DEGRADED
        return QueueReason.SAMPLED if is_sampled(run["trace_id"], self.sample) else None


def is_sampled(trace_id: str | None, share: float) -> bool:
    """Whether a trace is in the sample: the same for everybody who asks.

    By its last 56 bits, which W3C wants random, as OpenTelemetry's samplers do.
    """
    if trace_id is None or share <= 0:
        return False
    return int(trace_id[-14:], 16) < share * 2**56


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What one person says about a run."""

    reviewer: str
    label: str
    comment: str | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueItem:
    """A run in a queue. `done` when enough people have reviewed it."""

    run_id: str
    trace_id: str | None
    reason: str
    added_at: datetime
    reviews: tuple[Review, ...]
    done: bool
    accepted_as: str | None = field(metadata={"description": "Id of the dataset row it became."})
    leased_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueView:
    """A queue."""

    name: str
    reviewers: int = field(metadata={"description": "Reviews that an item needs."})
    rules: QueueRules
    created_at: datetime


class Queues:
    """The queues of all tenants. Methods raise LoopError for an unknown queue or run."""

    def __init__(self, store: LoopStore) -> None:
        self._store = store

    def create(
        self, tenant: str, name: str, rules: QueueRules, *, reviewers: int, now: datetime
    ) -> QueueView:
        """Create a queue, or change the rules of the one with this name."""
        if not QUEUE_NAME.fullmatch(name):
            raise LoopError("a queue is named with letters, digits, _ . and -")
        row = (tenant, name, reviewers, json.dumps(asdict(rules)), now.isoformat())
        self._store.write(
            lambda c: c.execute(
                "INSERT INTO queues VALUES (?, ?, ?, ?, ?) ON CONFLICT (tenant, name) DO UPDATE"
                " SET reviewers = excluded.reviewers, rules = excluded.rules",
                row,
            )
        )
        return self.queue(tenant, name)

    def queue(self, tenant: str, name: str) -> QueueView:
        """One queue."""
        found = [each for each in self.queues(tenant) if each.name == name]
        if not found:
            raise LoopError(f"there is no queue {name}")
        return found[0]

    def queues(self, tenant: str) -> Sequence[QueueView]:
        """All queues of a tenant."""
        rows = self._store.rows(
            "SELECT name, reviewers, rules, created_at FROM queues WHERE tenant = ? ORDER BY name",
            (tenant,),
        )
        return [
            QueueView(
                name=name,
                reviewers=reviewers,
                rules=QueueRules(**json.loads(rules)),
                created_at=datetime.fromisoformat(created_at),
            )
            for name, reviewers, rules, created_at in rows
        ]

    def fill(
        self, tenant: str, name: str, runs: Iterable[Mapping[str, Any]], *, now: datetime
    ) -> int:
        """Add the runs that the rules name and that are not in it; how many are new."""
        rules = self.queue(tenant, name).rules
        rows = [
            (tenant, name, run["id"], run["trace_id"], reason, now.isoformat())
            for run in runs
            if (reason := rules.reason(run)) is not None
        ]
        return self._store.write(
            lambda c: (
                c.executemany(
                    "INSERT OR IGNORE INTO queue_items"
                    " (tenant, queue, run_id, trace_id, reason, added_at)"
                    " VALUES (?, ?, ?, ?, ?, ?)",
                    rows,
                ).rowcount
            )
        )

    def lease(
        self, tenant: str, name: str, reviewer: str, *, now: datetime, lasting: timedelta = LEASE
    ) -> QueueItem | None:
        """The oldest item that still needs this reviewer, leased to them; None if there is none.

        As many people hold an item at once as it still needs reviews. A reviewer who asks again
        gets the item they hold.
        """
        needed = self.queue(tenant, name).reviewers
        until = (now + lasting).isoformat()

        def take(connection: sqlite3.Connection) -> str | None:
            connection.execute(
                "DELETE FROM leases WHERE tenant = ? AND queue = ? AND until <= ?",
                (tenant, name, now.isoformat()),
            )
            found = connection.execute(
                "SELECT i.run_id FROM queue_items i"
                " LEFT JOIN leases mine ON (mine.tenant, mine.queue, mine.run_id, mine.reviewer)"
                "   = (i.tenant, i.queue, i.run_id, :reviewer)"
                " WHERE i.tenant = :tenant AND i.queue = :queue AND i.accepted_as IS NULL"
                " AND NOT EXISTS (SELECT 1 FROM reviews r WHERE (r.tenant, r.queue, r.run_id,"
                "   r.reviewer) = (i.tenant, i.queue, i.run_id, :reviewer))"
                " AND (mine.run_id IS NOT NULL OR :needed >"
                "   (SELECT count(*) FROM reviews r WHERE (r.tenant, r.queue, r.run_id)"
                "     = (i.tenant, i.queue, i.run_id))"
                "   + (SELECT count(*) FROM leases l WHERE (l.tenant, l.queue, l.run_id)"
                "     = (i.tenant, i.queue, i.run_id)))"
                " ORDER BY mine.run_id IS NULL, i.added_at, i.run_id LIMIT 1",
                {"tenant": tenant, "queue": name, "reviewer": reviewer, "needed": needed},
            ).fetchone()
            if found is None:
                return None
            connection.execute(
                "INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?, ?)",
                (tenant, name, found[0], reviewer, until),
            )
            return str(found[0])

        run_id = self._store.write(take)
        if run_id is None:
            return None
        (item,) = (each for each in self.items(tenant, name) if each.run_id == run_id)
        return QueueItem(
            **{**_plain(item), "leased_until": now + lasting},
        )

    def review(
        self,
        tenant: str,
        name: str,
        run_id: str,
        *,
        reviewer: str,
        label: str,
        comment: str | None,
        now: datetime,
    ) -> QueueItem:
        """Record a review and end the lease; the same reviewer's replaces the one before.

        Raises LoopError where others have completed the item after this reviewer's lease ended.
        """
        needed = self.queue(tenant, name).reviewers
        place = (tenant, name, run_id)

        def record(connection: sqlite3.Connection) -> None:
            if not connection.execute(
                "SELECT 1 FROM queue_items WHERE (tenant, queue, run_id) = (?, ?, ?)", place
            ).fetchone():
                raise LoopError(f"run {run_id} is not in queue {name}")
            (others,) = connection.execute(
                "SELECT count(*) FROM reviews WHERE (tenant, queue, run_id) = (?, ?, ?)"
                " AND reviewer <> ?",
                (*place, reviewer),
            ).fetchone()
            if others >= needed:
                raise LoopError(f"run {run_id} has its {needed} reviews already")
            connection.execute(
                "INSERT OR REPLACE INTO reviews VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*place, reviewer, label, comment, now.isoformat()),
            )
            connection.execute(
                "DELETE FROM leases WHERE (tenant, queue, run_id, reviewer) = (?, ?, ?, ?)",
                (*place, reviewer),
            )

        self._store.write(record)
        (item,) = (each for each in self.items(tenant, name) if each.run_id == run_id)
        return item

    def items(self, tenant: str, name: str) -> Sequence[QueueItem]:
        """The items of a queue, oldest first."""
        needed = self.queue(tenant, name).reviewers
        reviews: dict[str, list[Review]] = {}
        for run_id, reviewer, label, comment, at in self._store.rows(
            "SELECT run_id, reviewer, label, comment, at FROM reviews"
            " WHERE tenant = ? AND queue = ? ORDER BY at, reviewer",
            (tenant, name),
        ):
            moment = datetime.fromisoformat(at)
            review = Review(reviewer=reviewer, label=label, comment=comment, at=moment)
            reviews.setdefault(run_id, []).append(review)
        rows = self._store.rows(
            "SELECT run_id, trace_id, reason, added_at, accepted_as FROM queue_items"
            " WHERE tenant = ? AND queue = ? ORDER BY added_at, run_id",
            (tenant, name),
        )
        return [
            QueueItem(
                run_id=run_id,
                trace_id=trace_id,
                reason=reason,
                added_at=datetime.fromisoformat(added_at),
                reviews=tuple(reviews.get(run_id, ())),
                done=len(reviews.get(run_id, ())) >= needed,
                accepted_as=accepted_as,
            )
            for run_id, trace_id, reason, added_at, accepted_as in rows
        ]

    def accept(self, tenant: str, name: str, run_id: str, row_id: str) -> None:
        """Record that an item became a dataset row; nobody is asked to review it any more."""
        changed = self._store.write(
            lambda c: (
                c.execute(
                    "UPDATE queue_items SET accepted_as = ?"
                    " WHERE (tenant, queue, run_id) = (?, ?, ?)",
                    (row_id, tenant, name, run_id),
                ).rowcount
            )
        )
        if not changed:
            raise LoopError(f"run {run_id} is not in queue {name}")

    def agreement(self, tenant: str, name: str) -> Agreement:
        """How far the reviewers agree."""
        needed = self.queue(tenant, name).reviewers
        return agreement_of(
            [
                {review.reviewer: review.label for review in item.reviews}
                for item in self.items(tenant, name)
                if len(item.reviews) >= max(2, needed)
            ]
        )


def _plain(item: QueueItem) -> dict[str, Any]:
    return {name: getattr(item, name) for name in QueueItem.__dataclass_fields__}
