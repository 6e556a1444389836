"""What every `AnswerCache` and every `StaleAnswers` holds."""

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import orjson
import pytest
from tests.contracts.redis_server import running_redis
from tests.query.query_stack import SetClock

from foliotrace.adapters.local.answer_cache import InMemoryAnswerCache
from foliotrace.adapters.local.sqlite.stale_answers import SqliteStaleAnswers
from foliotrace.errors import CacheUnavailable
from foliotrace.model import Anchor, Answer, Box, Citation, PageKind, Usage
from foliotrace.ports import AnswerCache, SemanticKey, StaleAnswer, StaleAnswers

pytestmark = pytest.mark.anyio

CANARY = "canary-7f31"


def answer(document_id: str = "doc_1", text: str = "Paid in 30 days [1].") -> Answer:
    anchor = Anchor(kind=PageKind.PAGE, page=1, start=0, end=4, boxes=(Box(1.5, 2, 3, 4),))
    citation = Citation(
        marker=1,
        document_id=document_id,
        document_name="a.pdf",
        chunk_id="c1",
        quote=text,
        anchor=anchor,
        score=0.5,
    )
    usage = Usage(prompt_tokens=3, cost_usd=Decimal("0.000123"))
    return Answer(text=text, citations=(citation,), usage=usage)


def stale(document_id: str = "doc_1", text: str = "Paid in 30 days [1].") -> StaleAnswer:
    return StaleAnswer(
        answer=answer(document_id, text),
        content_hashes={document_id: "aa"},
        stored_at=datetime(2026, 11, 21, tzinfo=UTC),
    )


# --- exact answers -------------------------------------------------------------------------


class CacheUnderTest:
    """A cache, and a way to let time pass for it."""

    def __init__(self, cache: AnswerCache, pass_s: Callable[[float], Awaitable[None]]) -> None:
        self.cache = cache
        self.pass_s = pass_s


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture(params=["process", pytest.param("redis", marks=pytest.mark.real_servers)])
async def tested(
    request: pytest.FixtureRequest, clock: SetClock, tmp_path: Path
) -> AsyncIterator[CacheUnderTest]:
    if request.param == "process":

        async def pass_s(seconds: float) -> None:
            clock.pass_s(seconds)

        yield CacheUnderTest(InMemoryAnswerCache(clock, limit=100), pass_s)
        return
    async with running_redis(tmp_path) as client:
        from foliotrace.adapters.redis.answer_cache import RedisAnswerCache

        async def age(seconds: float) -> None:
            for name in await client.keys():
                left_ms = await client.pttl(name) - int(seconds * 1000)
                assert left_ms < 61_000, "a key without an end"
                await client.pexpire(name, max(0, left_ms))

        yield CacheUnderTest(RedisAnswerCache(client), age)


@pytest.fixture
def cache(tested: CacheUnderTest) -> AnswerCache:
    return tested.cache


async def test_what_was_stored_is_found_by_its_tenant_alone(cache: AnswerCache) -> None:
    await cache.store("t1", "k", answer(), ttl_s=60)
    assert await cache.lookup("t1", "k") == answer()
    assert await cache.lookup("t2", "k") is None
    assert await cache.lookup("t1", "other") is None


async def test_the_origin_of_an_answer_is_stored_with_it(cache: AnswerCache) -> None:
    made = replace(answer(), origin=f"00-{1:032x}-{2:016x}-01")
    await cache.store("t1", "k", made, ttl_s=60)
    assert await cache.lookup("t1", "k") == made


async def test_an_answer_expires_after_its_time_to_live(
    cache: AnswerCache, tested: CacheUnderTest
) -> None:
    await cache.store("t1", "k", answer(), ttl_s=60)
    await tested.pass_s(58)
    assert await cache.lookup("t1", "k") is not None
    await tested.pass_s(2)
    assert await cache.lookup("t1", "k") is None


async def test_a_second_answer_replaces_the_first(cache: AnswerCache) -> None:
    await cache.store("t1", "k", answer("doc_1"), ttl_s=60)
    await cache.store("t1", "k", answer("doc_2"), ttl_s=60)
    await cache.forget_document("t1", "doc_1")
    assert await cache.lookup("t1", "k") == answer("doc_2")


