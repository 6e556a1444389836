"""Rates answers of production after they were sent: a share, and all that went badly."""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import structlog

from foliotrace.errors import FoliotraceError, NotFound
from foliotrace.events import FeedbackReceived, emit, stage
from foliotrace.model import Answer, Principal, Run
from foliotrace.ports import Runs
from foliotrace.query.workflow import AskQuestion
from foliotrace_loop.evaluators.judge import JudgeEvaluator
from foliotrace_loop.evaluators.registry import Evaluators
from foliotrace_loop.feedback import feedback_of
from foliotrace_loop.ports import Evaluator, Judge, LoopError
from foliotrace_loop.queues import is_sampled
from foliotrace_loop.shapes import Outcome, Row
from foliotrace_loop.store import LoopStore
from foliotrace_otel import separate_trace
from foliotrace_server.loop.grounding import AnswerGrounding
from foliotrace_server.loop.settings import OnlineSettings

ONLINE: Final = "online"
BAD_SCORE: Final = 0.5
_NO_REFERENCE: Final = Row(id=ONLINE, inputs={}, reference_outputs={})
_RUN_WITHIN_S: Final = 5.0  # a run is stored in the background, soon after its answer
_log = structlog.get_logger(__name__)


def sample_id(answer: Answer) -> str:
    """32 hexadecimal digits that say whether the answer is in a sample."""
    return answer.trace_id or sha256(answer.run_id.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    """A run to rate. Without an answer, what the run has kept of it is rated."""

    tenant: str
    run_id: str
    query: str | None = None
    answer: Answer | None = None


class OnlineEvaluation:
    """Answers wait here, in memory, until they are rated; what is stored holds no text."""

    def __init__(
        self,
        settings: OnlineSettings,
        runs: Runs,
        store: LoopStore,
        *,
        judge: Judge | None = None,
        calibrations: Path | None = None,
    ) -> None:
        known = Evaluators(
            grounding=AnswerGrounding(), judge=judge, calibrations=calibrations
        ).known
        if unknown := [name for name in settings.evaluators if name not in known]:
            raise LoopError(f"online.evaluators: there is no {unknown[0]}; known: {sorted(known)}")
        self._evaluators: Sequence[Evaluator] = [known[name] for name in settings.evaluators]
        for each in self._evaluators:
            if isinstance(each, JudgeEvaluator) and each.disabled is not None:
                _log.warning("online.judge_disabled", evaluator=each.key, why=each.disabled)
        self._share = settings.share
        self._runs = runs
        self._store = store
        self._waiting: asyncio.Queue[_Waiting] = asyncio.Queue(settings.max_waiting)
        self.dropped = 0

    def consider(self, question: AskQuestion, answer: Answer, principal: Principal) -> None:
        """Let the answer wait if it is in the sample, or degraded; never waits itself."""
        sampled = is_sampled(sample_id(answer), self._share)
        if sampled or answer.degradation.level > 0:
            self._put(
                _Waiting(
                    tenant=principal.tenant,
                    run_id=answer.run_id,
                    query=question.query,
                    answer=answer,
                )
            )

    def consider_failed(self, run: Run) -> None:
        """Let a run that ended in an error wait; every one is rated."""
        if run.error is not None:
            self._put(_Waiting(tenant=run.tenant, run_id=run.id))

    def consider_rated(self, run: Run, score: float | None) -> None:
        """Let a run that somebody rated badly wait."""
        if score is not None and score <= BAD_SCORE:
            self._put(_Waiting(tenant=run.tenant, run_id=run.id))

    def _put(self, waiting: _Waiting) -> None:
        try:
            self._waiting.put_nowait(waiting)
        except asyncio.QueueFull:
            self.dropped += 1

    async def run(self) -> None:
        """Rate what waits, one answer at a time, until cancelled."""
        while True:
            waiting = await self._waiting.get()
            try:
                await self._rate(waiting)
            except (FoliotraceError, sqlite3.Error) as error:
                _log.warning("online.not_rated", error=type(error).__name__)

    async def settle(self) -> None:
        """Rate everything that waits now."""
        while not self._waiting.empty():
            await self._rate(self._waiting.get_nowait())

    async def _stored(self, tenant: str, run_id: str) -> Run:
        """The run, once it is stored. Raises NotFound."""
        until_s = asyncio.get_running_loop().time() + _RUN_WITHIN_S
        while True:
            try:
                return await self._runs.run(tenant, run_id)
            except NotFound:
                if asyncio.get_running_loop().time() > until_s:
                    raise
            await asyncio.sleep(0.05)

    async def _rate(self, waiting: _Waiting) -> None:
        run = await self._stored(waiting.tenant, waiting.run_id)
        outcome = _outcome(run, waiting)
        for evaluator in self._evaluators:
            try:
                score = await evaluator.evaluate(outcome, _NO_REFERENCE)
            except LoopError as error:  # a judge without model or budget; the others go on
                _log.warning("online.not_rated", evaluator=evaluator.key, error=str(error))
                continue
            if score.score is not None:
                await self._keep(run, score.key, score.score)

    async def _keep(self, run: Run, key: str, score: float) -> None:
        rating = feedback_of(
            tenant=run.tenant,
            subject=ONLINE,
            run_id=run.id,
            trace_id=run.trace_id,
            key=key,
            score=score,
            source=ONLINE,
            now=datetime.now(UTC),
        )
        await asyncio.to_thread(self._store.save_feedback, rating)
        with separate_trace(), stage("feedback"):
            emit(FeedbackReceived(run_id=run.id, key=key, score=score, origin=run.traceparent))


class RunsWithFailures:
    """Stores runs as `inner` does, and passes on those that ended in an error."""

    def __init__(self, inner: Runs, on_failed: Callable[[Run], None]) -> None:
        self._inner = inner
        self._on_failed = on_failed

    async def save(self, run: Run) -> None:
        """Store, then pass on."""
        await self._inner.save(run)
        if run.error is not None:
            self._on_failed(run)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the store has
        return getattr(self._inner, name)


def _outcome(run: Run, waiting: _Waiting) -> Outcome:
    answer = waiting.answer
    citations = answer.citations if answer is not None else run.citations
    return Outcome(
        id=run.id,
        inputs={"query": waiting.query or run.query_text or ""},
        outputs={
            "answer": answer.text if answer is not None else run.answer_text,
            "answer_mode": run.degradation.answer.value,
            "citations": [{"quote": each.quote} for each in citations],
            "degradation": {
                "level": int(run.degradation.level),
                "reasons": list(run.degradation.reasons),
            },
        },
        error=run.error,
        elapsed_ms=run.elapsed_ms,
        cost_usd=run.usage.cost_usd,
        tokens=run.usage.total_tokens,
        trace_id=run.trace_id,
    )
