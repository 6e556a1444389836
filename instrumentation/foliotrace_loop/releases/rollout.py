"""Which release answers which caller: all of them, a share, some tenants, or only in its shadow."""

import json
import sqlite3
from collections.abc import Collection
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from typing import Final

from foliotrace_loop.ports import LoopError
from foliotrace_loop.store import LoopStore

BASE: Final = "base"
"""The settings as they stand, without the changes of a release."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """`stable` answers; `canary` answers its share of users and its tenants; `shadow` nobody.

    Blue-green is a canary of share 1 that `promoted` makes stable, or `rolled_back` removes.
    """

    stable: str = BASE
    canary: str | None = None
    share: float = 0.0
    tenants: tuple[str, ...] = ()
    shadow: str | None = None
    shadow_share: float = field(
        default=1.0, metadata={"description": "Share of answers that the shadow repeats."}
    )
    changed_at: str = ""
    why: str = ""

    def release_of(self, tenant: str, user: str) -> str:
        """The release that answers this user: always the same one while the share only grows."""
        if self.canary is None:
            return self.stable
        if tenant in self.tenants or _place(self.canary, tenant, user) < self.share:
            return self.canary
        return self.stable

    def promoted(self, why: str, now: datetime) -> "Rollout":
        """The canary answers everybody. Raises LoopError without a canary."""
        if self.canary is None:
            raise LoopError("there is no canary to promote; set one first")
        return Rollout(stable=self.canary, changed_at=now.isoformat(), why=why)

    def rolled_back(self, why: str, now: datetime) -> "Rollout":
        """Canary and shadow answer nobody."""
        return Rollout(stable=self.stable, changed_at=now.isoformat(), why=why)


def _place(release: str, tenant: str, user: str) -> float:
    """Where a user stands in [0, 1): even, and independent between releases."""
    digest = sha256("\0".join((release, tenant, user)).encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def check(rollout: Rollout, releases: Collection[str]) -> None:
    """Raise LoopError if the rollout names a release that the settings do not have."""
    known = {BASE, *releases}
    for name in (rollout.stable, rollout.canary, rollout.shadow):
        if name is not None and name not in known:
            raise LoopError(f"there is no release {name}; the settings have {sorted(known)}")
    if rollout.canary == rollout.stable:
        raise LoopError(f"{rollout.stable} is stable already; a canary is another release")
    if not (0 <= rollout.share <= 1 and 0 <= rollout.shadow_share <= 1):
        raise LoopError("a share is between 0 and 1")


class Rollouts:
    """The rollout of a data folder, and every one before it."""

    def __init__(self, store: LoopStore) -> None:
        self._store = store

    def current(self) -> Rollout:
        """The newest rollout; the base release alone if there never was one."""
        return next(iter(self.history(limit=1)), Rollout())

    def history(self, *, limit: int = 20) -> list[Rollout]:
        """Rollouts, newest first."""
        rows = self._store.rows("SELECT rollout FROM rollouts ORDER BY id DESC LIMIT ?", (limit,))
        return [_read(text) for (text,) in rows]

    def change(self, rollout: Rollout, *, why: str, now: datetime) -> Rollout:
        """Store a rollout; a running server follows it within seconds."""
        changed = replace(rollout, changed_at=now.isoformat(), why=why)

        def save(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO rollouts (rollout) VALUES (?)", (json.dumps(asdict(changed)),)
            )

        self._store.write(save)
        return changed


def _read(text: str) -> Rollout:
    values = json.loads(text)
    return Rollout(**{**values, "tenants": tuple(values["tenants"])})
