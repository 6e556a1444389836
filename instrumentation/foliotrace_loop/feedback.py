"""Feedback on a run: one rating for each run, key and person; sent again, it replaces itself."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID, uuid5

FEEDBACK_KEY: Final = r"^[A-Za-z][A-Za-z0-9_.-]{0,63}$"
_NAMESPACE: Final = UUID("5f3b3f0e-6d8d-4d0e-9d5b-0c8c4a1c7c11")


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackView:
    """A rating of a run."""

    id: str
    run_id: str
    trace_id: str | None
    key: str
    score: float | None
    value: str | float | bool | None
    comment: str | None
    source: str = field(metadata={"description": "`api`, `online` or `review`."})
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback(FeedbackView):
    """A rating with its owner."""

    tenant: str
    subject: str


def feedback_of(
    *,
    tenant: str,
    subject: str,
    run_id: str,
    trace_id: str | None,
    key: str,
    score: float | None,
    value: str | float | bool | None = None,
    comment: str | None = None,
    source: str,
    now: datetime,
) -> Feedback:
    """A rating whose id follows from run, key, person and source, so that it can be sent again."""
    return Feedback(
        id=str(uuid5(_NAMESPACE, "\n".join((tenant, run_id, key, subject, source)))),
        tenant=tenant,
        subject=subject,
        run_id=run_id,
        trace_id=trace_id,
        key=key,
        score=score,
        value=value,
        comment=comment,
        source=source,
        created_at=now,
        updated_at=now,
    )
