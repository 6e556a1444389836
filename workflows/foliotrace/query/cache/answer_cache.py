"""The `cache` stage: look an answer up before the work, store it after; both under one `CacheKeys`.

A store or embedder that is down is a cache miss: the answer is then made afresh.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from foliotrace.errors import CacheUnavailable, LibraryUnavailable, NotFound, Unavailable
from foliotrace.events import AnswerNotCached, CacheLookupFailed, SemanticCacheHit, emit
from foliotrace.model import Answer, AnswerMode, CacheState, Deadline, Level, Query
from foliotrace.ports import AnswerCache, Embedder, HashQuery, SemanticKey, StaleAnswer, Vector
from foliotrace.query.cache.semantic_key import CompiledSynonyms, canonical_question
from foliotrace.query.services import QueryServices

_STORED_MODES: Final = (AnswerMode.GENERATED, AnswerMode.EXTRACTIVE)


def stale_key(query: Query, *, answered_by: str, hash_query: HashQuery) -> str:
    """The key of a stale answer, whatever the index version.

    `answered_by` names what an undegraded answer is made with: models, prompt, modes, limits.
    """
    filters = query.filters
    content = json.dumps(
        [
            "answer",
            query.principal.tenant,
            query.collection,
            answered_by,
            query.top_k,
            sorted(filters.document_ids),
            sorted((name, sorted(map(repr, values))) for name, values in filters.metadata.items())
            if filters.metadata
            else None,
            " ".join(query.text.split()),
        ],
        ensure_ascii=False,
    )
    return hash_query(query.principal.tenant, content)[1]


def exact_key(stale: str, *, index_version: int) -> str:
    """The key of an exact hit: the stale key at one version of the index."""
    return f"{index_version}-{stale}"


def may_store(answer: Answer, *, redacted: int) -> bool:
    """Whether an answer may be stored: level 0, cited, and nothing redacted from it."""
    return (
        answer.degradation.level is Level.NONE
        and answer.degradation.answer in _STORED_MODES
        and bool(answer.citations)
        and not redacted
    )


def semantic_key(
    query: Query,
    *,
    index_version: int,
    answered_by: str,
    model: str,
    synonyms: CompiledSynonyms,
    hash_query: HashQuery,
) -> str:
    """The key that questions with the same meaning share, for vectors of one `model`.

    The key covers all that an exact key covers, with the canonical question in place of the text.
    So no similarity of vectors can join two questions that differ.
    """
    canonical = canonical_question(query.text, synonyms)
    text = json.dumps(["semantic", canonical, model, synonyms.groups], ensure_ascii=False)
    key = stale_key(replace(query, text=text), answered_by=answered_by, hash_query=hash_query)
    return exact_key(key, index_version=index_version)


def similar_keys(
    vector: Vector, stored: Sequence[tuple[str, Vector]], *, min_similarity: float
) -> list[tuple[float, str]]:
    """(cosine, key) of the stored questions whose vectors agree with `vector`, best first.

    A vector of length 0, of another dimension or with a number that is not finite never agrees.
    """
    import numpy as np  # not at import: it costs every start 0.1 s

    wanted = np.asarray(vector, dtype=np.float64)
    agreeing: list[tuple[float, str]] = []
    for key, values in stored:
        other = np.asarray(values, dtype=np.float64)
        if other.shape != wanted.shape:
            continue
        lengths = float(np.linalg.norm(wanted) * np.linalg.norm(other))
        cosine = float(wanted @ other) / lengths if lengths > 0 else 0.0
        if cosine >= min_similarity:  # never true of nan
            agreeing.append((cosine, key))
    return sorted(agreeing, reverse=True)


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
    stale = stale_key(query, answered_by=services.answered_by, hash_query=services.hash_query)
    if not use_cache or services.cache is None:
        return CacheKeys(tenant=tenant, version=version, stale=stale)
    exact = exact_key(stale, index_version=version)
    if embedder is None:
        return CacheKeys(tenant=tenant, version=version, stale=stale, exact=exact)
    semantic = semantic_key(
        query,
        index_version=version,
        answered_by=services.answered_by,
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
            cited = list(dict.fromkeys(citation.document_id for citation in answer.citations))
            labels = await services.library.labels(keys.tenant, cited)
            hashes = {i: label.content_hash for i, label in zip(cited, labels, strict=True)}
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
