"""The answer cache: exact hits, stale answers during an outage, and what is never stored."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.query.query_stack import HANDBOOK, Down, QueryStack, Scripted, streamed_text

from foliotrace.adapters.local.answer_cache import InMemoryAnswerCache
from foliotrace.adapters.local.sqlite.stale_answers import SqliteStaleAnswers
from foliotrace.errors import CacheUnavailable, GeneratorUnavailable
from foliotrace.model import AnswerMode, CacheState, Level, RetrievalMode
from foliotrace.query.retrieve.paths import RetrievalPath

pytestmark = pytest.mark.anyio

QUESTION = "When are refunds paid?"
DOWN = RetrievalPath(RetrievalMode.KEYWORD, Down("keyword_index_unavailable"))


@pytest.fixture
async def caching(stack: QueryStack, tmp_path: Path) -> AsyncIterator[QueryStack]:
    stale = SqliteStaleAnswers(tmp_path)
    stack.use(cache=InMemoryAnswerCache(stack.clock), stale=stale)
    yield stack
    await stale.close()


async def test_the_same_question_is_answered_from_the_cache_as_a_run_of_its_own(
    caching: QueryStack,
) -> None:
    await caching.serve(*HANDBOOK)
    first = await caching.ask(QUESTION)
    events, second = await caching.watch(f"  {QUESTION} ")
    assert (first.cache, second.cache) == (CacheState.MISS, CacheState.EXACT)
    assert second.citations == first.citations
    assert streamed_text(events) == second.text == first.text
    assert second.run_id != first.run_id
    assert caching.audit.entries[-1].run_id == second.run_id


@pytest.mark.parametrize(
    "other",
    [
        {"query": "When are refunds paid"},
        {"query": QUESTION, "top_k": 4},
        {"query": QUESTION, "collection": "legal"},
        {"query": QUESTION, "filters": {"title": ["notes.txt"]}},
        {"query": QUESTION, "bypass_cache": True},
    ],
)
async def test_another_question_scope_or_wish_is_no_hit(
    caching: QueryStack, other: dict[str, object]
) -> None:
    await caching.serve(*HANDBOOK)
    await caching.serve("Contracts are signed twice.", name="legal.txt", collection="legal")
    await caching.ask(QUESTION)
    assert (await caching.ask(**other)).cache is not CacheState.EXACT  # type: ignore[arg-type]


async def test_an_answer_made_while_the_library_changed_is_not_kept(caching: QueryStack) -> None:
    """Neither under the version it was asked at, nor as a stale answer."""
    await caching.serve(*HANDBOOK)
    keyword = caching.keyword()

    class Changing:
        """The library changes while passages are searched."""

        ready = True

        async def retrieve(self, query, *, top_k, deadline):  # type: ignore[no-untyped-def]
            found = await keyword.retriever.retrieve(query, top_k=top_k, deadline=deadline)
            await caching.serve("Something else.", name="new.txt", content_hash="b" * 64)
            return found

    stored: list[str] = []

    class Watched(InMemoryAnswerCache):
        async def store(self, tenant, key, answer, **more):  # type: ignore[no-untyped-def]
            stored.append(key)
            await super().store(tenant, key, answer, **more)

    caching.use(cache=Watched(caching.clock))
    caching.use_paths(replace(keyword, retriever=Changing()))
    assert (await caching.ask(QUESTION)).citations
    assert stored == []
    caching.use_paths(DOWN)
    assert (await caching.ask(QUESTION)).degradation.answer is AnswerMode.TEMPLATE
    caching.use_paths(keyword)
    await caching.ask(QUESTION)
    assert len(stored) == 1


async def test_a_change_of_the_library_ends_every_hit(caching: QueryStack) -> None:
    await caching.serve(*HANDBOOK)
    await caching.ask(QUESTION)
    await caching.serve("Refunds are paid within 10 days.", name="new.txt", content_hash="b" * 64)
    assert (await caching.ask(QUESTION)).cache is CacheState.MISS


async def test_degraded_and_abstained_answers_are_never_kept(caching: QueryStack) -> None:
    await caching.serve(*HANDBOOK)
    await caching.ask("Which enzyme inhibits mitochondrial translation?")
    assert (
        await caching.ask("Which enzyme inhibits mitochondrial translation?")
    ).cache is CacheState.MISS
    caching.use(generators=(Scripted(error=GeneratorUnavailable("503")),))
    assert (await caching.ask(QUESTION)).degradation.level is Level.LOWER_PATH
    assert (await caching.ask(QUESTION)).cache is CacheState.MISS


async def test_an_answer_with_something_redacted_is_never_kept(caching: QueryStack) -> None:
    await caching.serve("The number of the applicant is 123-45-6789 in the register.")
    asked = "What is the number of the applicant in the register?"
    answer = await caching.ask(asked)
    assert "[SSN REDACTED]" in answer.citations[0].quote
    assert "6789" not in answer.text
    assert (await caching.ask(asked)).cache is CacheState.MISS


async def test_during_an_outage_a_stale_answer_shows_its_age(caching: QueryStack) -> None:
    await caching.serve(*HANDBOOK)
    fresh = await caching.ask(QUESTION)
    caching.use_paths(DOWN)
    caching.clock.pass_s(7200)
    answer = await caching.ask(QUESTION)
    assert (answer.degradation.level, answer.degradation.answer) == (
        Level.STALE,
        AnswerMode.STALE,
    )
    assert answer.degradation.reasons == ("keyword_index_unavailable",)
    assert (answer.text, answer.age_s) == (fresh.text, 7200)
    assert "earlier answer" in (answer.notice or "")


async def test_a_cached_answer_keeps_the_origin_of_the_run_that_made_it(
    caching: QueryStack,
) -> None:
    await caching.serve(*HANDBOOK)
    runs = iter(f"00-{number:032x}-{number:016x}-01" for number in range(1, 9))
    caching.use(current_span=lambda: next(runs))
    made = await caching.ask(QUESTION)
    assert made.origin == f"00-{1:032x}-{1:016x}-01"
    assert (await caching.ask(QUESTION)).origin == made.origin
    caching.use_paths(DOWN)
    caching.clock.pass_s(7200)
    stale = await caching.ask(QUESTION)
    assert (stale.degradation.answer, stale.origin) == (AnswerMode.STALE, made.origin)


async def test_a_stale_answer_is_not_served_once_its_document_changed_or_went(
    caching: QueryStack,
) -> None:
    first = await caching.serve(*HANDBOOK)
    await caching.ask(QUESTION)
    caching.use_paths(DOWN)
    caching.clock.pass_s(7200)
    await caching.serve("Refunds are paid within 10 days.", content_hash="b" * 64)
    assert (await caching.ask(QUESTION)).degradation.level is Level.TEMPLATE
    await caching.library.delete("default", first)
    assert (await caching.ask(QUESTION)).degradation.level is Level.TEMPLATE


async def test_caches_that_are_down_change_no_answer(stack: QueryStack) -> None:
    class Broken:
        async def lookup(self, tenant: str, key: str) -> None:
            raise CacheUnavailable("down")

        async def store(self, tenant: str, key: str, *_: object, **__: object) -> None:
            raise CacheUnavailable("down")

        async def forget_document(self, tenant: str, document_id: str) -> None:
            raise CacheUnavailable("down")

    await stack.serve(*HANDBOOK)
    stack.use(cache=Broken(), stale=Broken())
    answer = await stack.ask(QUESTION)
    assert answer.degradation.level is Level.NONE
    stack.use_paths(DOWN)
    assert (await stack.ask(QUESTION)).degradation.level is Level.TEMPLATE
