"""The `ground` stage: redact the text, mark its degradation level; and answers without passages."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from foliotrace.catalog import ErrorCode, Reason
from foliotrace.errors import CacheUnavailable, IndexUnavailable, LibraryUnavailable, NotFound
from foliotrace.events import StaleLookupFailed, emit
from foliotrace.model import (
    DEFAULT_COLLECTION,
    Answer,
    AnswerMode,
    Citation,
    Level,
    Query,
    RetrievalMode,
    Usage,
)
from foliotrace.ports import Clock, DocumentReader, StaleAnswer, StaleAnswers
from foliotrace.query.answer import ladder
from foliotrace.query.answer.redaction import redact
from foliotrace.query.answer.synthesis import AnswerStream, Synthesis, with_notice
from foliotrace.query.retrieve.paths import Retrieval
from foliotrace.settings import RedactionSettings


def finalize(
    synthesis: Synthesis,
    retrieval: Retrieval,
    *,
    configured: ladder.Configured,
    redaction: RedactionSettings,
    usage: Usage,
) -> tuple[Answer, int]:
    """The answer with its mark, and how many personal numbers were redacted from it.

    `usage` is what the question has spent.
    """
    text = redact(synthesis.text, redaction)
    quotes = [redact(citation.quote, redaction) for citation in synthesis.citations]
    reached = ladder.Reached(
        retrieval=retrieval.mode,
        answer=synthesis.mode,
        generator=synthesis.generator,
        reasons=(*(error.reason for error in retrieval.failures), *synthesis.reasons),
    )
    unanswered = synthesis.mode is AnswerMode.TEMPLATE
    content = synthesis.content()
    content["citations"] = tuple(
        replace(citation, quote=quote.text, figure=None) if quote.redacted else citation
        for citation, quote in zip(synthesis.citations, quotes, strict=True)
    )
    answer = Answer(
        **content,
        text=text.text,
        degradation=replace(
            ladder.degradation(configured, reached),
            contributed=_contributed(retrieval, synthesis.citations),
        ),
        usage=usage,
        origin=synthesis.origin,
        retry_after_s=ladder.retry_after_s(retrieval.failures) if unanswered else None,
    )
    return answer, text.redacted + sum(quote.redacted for quote in quotes)


def _contributed(retrieval: Retrieval, citations: Sequence[Citation]) -> tuple[RetrievalMode, ...]:
    """The indexes that found what is cited, in the order of the citations."""
    passages = {passage.chunk_id: passage for passage in retrieval.passages}
    cited = [p for each in citations if (p := passages.get(each.chunk_id)) is not None]
    found_by = (mode for p in cited for mode in (p.path, p.also_by) if mode is not None)
    return tuple(dict.fromkeys(found_by))


def named_by_source(retrieval: Retrieval, synthesis: Synthesis) -> Retrieval:
    """The retrieval named by the local index where all that is cited was found by that alone.

    The managed index is fused with the local one; an answer that it had no part in says so.
    """
    if retrieval.mode is not RetrievalMode.MANAGED or not synthesis.citations:
        return retrieval
    cited = {citation.chunk_id for citation in synthesis.citations}
    sources = [p for p in retrieval.passages if p.chunk_id in cited]
    if not sources or any(p.unplaced or p.path is RetrievalMode.MANAGED for p in sources):
        return retrieval
    missed = IndexUnavailable(reason=Reason.MANAGED_INDEX_MISSED, answered=True)
    return replace(retrieval, mode=sources[0].path, failures=(*retrieval.failures, missed))


NOTICE_EMPTY_COLLECTION: Final = (
    "Collection {collection} holds no documents: check its name, or ingest documents into it."
)
TEMPLATE: Final = (
    "The documents cannot be searched at the moment, so this question is not answered. "
    "Please ask again in {seconds} seconds."
)
NOTICE_STALE: Final = (
    "The documents cannot be searched at the moment: this is an earlier answer to the same"
    " question. Its sources have not changed since."
)
LEVELS: Final = {AnswerMode.STALE: Level.STALE, AnswerMode.TEMPLATE: Level.TEMPLATE}


async def refuse_unknown_collection(library: DocumentReader, query: Query) -> bool:
    """Whether the collection, which found nothing, is the empty default one.

    Raises NotFound for any other collection without a document: its name may be misspelt.
    """
    try:
        any_document = await library.documents(
            query.principal.tenant, collection=query.collection, limit=1
        )
    except LibraryUnavailable:
        return False  # nothing is known about the collection
    if any_document:
        return False
    if query.collection != DEFAULT_COLLECTION:
        raise NotFound(
            f"There is no collection {query.collection}.", code=ErrorCode.COLLECTION_NOT_FOUND
        )
    return True


async def without_passages(
    tenant: str,
    key: str,
    retrieval: Retrieval,
    stream: AnswerStream | None,
    *,
    stale: StaleAnswers | None,
    library: DocumentReader,
    clock: Clock,
) -> Synthesis:
    """No path answered: a stale answer whose sources are unchanged, else an honest sentence."""
    synthesis = None
    if stale is not None:
        synthesis = await stale_answer(tenant, key, stale=stale, library=library, clock=clock)
    if synthesis is None:
        synthesis = template_answer(ladder.retry_after_s(retrieval.failures))
    if stream is not None:
        reasons = [error.reason for error in retrieval.failures]
        stream.degraded(LEVELS[synthesis.mode], reasons)
    return synthesis


async def stale_answer(
    tenant: str, key: str, *, stale: StaleAnswers, library: DocumentReader, clock: Clock
) -> Synthesis | None:
    """The stored answer with its age; None unless every document it cites is unchanged."""
    try:
        stored = await stale.lookup(tenant, key)
        if stored is None or not await _sources_unchanged(tenant, stored, library):
            return None
    except (CacheUnavailable, LibraryUnavailable) as error:
        emit(StaleLookupFailed(reason=error.reason))
        return None
    answer = stored.answer
    age_s = max(0.0, (clock.now() - stored.stored_at).total_seconds())
    content = answer.content() | {"age_s": age_s}
    stale_one = Synthesis(**content, text=answer.text, mode=AnswerMode.STALE, origin=answer.origin)
    return with_notice(stale_one, NOTICE_STALE)


async def _sources_unchanged(tenant: str, stored: StaleAnswer, library: DocumentReader) -> bool:
    for document_id, content_hash in stored.content_hashes.items():
        try:
            document = await library.document(tenant, document_id)
        except NotFound:
            return False
        if document.content_hash != content_hash or document.revision is None:
            return False
    return True


def template_answer(retry_after_s: float) -> Synthesis:
    """A sentence that says the question is not answered, and when to ask again (seconds)."""
    text = TEMPLATE.format(seconds=max(1, round(retry_after_s)))
    return Synthesis(text=text, mode=AnswerMode.TEMPLATE)
