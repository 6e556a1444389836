"""The stages of a question, in order: validate, cache, retrieve, synthesize, ground.

The audit log is written before the work and after it, whatever happens in between.
"""

from dataclasses import replace
from decimal import Decimal
from typing import Final
from uuid import uuid4

from foliotrace.budget import RunLedger, open_run
from foliotrace.catalog import Reason
from foliotrace.errors import IndexUnavailable, LibraryUnavailable
from foliotrace.events import stage
from foliotrace.model import (
    Answer,
    AnswerMode,
    CacheState,
    Deadline,
    Level,
    Query,
    RetrievalMode,
    Versions,
)
from foliotrace.query import records
from foliotrace.query.answer.finalize import (
    NOTICE_EMPTY_COLLECTION,
    finalize,
    named_by_source,
    refuse_unknown_collection,
    without_passages,
)
from foliotrace.query.answer.prompt import VERSION as PROMPT_VERSION
from foliotrace.query.answer.synthesis import AnswerStream, Synthesis, with_notice
from foliotrace.query.cache import answer_cache
from foliotrace.query.cache.answer_cache import may_store
from foliotrace.query.conversation.rewriting import Understood, understand
from foliotrace.query.plan.rounds import first_search, gather, planned, with_notice_of
from foliotrace.query.plan.summaries import summary_of
from foliotrace.query.retrieve.paths import Retrieval, retrieve
from foliotrace.query.services import QueryServices
from foliotrace.query.validate import (
    normalized,
    refuse_unknown_fields,
    validate,
    validate_history,
)
from foliotrace.query.workflow_events import AskQuestion

_UNKNOWN_VERSION: Final = -1
_OWN_INDEXES: Final = (  # of the library's documents
    RetrievalMode.KEYWORD,
    RetrievalMode.HYBRID,
    RetrievalMode.VECTOR,
)


async def answer_question(
    services: QueryServices, question: AskQuestion, stream: AnswerStream | None = None
) -> Answer:
    """The answer, audited, marked with its degradation and recorded as a run.

    `stream` receives its text while it is made. Raises InvalidQuery, InvalidRequest,
    AuditUnavailable, and an LLM's error when its stream broke after text had left.
    """
    refuse_unknown_fields(question)
    principal = services.identify()
    run_id = f"run_{uuid4().hex}"
    started_s = services.clock.monotonic_s()
    key_id, query_hash = services.hash_query(principal.tenant, normalized(question.query))
    received = records.received(
        principal,
        run_id,
        question.user_id,
        key_id=key_id,
        query_hash=query_hash,
        release=services.release,
    )
    await services.audit.append(received)
    await services.turns.turn()
    query: Query | None = None
    version = _UNKNOWN_VERSION
    with open_run(principal.tenant, _cap_usd(services, question)) as run:
        try:
            version = await _library_version(services)
            with stage("validate", query=question.query) as call:
                query = validate(
                    question, principal=principal, run_id=run_id, query_hash=query_hash
                )
                services = services.with_mode(question.path)
                records.emit_description(query, _versions(services, version))
                call.result = query.text
            use_cache = not question.bypass_cache
            deadline = Deadline(started_s + services.settings.deadline_s)
            if services.second_service is not None:
                answer = await services.second_service.answer(question, deadline)
                answer = _stamp(services, query, answer, answer.cache)
                if stream is not None:
                    stream.send(answer.text)
            else:
                understood = await understand(
                    query,
                    validate_history(question.history),
                    runs=services.runs,
                    keeps_content=services.recording.keep_content != "off",
                    generators=services.generators,
                    clock=services.clock,
                    deadline=deadline,
                )
                answer = await _answer(
                    services,
                    replace(query, text=understood.text) if understood.rewritten else query,
                    version,
                    deadline,
                    stream,
                    run,
                    use_cache=use_cache,
                )
                answer = _as_understood(answer, understood)
        except BaseException as error:
            await services.audit.append(records.failed(received, error, run.usage))
            if query is not None:
                await _save_run(services, question, query, error, version, started_s, run)
            raise
    await services.audit.append(records.completed(received, answer))
    await _save_run(services, question, query, answer, version, started_s, run)
    return answer


