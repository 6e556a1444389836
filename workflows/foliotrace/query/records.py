"""The records of a question: audit entries, its run, and the event for observers."""

from dataclasses import replace

from foliotrace.errors import FoliotraceError
from foliotrace.events import QueryAnswered, emit
from foliotrace.model import Answer, Citation, Principal, Query, Run, Versions
from foliotrace.ports import AuditEntry, Clock
from foliotrace.query.answer.prompt import VERSION as PROMPT_VERSION
from foliotrace.query.validate import valid_name


def received(
    principal: Principal, run_id: str, user_id: str | None, *, key_id: str, query_hash: str
) -> AuditEntry:
    """The entry before the work. A `user_id` that validation will refuse is left out."""
    return AuditEntry(
        event="query_received",
        run_id=run_id,
        tenant=principal.tenant,
        user_id=user_id if user_id is not None and valid_name(user_id) else None,
        query_hash=query_hash,
        key_id=key_id,
    )


def completed(before: AuditEntry, answer: Answer) -> AuditEntry:
    """The entry after an answer, of any level."""
    mark = answer.degradation
    return AuditEntry(
        event="query_completed",
        run_id=before.run_id,
        tenant=before.tenant,
        user_id=before.user_id,
        query_hash=before.query_hash,
        key_id=before.key_id,
        success=True,
        response_length=len(answer.text),
        degradation_level=int(mark.level),
        degradation_reasons=mark.reasons,
        model=answer.model,
        tokens=answer.usage.total_tokens,
        cost_usd=answer.usage.cost_usd,
        document_ids=tuple(dict.fromkeys(c.document_id for c in answer.citations)),
    )


def failed(before: AuditEntry, error: BaseException) -> AuditEntry:
    """The entry after a failure or a cancellation, without any text of the question."""
    known = error if isinstance(error, FoliotraceError) else None
    return AuditEntry(
        event="query_failed",
        run_id=before.run_id,
        tenant=before.tenant,
        user_id=before.user_id,
        query_hash=before.query_hash,
        key_id=before.key_id,
        success=False,
        error=known.message if known else None,
        error_type=known.error_code if known else type(error).__name__,
    )


def run_of(
    query: Query,
    answer: Answer,
    *,
    index_version: int,
    code_version: str,
    keep_content: bool,
    clock: Clock,
    started_s: float,
) -> Run:
    """The run that `/v1/runs/{id}` returns; with texts only if `keep_content`."""
    return Run(
        id=answer.run_id,
        tenant=query.principal.tenant,
        workflow="query",
        versions=Versions(
            code=code_version, prompt=PROMPT_VERSION, model=answer.model, index=index_version
        ),
        degradation=answer.degradation,
        citations=answer.citations if keep_content else _without_quotes(answer),
        usage=answer.usage,
        query_hash=query.query_hash,
        user_id=query.user_id,
        session_id=query.session_id,
        tags=query.tags,
        metadata=query.metadata,
        trace_id=answer.trace_id,
        created_at=clock.now(),
        elapsed_ms=round((clock.monotonic_s() - started_s) * 1000, 3),
        query_text=query.text if keep_content else None,
        answer_text=answer.text if keep_content else None,
    )


def _without_quotes(answer: Answer) -> tuple[Citation, ...]:
    return tuple(replace(citation, quote="") for citation in answer.citations)


def emit_answered(answer: Answer, *, origin: str | None = None) -> None:
    """Emit how the question was answered, for the span of the run.

    `origin` is the traceparent of the earlier run that made a cached answer, to link to.
    """
    mark = answer.degradation
    emit(
        QueryAnswered(
            run_id=answer.run_id,
            level=int(mark.level),
            reasons=mark.reasons,
            retrieval_mode=mark.retrieval.value,
            answer_mode=mark.answer.value,
            citations=len(answer.citations),
            removed_claims=answer.removed_claims or None,
            cache=answer.cache.value,
            model=answer.model,
            cost_usd=float(answer.usage.cost_usd) if answer.usage.cost_usd else None,
            origin=origin,
        )
    )
