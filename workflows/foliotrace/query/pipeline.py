"""A question through its stages, in order: validate, cache, retrieve, synthesize, ground.

The audit log is called before the work and after it, whatever happens in between.
"""

from dataclasses import dataclass, replace
from typing import Final
from uuid import uuid4

from foliotrace.errors import LibraryUnavailable
from foliotrace.events import stage
from foliotrace.model import (
    Answer,
    AnswerMode,
    CacheState,
    Deadline,
    Degradation,
    Level,
    Query,
    RetrievalMode,
)
from foliotrace.query import records
from foliotrace.query.answer import ladder
from foliotrace.query.answer.fallback import stale_answer, template
from foliotrace.query.answer.redaction import sanitize
from foliotrace.query.answer.synthesize import Draft, Screen
from foliotrace.query.cache import answer_cache, keys
from foliotrace.query.retrieve.paths import Retrieval, retrieve
from foliotrace.query.services import QueryServices
from foliotrace.query.validate import Ask, admit, clean
from foliotrace.resilient import QueryBudget, open_budget
from foliotrace.settings import RETRY_AFTER_S

_UNKNOWN_VERSION: Final = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """How a question was asked: whether a kept answer may be given, and who watches."""

    bypass_cache: bool = False
    screen: Screen | None = None


async def answer_question(services: QueryServices, ask: Ask, call: Call) -> Answer:
    """The answer, audited, marked and recorded.

    Raises InvalidQuery, InvalidRequest, AuditUnavailable, and an LLM's error when its stream
    broke after text was shown.
    """
    principal = services.identify()
    run_id = f"run_{uuid4().hex}"
    started_s = services.clock.monotonic_s()
    key_id, query_hash = services.hash_query(principal.tenant, clean(ask.query))
    received = records.received(
        principal, run_id, ask.user_id, key_id=key_id, query_hash=query_hash
    )
    await services.audit.append(received)
    try:
        with stage("validate"):
            query = admit(
                ask,
                principal=principal,
                run_id=run_id,
                query_hash=query_hash,
            )
            services = services.on(ask.path)
        version = await _index_version(services)
        answer = await _answered(services, query, call, version, started_s)
    except BaseException as error:
        await services.audit.append(records.failed(received, error))
        raise
    await services.audit.append(records.completed(received, answer))
    await services.runs.save(
        records.run_of(
            query,
            answer,
            index_version=version,
            code_version=services.code_version,
            keep_content=services.recording.keep_content,
            clock=services.clock,
            started_s=started_s,
        )
    )
    return answer


async def _index_version(services: QueryServices) -> int:
    try:
        version = await services.library.version()
    except LibraryUnavailable:
        return _UNKNOWN_VERSION  # retrieval will say what this means for the answer
    services.synthesis.readings.keep_for(version)
    return version


async def _answered(
    services: QueryServices, query: Query, call: Call, version: int, started_s: float
) -> Answer:
    """A kept answer, or a new one, which is kept where it may be."""
    deadline = Deadline(started_s + services.settings.deadline_s)
    stale_key = keys.stale_key(query, best=services.best, hash_query=services.hash_query)
    place = None
    with open_budget(query.principal.tenant, services.budget.max_cost_per_query_usd) as budget:
        if services.cache is not None and not call.bypass_cache and version != _UNKNOWN_VERSION:
            place = answer_cache.place_of(services, query, stale_key, version)
            with stage("cache"):
                again = await answer_cache.given_again(
                    services, services.cache, query, place, _of_a_stage(services, deadline)
                )
            if again is not None:
                if call.screen is not None:
                    call.screen.show(again.answer.text)
                kept = replace(again.answer, usage=budget.usage)
                return _identified(services, query, kept, again.state)
        made, redacted = await _made(services, query, call, budget, deadline)
        state = CacheState.BYPASS if call.bypass_cache else CacheState.MISS
        answer = _identified(services, query, made, state)
        if keys.may_be_kept(answer, redacted=redacted):
            within = _of_a_stage(services, deadline)
            kept_at = answer_cache.KeptAt(stale_key=stale_key, place=place, version=version)
            await answer_cache.keep(services, query, answer, kept_at, deadline=within)
    return answer