def _cap_usd(services: QueryServices, question: AskQuestion) -> Decimal:
    """What the answer may cost: the smaller of what the settings and the caller allow."""
    allowed, asked = services.budget.max_cost_per_query_usd, question.max_cost_usd
    return allowed if asked is None else min(allowed, asked)


def _as_understood(answer: Answer, understood: Understood) -> Answer:
    """The answer, saying which question it answers if a follow-up was rewritten."""
    if understood.rewritten:
        answer = replace(answer, rewritten_query=understood.text)
    return with_notice(answer, understood.caveat) if understood.caveat else answer


async def _save_run(
    services: QueryServices,
    question: AskQuestion,
    query: Query,
    outcome: Answer | BaseException,
    version: int,
    started_s: float,
    ledger: RunLedger,
) -> None:
    run = records.run_of(
        query,
        outcome,
        usage=ledger.usage,
        path=question.path,
        trace_id=services.current_trace(),
        traceparent=services.current_span(),
        versions=_versions(services, version),
        recording=services.recording,
        clock=services.clock,
        started_s=started_s,
    )
    await services.runs.save(run)


def _versions(services: QueryServices, version: int) -> Versions:
    return Versions(
        code=services.code_version,
        prompt=PROMPT_VERSION,
        model=None,
        index=version,
        settings=services.fingerprint,
        release=services.release,
    )


async def _library_version(services: QueryServices) -> int:
    try:
        return await services.library.version()
    except LibraryUnavailable:
        return _UNKNOWN_VERSION  # retrieval will report what this means for the answer


async def _answer(
    services: QueryServices,
    query: Query,
    version: int,
    deadline: Deadline,
    stream: AnswerStream | None,
    run: RunLedger,
    *,
    use_cache: bool,
) -> Answer:
    """The cached answer, or a new one, which is stored where that is allowed."""
    settings = services.settings
    keys = answer_cache.keys_of(
        services, query, version=version, use_cache=use_cache and version != _UNKNOWN_VERSION
    )
    if keys.exact is not None:
        with stage("cache", query=query.text) as call:
            hit = await answer_cache.look_up(
                services, query, keys, _stage_deadline(services, deadline)
            )
            call.result = hit.answer.text if hit is not None else "miss"
        if hit is not None:
            if stream is not None:
                stream.send(hit.answer.text)
            cached = replace(hit.answer, usage=run.usage)
            return _stamp(services, query, cached, hit.state)
    plan = await planned(services, query)
    summary, notice = await summary_of(services, query, plan, version, deadline, stream)
    if summary is not None:
        retrieval = Retrieval(passages=(), mode=services.configured.retrieval[0])
        return await _finished(services, query, retrieval, summary, deadline, run, keys, use_cache)
    with stage("retrieve", query=query.text, top_k=query.top_k) as call:
        retrieval = await retrieve(
            first_search(services, query, plan),
            services.paths,
            clock=services.clock,
            deadline=deadline,
            limit_s=settings.retrieval_deadline_s,
            hedge_s=settings.hedge_after_s,
            reranking=services.reranking,
        )
        evidence = await gather(services, query, plan, retrieval, version, deadline)
        retrieval = call.result = evidence.retrieval
    _announce_lower_path(stream, retrieval)
    passages = retrieval.passages
    with stage("synthesize", query=query.text, passages=passages) as call:
        if retrieval.mode is RetrievalMode.NONE:
            synthesis = await without_passages(
                keys.tenant,
                keys.stale,
                retrieval,
                stream,
                stale=services.stale,
                library=services.library,
                clock=services.clock,
            )
        else:
            synthesis = await services.synthesizer.synthesize(
                query,
                passages,
                library_version=version,
                deadline=deadline,
                stream=stream,
                check_subject=retrieval.mode is not RetrievalMode.CUSTOM,
                task=evidence.task,
            )
            if synthesis.mode is AnswerMode.ABSTAINED and retrieval.mode is RetrievalMode.MANAGED:
                retrieval, synthesis = await _checked_locally(
                    services, query, version, deadline, stream, retrieval, synthesis
                )
            retrieval = named_by_source(retrieval, synthesis)
            if not retrieval.passages and await refuse_unknown_collection(services.library, query):
                notice = NOTICE_EMPTY_COLLECTION.format(collection=query.collection)
                synthesis = with_notice(synthesis, notice)
        if stream is not None and synthesis.mode is not AnswerMode.GENERATED:
            stream.send(synthesis.text)
        call.result = synthesis.text
    synthesis = with_notice(with_notice_of(synthesis, evidence), notice)
    return await _finished(services, query, retrieval, synthesis, deadline, run, keys, use_cache)