async def test_a_forgotten_document_takes_the_answers_that_cite_it(cache: AnswerCache) -> None:
    await cache.store("t1", "k1", answer("doc_1"), ttl_s=60)
    await cache.store("t1", "k2", answer("doc_2"), ttl_s=60)
    await cache.store("t2", "k1", answer("doc_1"), ttl_s=60)
    await cache.forget_document("t1", "doc_1")
    assert await cache.lookup("t1", "k1") is None
    assert await cache.lookup("t1", "k2") is not None
    assert await cache.lookup("t2", "k1") is not None


# --- similar questions -----------------------------------------------------------------------


def semantic_key(*vector: float, group: str = "g") -> SemanticKey:
    return SemanticKey(group=group, vector=vector)


async def keys(cache: AnswerCache, tenant: str = "t1", group: str = "g") -> list[str]:
    return sorted(key for key, _ in await cache.similar(tenant, group))


async def test_a_stored_question_is_found_in_its_group_by_its_tenant_only(
    cache: AnswerCache,
) -> None:
    await cache.store("t1", "k1", answer(), ttl_s=60, semantic_key=semantic_key(0.5, -1.0))
    await cache.store(
        "t1", "k2", answer(), ttl_s=60, semantic_key=semantic_key(1.0, 0.0, group="other")
    )
    await cache.store("t1", "k3", answer(), ttl_s=60)
    ((key, vector),) = await cache.similar("t1", "g")
    assert (key, list(vector)) == ("k1", [0.5, -1.0])
    assert await keys(cache, tenant="t2") == []
    assert await cache.lookup("t1", key) == answer()


async def test_a_question_expires_with_its_answer(
    cache: AnswerCache, tested: CacheUnderTest
) -> None:
    await cache.store("t1", "k1", answer("doc_1"), ttl_s=20, semantic_key=semantic_key(1.0))
    await cache.store("t1", "k2", answer("doc_2"), ttl_s=60, semantic_key=semantic_key(1.0))
    assert await keys(cache) == ["k1", "k2"]
    await tested.pass_s(21)
    assert await keys(cache) == ["k2"]
    await cache.forget_document("t1", "doc_2")
    assert await keys(cache) == []


async def test_a_question_stored_again_is_there_once_with_its_newest_vector(
    cache: AnswerCache,
) -> None:
    await cache.store("t1", "k", answer(), ttl_s=60, semantic_key=semantic_key(1.0))
    await cache.store("t1", "k", answer(), ttl_s=60, semantic_key=semantic_key(2.0))
    assert [(key, list(v)) for key, v in await cache.similar("t1", "g")] == [("k", [2.0])]


async def test_a_group_holds_only_its_newest_questions(cache: AnswerCache) -> None:
    for number in range(12):
        await cache.store("t1", f"k{number:02}", answer(), ttl_s=60, semantic_key=semantic_key(1.0))
    assert await keys(cache) == [f"k{number:02}" for number in range(4, 12)]
    assert await cache.lookup("t1", "k00") is not None


async def test_an_answer_that_is_evicted_takes_its_question_along(clock: SetClock) -> None:
    small = InMemoryAnswerCache(clock, limit=1)
    await small.store("t", "a", answer(), ttl_s=60, semantic_key=semantic_key(1.0))
    await small.store("t", "b", answer(), ttl_s=60)
    assert await keys(small, tenant="t") == []


@pytest.mark.real_servers
async def test_redis_holds_nothing_of_a_forgotten_question(tmp_path: Path) -> None:
    async with running_redis(tmp_path) as client:
        from foliotrace.adapters.redis.answer_cache import RedisAnswerCache

        cache = RedisAnswerCache(client)
        await cache.store(
            "t1", "k", answer("doc_1"), ttl_s=60, semantic_key=semantic_key(0.25, 0.75)
        )
        await cache.forget_document("t1", "doc_1")
        left = [name async for name in client.scan_iter()]
        assert left == [b"foliotrace:answers:{t1}:semantic:g"]  # names answers by keyed hash


async def test_the_least_recently_used_answer_is_evicted_first(clock: SetClock) -> None:
    small = InMemoryAnswerCache(clock, limit=2)
    await small.store("t", "a", answer(), ttl_s=60)
    await small.store("t", "b", answer(), ttl_s=60)
    await small.lookup("t", "a")
    await small.store("t", "c", answer(), ttl_s=60)
    assert [await small.lookup("t", k) is not None for k in "abc"] == [True, False, True]


