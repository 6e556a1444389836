"""Answers given again, and kept to be: the stage `cache`, and what follows an answer of level 0.

A store that is down is a miss, and so is an embedder: the answer made anew is as good.
"""

from dataclasses import dataclass

from foliotrace.errors import CacheUnavailable, LibraryUnavailable, NotFound, Unavailable
from foliotrace.events import AnswerNotCached, CacheLookupFailed, SemanticCacheHit, emit
from foliotrace.model import Answer, CacheState, Deadline, Query
from foliotrace.ports import AnswerCache, Asked, Embedder, StaleAnswer
from foliotrace.query.cache import keys
from foliotrace.query.services import QueryServices


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the answer of a question is kept: its key, and the group of questions like it."""

    tenant: str
    key: str
    group: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAt:
    """Where a new answer goes: its places, and the library version it was made at."""

    stale_key: str
    place: Place | None
    version: int


@dataclass(frozen=True, slots=True)
class GivenAgain:
    """A kept answer, and how it was found."""

    answer: Answer
    state: CacheState


def place_of(services: QueryServices, query: Query, stale_key: str, version: int) -> Place:
    """The question's place at a library version."""
    tenant, embedder = query.principal.tenant, services.embedder
    key = keys.exact_key(stale_key, index_version=version)
    if embedder is None:
        return Place(tenant=tenant, key=key)
    group = keys.group_key(
        query,
        index_version=version,
        best=services.best,
        model=embedder.model,
        synonyms=services.synonyms,
        hash_query=services.hash_query,
    )
    return Place(tenant=tenant, key=key, group=group)


async def given_again(
    services: QueryServices, cache: AnswerCache, query: Query, place: Place, deadline: Deadline
) -> GivenAgain | None:
    """The kept answer to the question, or to one that asks the same; None for a miss."""
    try:
        kept = await cache.lookup(place.tenant, place.key)
        if kept is not None:
            return GivenAgain(kept, CacheState.EXACT)
        if services.embedder is None or place.group is None:
            return None
        return await _given_to_another(
            cache,
            services.embedder,
            query,
            place.group,
            services.settings.semantic_cache_from,
            deadline,
        )
    except Unavailable as error:
        emit(CacheLookupFailed(reason=error.reason))
        return None


async def _given_to_another(
    cache: AnswerCache,
    embedder: Embedder,
    query: Query,
    group: str,
    floor: float,
    deadline: Deadline,
) -> GivenAgain | None:
    """The answer to a question alike, where the vectors agree.

    The vector is asked for here even if there is none: retrieval and `keep` want the same one, and
    what it costs must be known before the answer says its cost.
    """
    tenant = query.principal.tenant
    others = await cache.alike(tenant, group)
    vector = await embedder.embed_query(query.text, deadline=deadline)
    for cosine, key in keys.near(vector, others, floor=floor):
        kept = await cache.lookup(tenant, key)
        if kept is not None:
            emit(SemanticCacheHit(similarity=round(cosine, 4)))
            return GivenAgain(kept, CacheState.SEMANTIC)
    return None


async def keep(
    services: QueryServices, query: Query, answer: Answer, at: KeptAt, *, deadline: Deadline
) -> None:
    """Store the answer for next time and for bad days; a store that is down changes nothing.

    An answer whose documents changed or went while it was made is not kept.
    """
    try:
        asked = await _asked(services, query, at.place, deadline)
        if await services.library.version() != at.version:
            return
        if services.cache is not None and at.place is not None:
            ttl_s = services.settings.cache_ttl_s
            await services.cache.store(
                at.place.tenant, at.place.key, answer, ttl_s=ttl_s, asked=asked
            )
        await _keep_for_bad_days(services, query.principal.tenant, at.stale_key, answer)
    except (CacheUnavailable, LibraryUnavailable, NotFound) as error:
        emit(AnswerNotCached(reason=error.error_code))


async def _asked(
    services: QueryServices, query: Query, place: Place | None, deadline: Deadline
) -> Asked | None:
    """How others that ask the same find the answer; None when the question has no vector."""
    if services.embedder is None or place is None or place.group is None:
        return None
    try:
        vector = await services.embedder.embed_query(query.text, deadline=deadline)
    except Unavailable as error:
        emit(AnswerNotCached(reason=error.reason))
        return None
    return Asked(group=place.group, vector=tuple(vector))


async def _keep_for_bad_days(
    services: QueryServices, tenant: str, stale_key: str, answer: Answer
) -> None:
    if services.stale is None:
        return
    cited = dict.fromkeys(citation.document_id for citation in answer.citations)
    hashes = {i: (await services.library.document(tenant, i)).content_hash for i in cited}
    stale = StaleAnswer(answer=answer, content_hashes=hashes, stored_at=services.clock.now())
    await services.stale.store(tenant, stale_key, stale)
