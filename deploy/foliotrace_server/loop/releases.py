"""Answers each question by its caller's release, and takes a canary that is worse out again."""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Mapping
from contextvars import Context, copy_context
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

import structlog

from foliotrace.errors import FoliotraceError
from foliotrace.model import Answer
from foliotrace.query.pipeline import answer_question
from foliotrace.query.services import QueryServices
from foliotrace.query.workflow import AskQuestion
from foliotrace_loop.queues import is_sampled
from foliotrace_loop.releases.rollout import BASE, Rollout, Rollouts
from foliotrace_loop.releases.watch import (
    SIGNIFICANT_WATCHED_ALL_DAY,
    Decision,
    ReleaseFigures,
    Watched,
    WatchLimits,
    watch,
)
from foliotrace_loop.runs.windows import percentile
from foliotrace_otel import separate_trace
from foliotrace_server.http.identity import caller, is_forwarded
from foliotrace_server.loop.online import OnlineEvaluation, sample_id

FOLLOW_EVERY_S: Final = 2.0
JUDGE_EVERY_S: Final = 30.0
SHADOW: Final = "shadow"
"""The project of the runs of a shadow, so that figures of production leave them out."""
_LATEST: Final = 10_000  # durations kept for a percentile
_MAX_SHADOWS: Final = 100  # that wait; further answers are not repeated
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Seen:
    """What a release did in this process since the rollout last changed."""

    runs: int = 0
    errors: int = 0
    degraded: int = 0
    cost_usd: Decimal = Decimal(0)
    elapsed_ms: deque[float] = field(default_factory=lambda: deque(maxlen=_LATEST))
    costs_usd: deque[Decimal] = field(default_factory=lambda: deque(maxlen=_LATEST))

    def above(self, slow_ms: float | None, dear_usd: Decimal | None) -> tuple[int, int]:
        """How many of the latest answers took longer, and how many cost more."""
        slow = 0 if slow_ms is None else sum(each > slow_ms for each in self.elapsed_ms)
        return slow, 0 if dear_usd is None else sum(each > dear_usd for each in self.costs_usd)

    def figures(self, release: str) -> ReleaseFigures:
        return ReleaseFigures(
            release=release,
            runs=self.runs,
            errors=self.errors,
            degraded=self.degraded,
            rated=0,
            bad=0,
            p95_ms=percentile(sorted(self.elapsed_ms), 0.95),
            cost_per_run_usd=self.cost_usd / self.runs if self.runs else None,
        )


