"""Rates a share of the answers in production by rules, after they were sent."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

import structlog

from foliotrace.errors import FoliotraceError, NotFound
from foliotrace.events import FeedbackReceived, emit, stage
from foliotrace.model import Answer, Principal, Run
from foliotrace.ports import Runs
from foliotrace.query.workflow import AskQuestion
from foliotrace_loop.evaluators.registry import Evaluators
from foliotrace_loop.feedback import feedback_of
from foliotrace_loop.ports import Evaluator, LoopError
from foliotrace_loop.queues import is_sampled
from foliotrace_loop.shapes import Outcome, Row
from foliotrace_loop.store import LoopStore
from foliotrace_otel import separate_trace
from foliotrace_server.loop.settings import OnlineSettings

ONLINE: Final = "online"
_NO_REFERENCE: Final = Row(id=ONLINE, inputs={}, reference_outputs={})
_RUN_WITHIN_S: Final = 5.0  # a run is stored in the background, soon after its answer
_log = structlog.get_logger(__name__)


def sample_id(answer: Answer) -> str:
    """32 hexadecimal digits that say whether the answer is in a sample."""
    return answer.trace_id or sha256(answer.run_id.encode()).hexdigest()[:32]


class OnlineEvaluation:
    """Answers wait here, in memory, until they are rated; what is stored holds no text."""

    def __init__(self, settings: OnlineSettings, runs: Runs, store: LoopStore) -> None:
        known = Evaluators().known
        if unknown := [name for name in settings.evaluators if name not in known]:
            raise LoopError(f"online.evaluators: there is no {unknown[0]}; known: {sorted(known)}")
        self._evaluators: Sequence[Evaluator] = [known[name] for name in settings.evaluators]
        self._share = settings.share
        self._runs = runs
        self._store = store
        self._waiting: asyncio.Queue[tuple[AskQuestion, Answer, Principal]] = asyncio.Queue(
            settings.max_waiting
        )
        self.dropped = 0

    def consider(self, question: AskQuestion, answer: Answer, principal: Principal) -> None:
        """Let the answer wait if it is in the sample, or degraded; never waits itself."""
        sampled = is_sampled(sample_id(answer), self._share)
        if not sampled and answer.degradation.level == 0:
            return
        try:
            self._waiting.put_nowait((question, answer, principal))
        except asyncio.QueueFull:
            self.dropped += 1

    async def run(self) -> None:
        """Rate what waits, one answer at a time, until cancelled."""
        while True:
            question, answer, principal = await self._waiting.get()
            try:
                await self._rate(question, answer, principal)
            except (FoliotraceError, LoopError) as error:
                _log.warning("online.not_rated", error=type(error).__name__)

    async def settle(self) -> None:
        """Rate everything that waits now."""
        while not self._waiting.empty():
            await self._rate(*self._waiting.get_nowait())

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

    async def _rate(self, question: AskQuestion, answer: Answer, principal: Principal) -> None:
        run = await self._stored(principal.tenant, answer.run_id)
        outcome = Outcome(
            id=run.id,
            inputs={"query": question.query},
            outputs={
                "answer": answer.text,
                "answer_mode": answer.degradation.answer.value,
                "citations": [{"quote": each.quote} for each in answer.citations],
                "degradation": {"level": int(answer.degradation.level)},
            },
            elapsed_ms=run.elapsed_ms,
            cost_usd=answer.usage.cost_usd,
            tokens=answer.usage.total_tokens,
            trace_id=run.trace_id,
        )
        for evaluator in self._evaluators:
            score = await evaluator.evaluate(outcome, _NO_REFERENCE)
            if score.score is None:
                continue
            rating = feedback_of(
                tenant=run.tenant,
                subject=ONLINE,
                run_id=run.id,
                trace_id=run.trace_id,
                key=score.key,
                score=score.score,
                source=ONLINE,
                now=datetime.now(UTC),
            )
            await asyncio.to_thread(self._store.save_feedback, rating)
            with separate_trace(), stage("feedback"):
                emit(
                    FeedbackReceived(
                        run_id=run.id, key=score.key, score=score.score, origin=run.traceparent
                    )
                )