def _of_a_stage(services: QueryServices, deadline: Deadline) -> Deadline:
    """The time that one retrieval path would get."""
    return deadline.capped(services.clock.monotonic_s(), services.settings.retrieval_deadline_s)


def _identified(services: QueryServices, query: Query, answer: Answer, state: CacheState) -> Answer:
    """The answer as this run's, told to observers; one given again is linked to its origin."""
    mine = replace(
        answer,
        cache=state,
        run_id=query.run_id,
        trace_id=services.current_trace(),
        origin=answer.origin or services.current_span(),
    )
    records.emit_answered(mine, origin=answer.origin)
    return mine


async def _made(
    services: QueryServices, query: Query, call: Call, budget: QueryBudget, deadline: Deadline
) -> tuple[Answer, int]:
    """A new answer, and how many personal numbers were taken out of it."""
    settings = services.settings
    with stage("retrieve"):
        found = await retrieve(
            query,
            services.paths,
            clock=services.clock,
            deadline=deadline,
            limit_s=settings.retrieval_deadline_s,
            hedge_s=settings.hedge_after_s,
        )
    if call.screen is not None and found.failures and found.mode is not RetrievalMode.NONE:
        call.screen.degraded(Level.LOWER_PATH, _reasons(found))
    with stage("synthesize"):
        if found.mode is RetrievalMode.NONE:
            draft = await _without_passages(services, query, found, call.screen)
        else:
            draft = await services.synthesis.answer(
                query, found.passages, deadline=deadline, screen=call.screen
            )
    with stage("ground"):
        if isinstance(draft, Answer):
            return replace(draft, degradation=_mark(services, found, AnswerMode.STALE)), 0
        return _settled(services, found, draft, budget)


async def _without_passages(
    services: QueryServices, query: Query, found: Retrieval, screen: Screen | None
) -> Draft | Answer:
    """No path answered: an older answer whose sources still stand, else the honest sentence."""
    answer: Draft | Answer | None = None
    if services.stale is not None:
        answer = await stale_answer(
            query.principal.tenant,
            keys.stale_key(query, best=services.best, hash_query=services.hash_query),
            stale=services.stale,
            library=services.library,
            clock=services.clock,
        )
    level = Level.STALE if answer else Level.TEMPLATE
    answer = answer or template(_retry_after_s(services, found))
    if screen is not None:
        screen.degraded(level, _reasons(found))
        screen.show(answer.text)
    return answer


def _reasons(found: Retrieval) -> tuple[str, ...]:
    return tuple(error.reason for error in found.failures)


def _retry_after_s(services: QueryServices, found: Retrieval) -> float:
    return ladder.retry_after_s(found.failures, default_s=RETRY_AFTER_S)


def _settled(
    services: QueryServices, found: Retrieval, draft: Draft, budget: QueryBudget
) -> tuple[Answer, int]:
    """The draft as an answer: marked with its level, free of what may not be shown."""
    rules = services.settings.redaction
    text = sanitize(draft.text, rules)
    quotes = [sanitize(citation.quote, rules) for citation in draft.citations]
    unanswered = draft.mode is AnswerMode.TEMPLATE
    answer = Answer(
        text=text.text,
        citations=tuple(
            citation if not quote.redacted else replace(citation, quote=quote.text)
            for citation, quote in zip(draft.citations, quotes, strict=True)
        ),
        degradation=_mark(services, found, draft.mode, draft.generator, draft.reasons),
        usage=budget.usage if budget.usage.llm_calls else draft.usage.plus(budget.usage),
        model=draft.model,
        removed_claims=draft.removed_claims,
        notice=draft.notice,
        retry_after_s=_retry_after_s(services, found) if unanswered else None,
    )
    return answer, text.redacted + sum(quote.redacted for quote in quotes)


def _mark(
    services: QueryServices,
    found: Retrieval,
    mode: AnswerMode,
    generator: int | None = None,
    reasons: tuple[str, ...] = (),
) -> Degradation:
    return ladder.degradation(
        services.configured,
        ladder.Reached(
            retrieval=found.mode,
            answer=mode,
            generator=generator,
            reasons=(*_reasons(found), *reasons),
        ),
    )