class ReleaseRouter:
    """Implements the query workflow's `Releases`. `services` are by release, the base included."""

    def __init__(
        self,
        services: Mapping[str, QueryServices],
        *,
        online: OnlineEvaluation | None = None,
        automatic_rollback: bool = True,
        limits: WatchLimits | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._services = services
        self._online = online
        self._automatic = automatic_rollback
        self._limits = limits or WatchLimits(significance=SIGNIFICANT_WATCHED_ALL_DAY)
        self._now = now
        self._rollout = Rollout()
        self._seen: dict[str, _Seen] = {}
        self._shadows: asyncio.Queue[tuple[Context, AskQuestion]] = asyncio.Queue(_MAX_SHADOWS)
        self.shadows_dropped = 0

    @property
    def rollout(self) -> Rollout:
        """The rollout that is followed."""
        return self._rollout

    def follow(self, rollout: Rollout) -> None:
        """Answer by this rollout from now on."""
        if rollout != self._rollout:
            self._rollout, self._seen = rollout, {}
            _log.info(
                "release.changed",
                stable=rollout.stable,
                canary=rollout.canary,
                share=rollout.share,
                shadow=rollout.shadow,
                why=rollout.why,
            )

    def services_for(self, question: AskQuestion) -> QueryServices:
        """The services of the release that answers this caller and user."""
        principal = caller()
        user = question.user_id or question.session_id or principal.subject
        release = self._rollout.release_of(principal.tenant, user)
        # A release that was taken out of the settings answers nobody.
        services = self._services.get(release) or self._services[BASE]
        # What was forwarded once is answered here, or two services could send it to and fro.
        return self._services[BASE] if services.second_service and is_forwarded() else services

    def ended(
        self,
        question: AskQuestion,
        release: str,
        outcome: Answer | BaseException,
        elapsed_ms: float,
    ) -> None:
        """Count the outcome; let an answer be rated, and repeated by the shadow."""
        if isinstance(outcome, FoliotraceError) and outcome.callers_fault:
            return
        seen = self._seen.setdefault(release, _Seen())
        seen.runs += 1
        if not isinstance(outcome, Answer):
            seen.errors += not isinstance(outcome, asyncio.CancelledError)
            return
        seen.elapsed_ms.append(elapsed_ms)
        seen.degraded += outcome.degradation.level > 0
        seen.cost_usd += outcome.usage.cost_usd
        seen.costs_usd.append(outcome.usage.cost_usd)
        if self._online is not None:
            self._online.consider(question, outcome, caller())
        shadow = self._rollout.shadow
        if shadow in self._services and is_sampled(sample_id(outcome), self._rollout.shadow_share):
            try:
                self._shadows.put_nowait((copy_context(), question))
            except asyncio.QueueFull:
                self.shadows_dropped += 1

    def judge(self) -> Watched | None:
        """Whether the canary is worse, by what this process saw; None without a canary."""
        rollout = self._rollout
        if rollout.canary is None:
            return None
        seen = [self._seen.get(name, _Seen()) for name in (rollout.stable, rollout.canary)]
        stable, canary = seen[0].figures(rollout.stable), seen[1].figures(rollout.canary)
        above = self._limits.factor_limits(stable.p95_ms, stable.cost_per_run_usd)
        stable, canary = (
            replace(figures, slow=slow, dear=dear, measured=len(each.elapsed_ms))
            for figures, each in zip((stable, canary), seen, strict=True)
            for slow, dear in (each.above(*above),)
        )
        began = datetime.fromisoformat(rollout.changed_at) if rollout.changed_at else self._now()
        return watch(stable, canary, self._now() - began, self._limits)

    async def run(self, rollouts: Rollouts) -> None:
        """Follow the stored rollout, judge the canary, answer for the shadow; until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow(rollouts))
            tasks.create_task(self._answer_in_the_shadow())

    async def _follow(self, rollouts: Rollouts) -> None:
        judged_s = 0.0
        loop = asyncio.get_running_loop()
        while True:
            try:
                self.follow(await asyncio.to_thread(rollouts.current))
                if self._automatic and loop.time() - judged_s >= JUDGE_EVERY_S:
                    judged_s = loop.time()
                    await self._roll_back_if_worse(rollouts)
            except sqlite3.Error as error:
                _log.warning("release.unreadable", error=type(error).__name__)
            await asyncio.sleep(FOLLOW_EVERY_S)

    async def _roll_back_if_worse(self, rollouts: Rollouts) -> None:
        watched = self.judge()
        if watched is None or watched.decision is not Decision.ROLL_BACK:
            return
        why = "; ".join(watched.reasons)
        back = self._rollout.rolled_back(why, self._now())
        self.follow(
            await asyncio.to_thread(lambda: rollouts.change(back, why=why, now=self._now()))
        )
        _log.warning("release.rolled_back", release=watched.candidate.release, why=why)

    async def _answer_in_the_shadow(self) -> None:
        """One at a time: a shadow must not slow down what people wait for."""
        while True:
            context, question = await self._shadows.get()
            release = self._rollout.shadow
            if release is None or release not in self._services:
                continue
            services = without_side_effects(self._services[release])
            task = asyncio.get_running_loop().create_task(
                _repeat(services, question), context=context
            )
            try:
                await task
            except FoliotraceError as error:
                _log.info("release.shadow_failed", release=release, code=error.error_code)


async def _repeat(services: QueryServices, question: AskQuestion) -> None:
    repeated = question.model_copy(
        update={"bypass_cache": True, "metadata": {**question.metadata, "project": SHADOW}}
    )
    with separate_trace():
        await answer_question(services, repeated)


def without_side_effects(services: QueryServices) -> QueryServices:
    """The same, with nothing that a later question could get; its run and record are kept."""
    return replace(services, cache=None, stale=None)