async def _finished(
    services: QueryServices,
    query: Query,
    retrieval: Retrieval,
    synthesis: Synthesis,
    deadline: Deadline,
    run: RunLedger,
    keys: answer_cache.CacheKeys,
    use_cache: bool,
) -> Answer:
    """The answer from its text: redacted, marked, stamped, and cached where that is allowed."""
    with stage("ground", answer=synthesis.text) as call:
        answer, redacted = finalize(
            synthesis,
            retrieval,
            configured=services.configured,
            redaction=services.settings.redaction,
            usage=run.usage,
        )
        call.result = answer
    state = CacheState.MISS if use_cache else CacheState.BYPASS
    answer = _stamp(services, query, answer, state)
    if may_store(answer, redacted=redacted):
        await answer_cache.store(services, query, answer, keys, _stage_deadline(services, deadline))
    return answer


async def _checked_locally(
    services: QueryServices,
    query: Query,
    version: int,
    deadline: Deadline,
    stream: AnswerStream | None,
    managed: Retrieval,
    abstention: Synthesis,
) -> tuple[Retrieval, Synthesis]:
    """What the local paths answer where the managed index found nothing; else the abstention."""
    paths = [path for path in services.paths if path.mode in _OWN_INDEXES]
    if not paths or (stream is not None and stream.started):
        return managed, abstention
    local = await retrieve(
        query,
        paths,
        clock=services.clock,
        deadline=deadline,
        limit_s=services.settings.retrieval_deadline_s,
        reranking=services.reranking,
    )
    if not local.passages:
        return managed, abstention
    synthesis = await services.synthesizer.synthesize(
        query, local.passages, library_version=version, deadline=deadline, stream=None
    )
    if synthesis.mode is AnswerMode.ABSTAINED:
        return managed, abstention
    missed = IndexUnavailable(reason=Reason.MANAGED_INDEX_MISSED, answered=True)
    local = replace(local, failures=(*managed.failures, missed, *local.failures))
    _announce_lower_path(stream, local)
    if stream is not None and synthesis.mode is AnswerMode.GENERATED:
        stream.send(synthesis.text)
    return local, synthesis


def _stage_deadline(services: QueryServices, deadline: Deadline) -> Deadline:
    """The time that one retrieval path would get."""
    return deadline.capped(services.clock.monotonic_s(), services.settings.retrieval_deadline_s)


def _announce_lower_path(stream: AnswerStream | None, retrieval: Retrieval) -> None:
    """Report to a stream at once that a better retrieval path failed."""
    if stream is not None and retrieval.failures and retrieval.mode is not RetrievalMode.NONE:
        stream.degraded(Level.LOWER_PATH, [error.reason for error in retrieval.failures])


def _stamp(services: QueryServices, query: Query, answer: Answer, state: CacheState) -> Answer:
    """The answer with this run's ids, emitted to observers; a cached one keeps its origin."""
    stamped = replace(
        answer,
        cache=state,
        release=services.release,
        run_id=query.run_id,
        trace_id=services.current_trace(),
        origin=answer.origin or services.current_span(),
    )
    records.emit_answered(stamped, origin=answer.origin)
    return stamped