@pytest.mark.real_servers
async def test_a_redis_that_dies_is_a_cache_that_does_not_answer(tmp_path: Path) -> None:
    async with running_redis(tmp_path) as client:
        from foliotrace.adapters.redis.answer_cache import RedisAnswerCache

        cache = RedisAnswerCache(client)
        await cache.store("t1", "k", answer(), ttl_s=60)
        await client.set("foliotrace:answers:{t1}:answer:old", b'{"another": "version"}')
        assert await cache.lookup("t1", "old") is None
    for refused in (
        cache.lookup("t1", "k"),
        cache.store("t1", "k", answer(), ttl_s=60),
        cache.forget_document("t1", "doc_1"),
        cache.similar("t1", "g"),
    ):
        with pytest.raises(CacheUnavailable):
            await refused


@pytest.mark.real_servers
async def test_redis_gives_an_answer_that_was_stored_before_answers_had_an_origin(
    tmp_path: Path,
) -> None:
    async with running_redis(tmp_path) as client:
        from foliotrace.adapters.redis.answer_cache import RedisAnswerCache

        cache = RedisAnswerCache(client)
        await cache.store("t1", "k", answer(), ttl_s=60)
        (name,) = await client.keys("*answer:k")
        older = orjson.loads(await client.get(name))
        del older["origin"]
        await client.set(name, orjson.dumps(older))
        assert await cache.lookup("t1", "k") == answer()


# --- stale answers -------------------------------------------------------------------------


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[SqliteStaleAnswers]:
    opened = SqliteStaleAnswers(tmp_path, limit=3)
    yield opened
    await opened.close()


async def test_a_stale_answer_is_found_before_and_after_it_is_written(
    kept: SqliteStaleAnswers, tmp_path: Path
) -> None:
    port: StaleAnswers = kept
    await port.store("t1", "k", stale())
    assert await port.lookup("t1", "k") == stale()
    await kept.close()
    again = SqliteStaleAnswers(tmp_path)
    assert await again.lookup("t1", "k") == stale()
    assert await again.lookup("t2", "k") is None
    await again.close()


async def test_a_stale_answer_stored_before_answers_had_an_origin_is_read(
    kept: SqliteStaleAnswers, tmp_path: Path
) -> None:
    await kept.store("t1", "k", stale())
    await kept.flush()
    with sqlite3.connect(tmp_path / "stale.db") as file:
        changed = file.execute("UPDATE answers SET stale = json_remove(stale, '$.answer.origin')")
        assert changed.rowcount == 1
        ((text,),) = file.execute("SELECT stale FROM answers").fetchall()
        assert "origin" not in text
    assert await kept.lookup("t1", "k") == stale()


async def test_a_deleted_document_leaves_no_word_in_the_file(
    kept: SqliteStaleAnswers, tmp_path: Path
) -> None:
    await kept.store("t1", "k1", stale("doc_1", CANARY))
    await kept.flush()
    await kept.store("t1", "k2", stale("doc_1", CANARY))  # waiting when the document goes
    await kept.store("t1", "k3", stale("doc_2"))
    await kept.forget_document("t1", "doc_1")
    await kept.flush()
    assert await kept.lookup("t1", "k1") is None
    assert await kept.lookup("t1", "k2") is None
    assert await kept.lookup("t1", "k3") is not None
    for file in tmp_path.iterdir():
        assert CANARY.encode() not in file.read_bytes(), file.name


async def test_only_the_newest_answers_of_a_tenant_are_kept(kept: SqliteStaleAnswers) -> None:
    for number in range(5):
        aged = replace(stale(), stored_at=datetime(2026, 11, number + 1, tzinfo=UTC))
        await kept.store("t1", f"k{number}", aged)
    await kept.store("t2", "k0", stale())
    await kept.flush()
    found = [await kept.lookup("t1", f"k{number}") is not None for number in range(5)]
    assert found == [False, False, True, True, True]
    assert await kept.lookup("t2", "k0") is not None


async def test_a_damaged_file_is_a_cache_that_does_not_answer(tmp_path: Path) -> None:
    (tmp_path / "stale.db").write_bytes(b"not a database at all" * 400)
    with pytest.raises(CacheUnavailable):
        SqliteStaleAnswers(tmp_path)


async def test_a_store_whose_disk_fails_is_unavailable_and_loses_only_itself(
    tmp_path: Path,
) -> None:
    kept = SqliteStaleAnswers(tmp_path)
    with sqlite3.connect(tmp_path / "stale.db") as broken:
        broken.execute("DROP TABLE answers")
    with pytest.raises(CacheUnavailable):
        await kept.lookup("t1", "k")
    await kept.store("t1", "k", stale())
    with pytest.raises(CacheUnavailable):
        await kept.close()
