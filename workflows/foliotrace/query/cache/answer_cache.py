"""The `cache` stage: look an answer up before the work, store it after; both under one `CacheKeys`.

A store or embedder that is down is a cache miss: the answer is then made afresh.
"""

from dataclasses import dataclass

from foliotrace.errors import CacheUnavailable, LibraryUnavailable, NotFound, Unavailable
from foliotrace.events import AnswerNotCached, CacheLookupFailed, SemanticCacheHit, emit
from foliotrace.model import Answer, CacheState, Deadline, Query
from foliotrace.ports import AnswerCache, Embedder, SemanticKey, StaleAnswer
from foliotrace.query.cache.keys import exact_key, semantic_key, similar_keys, stale_key
from foliotrace.query.services import QueryServices


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheKeys:
    """Where the answer to one question is looked up and stored.

    `exact` is None where the answer cache is not used; `semantic` is the key that questions with
    the same meaning share, None without an embedder. `version` is the library's.
    """

    tenant: str
    version: int
    stale: str
    exact: str | None = None
    semantic: str | None = None


@dataclass(frozen=True, slots=True)
class CacheHit:
    """A cached answer, and how it was found."""

    answer: Answer
    state: CacheState


def keys_of(services: QueryServices, query: Query, *, version: int, use_cache: bool) -> CacheKeys:
    """The keys of a question at a library version."""
    tenant, embedder = query.principal.tenant, services.embedder
    stale = stale_key(query, best=services.best, hash_query=services.hash_query)
    if not use_cache or services.cache is None:
        return CacheKeys(tenant=tenant, version=version, stale=stale)
    exact = exact_key(stale, index_version=version)
    if embedder is None:
        return CacheKeys(tenant=tenant, version=version, stale=stale, exact=exact)
    semantic = semantic_key(
        query,
        index_version=version,
        best=services.best,
        model=embedder.model,
        synonyms=services.synonyms,
        hash_query=services.hash_query,
    )
    return CacheKeys(tenant=tenant, version=version, stale=stale, exact=exact, semantic=semantic)


async def look_up(
    services: QueryServices, query: Query, keys: CacheKeys, deadline: Deadline
) -> CacheHit | None:
    """The cached answer to the question, or to one with the same meaning; None for a miss."""
    if services.cache is None or keys.exact is None:
        return None
    try:
        answer = await services.cache.lookup(keys.tenant, keys.exact)
        if answer is not None:
            return CacheHit(answer, CacheState.EXACT)
        if services.embedder is None or keys.semantic is None:
            return None
        return await _look_up_semantic(
            services.cache,
            services.embedder,
            query,
            keys.semantic,
            min_similarity=services.settings.semantic_cache_from,
            deadline=deadline,
        )
    except Unavailable as error:
        emit(CacheLookupFailed(reason=error.reason))
        return None


async def _look_up_semantic(
    cache: AnswerCache,
    embedder: Embedder,
    query: Query,
    semantic: str,
    *,
    min_similarity: float,
    deadline: Deadline,
) -> CacheHit | None:
    """The answer to another question under the same semantic key whose vector agrees.

    The question is embedded even where the key is empty: retrieval and `store` reuse the vector,
    and its cost must be known before the answer reports its cost.
    """
    tenant = query.principal.tenant
    others = await cache.similar(tenant, semantic)
    vector = await embedder.embed_query(query.text, deadline=deadline)
    for cosine, key in similar_keys(vector, others, min_similarity=min_similarity):
        answer = await cache.lookup(tenant, key)
        if answer is not None:
            emit(SemanticCacheHit(similarity=round(cosine, 4)))
            return CacheHit(answer, CacheState.SEMANTIC)
    return None


async def store(
    services: QueryServices, query: Query, answer: Answer, keys: CacheKeys, deadline: Deadline
) -> None:
    """Store the answer in the answer cache and as a stale answer; an outage changes nothing.

    An answer whose documents changed or were deleted while it was made is not stored.
    """
    try:
        vector_key = await _semantic_key(services, query, keys, deadline)
        if await services.library.version() != keys.version:
            return
        if services.cache is not None and keys.exact is not None:
            ttl_s = services.settings.cache_ttl_s
            await services.cache.store(
                keys.tenant, keys.exact, answer, ttl_s=ttl_s, semantic_key=vector_key
            )
        if services.stale is not None:
            cited = dict.fromkeys(citation.document_id for citation in answer.citations)
            hashes = {
                document_id: (
                    await services.library.document(keys.tenant, document_id)
                ).content_hash
                for document_id in cited
            }
            stale = StaleAnswer(
                answer=answer, content_hashes=hashes, stored_at=services.clock.now()
            )
            await services.stale.store(keys.tenant, keys.stale, stale)
    except (CacheUnavailable, LibraryUnavailable, NotFound) as error:
        emit(AnswerNotCached(reason=error.error_code))


async def _semantic_key(
    services: QueryServices, query: Query, keys: CacheKeys, deadline: Deadline
) -> SemanticKey | None:
    """The question's vector under its semantic key; None when it cannot be embedded."""
    if services.embedder is None or keys.semantic is None:
        return None
    try:
        vector = await services.embedder.embed_query(query.text, deadline=deadline)
    except Unavailable as error:
        emit(AnswerNotCached(reason=error.reason))
        return None
    return SemanticKey(group=keys.semantic, vector=tuple(vector))
