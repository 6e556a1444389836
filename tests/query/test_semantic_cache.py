"""A kept answer for a question that asks the same: words decide, vectors agree, nothing is lost."""

import json
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from tests.query.query_stack import HANDBOOK, QueryStack, Scripted, streamed_text
from tests.query.questions import MINIMAL_EDITS, REWORDED

from foliotrace.adapters.local.answer_cache import InMemoryAnswerCache
from foliotrace.budget import ZERO_PRICE, CallKind, Price
from foliotrace.errors import (
    BudgetExceeded,
    CacheUnavailable,
    DeadlineExceeded,
    EmbedderUnavailable,
    GeneratorUnavailable,
    Unavailable,
)
from foliotrace.model import CacheState, Deadline, Principal
from foliotrace.ports import Reservation
from foliotrace.resilient import EmbedOncePerQuery, Meter, MeteredEmbedder
from foliotrace.settings import QuerySettings

pytestmark = pytest.mark.anyio
QUESTION = "When are refunds paid?"
REWORDED_QUESTION = "Could you tell me when refunds are paid, please?"


class OneVector:
    """The worst embedder there can be: it gives every text the same vector."""

    ready = True

    model = "same-1"

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.deadlines: list[Deadline] = []
        self.vector: Sequence[float] = (0.6, 0.8)
        self.error: Unavailable | None = None

    async def embed(self, texts: Sequence[str], *, deadline: Deadline) -> list[Sequence[float]]:
        return [await self.embed_query(text, deadline=deadline) for text in texts]

    async def embed_query(self, text: str, *, deadline: Deadline) -> Sequence[float]:
        self.texts.append(text)
        self.deadlines.append(deadline)
        if self.error is not None:
            raise self.error
        return self.vector


@pytest.fixture
def embedder() -> OneVector:
    return OneVector()


@pytest.fixture
async def caching(stack: QueryStack, embedder: OneVector) -> QueryStack:
    stack.use(cache=InMemoryAnswerCache(stack.clock), embedder=EmbedOncePerQuery(embedder))
    await stack.serve(*HANDBOOK)
    return stack


async def test_the_same_question_in_other_words_gets_the_kept_answer_as_a_run_of_its_own(
    caching: QueryStack,
) -> None:
    first = await caching.ask(QUESTION)
    events, second = await caching.watch(REWORDED_QUESTION)
    assert (first.cache, second.cache) == (CacheState.MISS, CacheState.SEMANTIC)
    assert (second.text, second.citations) == (first.text, first.citations)
    assert streamed_text(events) == second.text
    assert second.run_id != first.run_id
    assert caching.audit.entries[-1].run_id == second.run_id
    assert (await caching.ask(QUESTION)).cache is CacheState.EXACT


@pytest.mark.parametrize(("kept", "asked"), [pair for p in MINIMAL_EDITS for pair in (p, p[::-1])])
async def test_no_minimal_edit_hits_although_its_vector_is_the_same(
    caching: QueryStack, kept: str, asked: str
) -> None:
    await caching.serve(f"{kept} {asked} Both are answered here.", name="faq.txt")
    await caching.ask(kept)
    if (again := await caching.ask(kept)).cache is not CacheState.EXACT:
        assert not again.citations, "the answer was not kept, so nothing could hit"
    assert (await caching.ask(asked)).cache is CacheState.MISS


@pytest.mark.parametrize(("kept", "asked"), REWORDED)
async def test_rewordings_hit_when_vectors_agree_and_only_then(
    caching: QueryStack, embedder: OneVector, kept: str, asked: str
) -> None:
    await caching.serve(f"{kept} It is answered here.", name="faq.txt")
    answer = await caching.ask(kept)
    assert answer.citations
    embedder.vector = (0.8, -0.6)
    assert (await caching.ask(asked)).cache is CacheState.MISS
    caching.clock.pass_s(4000)  # both are forgotten
    await caching.ask(kept)
    assert (await caching.ask(asked)).cache is CacheState.SEMANTIC


@pytest.mark.parametrize(
    "other",
    [
        {"top_k": 4},
        {"collection": "legal"},
        {"filters": {"title": ["notes.txt"]}},
        {"bypass_cache": True},
    ],
)
async def test_another_scope_or_option_misses(
    caching: QueryStack, other: dict[str, object]
) -> None:
    await caching.serve("Contracts are signed twice.", name="legal.txt", collection="legal")
    await caching.ask(QUESTION)
    assert (await caching.ask(REWORDED_QUESTION, **other)).cache is not CacheState.SEMANTIC


def glossary(folder: Path, *words: str) -> QuerySettings:
    """Settings with a lexicon of one group of synonyms."""
    (folder / "own.toml").write_text(f"[[synonyms]]\nwords = {list(words)}\n")
    return QuerySettings(lexicon=folder)


async def test_another_tenant_model_or_glossary_is_no_hit(
    caching: QueryStack, tmp_path: Path
) -> None:
    await caching.ask(QUESTION)
    here = caching.services
    other = OneVector()
    other.model = "same-2"
    for changed, asked in (
        ({"identify": lambda: Principal(tenant="t2")}, REWORDED_QUESTION),
        ({"embedder": EmbedOncePerQuery(other)}, "Please tell me when refunds are paid."),
        (
            {"settings": glossary(tmp_path, "shipping", "postage")},
            "Do you know when refunds are paid?",
        ),
        ({}, "Can you tell me when refunds are paid?"),
    ):
        caching.services = replace(here, **changed)  # type: ignore[arg-type]
        wanted = CacheState.MISS if changed else CacheState.SEMANTIC
        assert (await caching.ask(asked)).cache is wanted, asked


async def test_a_change_of_the_library_ends_every_hit(caching: QueryStack) -> None:
    await caching.ask(QUESTION)
    await caching.serve("Refunds are paid within 10 days.", name="new.txt", content_hash="b" * 64)
    assert (await caching.ask(REWORDED_QUESTION)).cache is CacheState.MISS


async def test_synonyms_of_the_operator_hit(caching: QueryStack, tmp_path: Path) -> None:
    caching.use(settings=glossary(tmp_path, "refunds", "repayments"))
    await caching.ask(QUESTION)
    assert (await caching.ask("When are repayments paid?")).cache is CacheState.SEMANTIC


async def test_degraded_and_abstained_answers_are_never_hits(
    caching: QueryStack,
) -> None:
    caching.use(generators=(Scripted(error=GeneratorUnavailable("503")),))
    await caching.ask(QUESTION)
    assert (await caching.ask(REWORDED_QUESTION)).cache is CacheState.MISS
    caching.use(generators=())
    await caching.ask("Which enzyme inhibits mitochondria?")
    assert (await caching.ask("What enzyme inhibits mitochondria?")).cache is CacheState.MISS


@pytest.mark.parametrize(
    "error",
    [
        EmbedderUnavailable("503"),
        DeadlineExceeded("late", reason="embedder_timeout"),
        EmbedderUnavailable("dear", reason="budget_exceeded"),
    ],
)
async def test_an_embedder_that_fails_is_a_miss_and_changes_no_answer(
    caching: QueryStack, embedder: OneVector, error: Unavailable
) -> None:
    first = await caching.ask(QUESTION)
    embedder.error = error
    answer = await caching.ask(REWORDED_QUESTION)
    assert (answer.cache, answer.text) == (CacheState.MISS, first.text)
    assert answer.degradation == first.degradation
    assert embedder.texts.count(REWORDED_QUESTION) == 1  # a failure, too, is asked for once
    embedder.error = None
    assert (await caching.ask(REWORDED_QUESTION)).cache is CacheState.EXACT


@pytest.mark.parametrize("vector", [(), (0.0, 0.0), (float("nan"), 1.0)])
async def test_vectors_that_are_none_agree_with_nothing_nor_with_themselves(
    caching: QueryStack, embedder: OneVector, vector: Sequence[float]
) -> None:
    await caching.ask(QUESTION)
    embedder.vector = vector
    assert (await caching.ask(REWORDED_QUESTION)).cache is CacheState.MISS
    assert (await caching.ask("Please tell me when refunds are paid.")).cache is CacheState.MISS


async def test_a_vector_of_another_length_is_of_another_model(
    caching: QueryStack, embedder: OneVector
) -> None:
    await caching.ask(QUESTION)
    embedder.vector = (0.6, 0.8, 0.0)
    assert (await caching.ask(REWORDED_QUESTION)).cache is CacheState.MISS


async def test_a_cache_that_dies_between_two_calls_is_a_miss(caching: QueryStack) -> None:
    class DiesWhenAskedForMore(InMemoryAnswerCache):
        async def similar(self, tenant: str, group: str) -> list[object]:  # type: ignore[override]
            raise CacheUnavailable("down")

    caching.use(cache=DiesWhenAskedForMore(caching.clock))
    await caching.ask(QUESTION)
    assert (await caching.ask(REWORDED_QUESTION)).cache is CacheState.MISS


async def test_a_question_is_embedded_once_and_its_vector_serves_retrieval_too(
    caching: QueryStack, embedder: OneVector
) -> None:
    class AsVectorsDo:
        """Asks for the question's vector as the vector index does, then for the keywords."""

        ready = True

        async def retrieve(self, query, *, top_k, deadline):  # type: ignore[no-untyped-def]
            await caching.services.embedder.embed_query(query.text, deadline=deadline)  # type: ignore[union-attr]
            return await keyword.retriever.retrieve(query, top_k=top_k, deadline=deadline)

    keyword = caching.keyword()
    caching.use_paths(replace(keyword, retriever=AsVectorsDo()))
    await caching.ask(QUESTION)
    assert embedder.texts == [QUESTION]
    await caching.ask(QUESTION)
    assert embedder.texts == [QUESTION]  # an exact hit needs no vector
    settings = caching.services.settings
    latest = caching.clock.monotonic_s() + settings.retrieval_deadline_s
    assert all(deadline.at_s <= latest for deadline in embedder.deadlines)


class Counted:
    """A ledger that remembers what was reserved and settled."""

    def __init__(self, error: BudgetExceeded | None = None) -> None:
        self.reserved: list[Decimal] = []
        self.settled: list[Decimal] = []
        self._error = error

    async def reserve(self, tenant: str, amount_usd: Decimal) -> Reservation:
        if self._error is not None:
            raise self._error
        self.reserved.append(amount_usd)
        return Reservation(id="r", tenant=tenant, amount_usd=amount_usd)

    async def settle(self, reservation: Reservation, actual_usd: Decimal) -> None:
        self.settled.append(actual_usd)

    async def spent_usd(self, tenant: str) -> Decimal:
        return sum(self.settled, Decimal(0))


def paid(embedder: OneVector, ledger: Counted, price: Price) -> EmbedOncePerQuery:
    meter = Meter(CallKind.EMBEDDING, price_of=lambda _: price, ledger=lambda: ledger)
    return EmbedOncePerQuery(MeteredEmbedder(embedder, meter))


async def test_what_a_vector_costs_counts_to_the_question_that_asked_for_it(
    caching: QueryStack, embedder: OneVector
) -> None:
    ledger = Counted()
    price = Price(input_usd=Decimal("0.00001"), output_usd=Decimal(0))
    caching.use(embedder=paid(embedder, ledger, price))
    made = await caching.ask(QUESTION)
    again = await caching.ask(REWORDED_QUESTION)
    exact = await caching.ask(REWORDED_QUESTION)
    assert (again.cache, exact.cache) == (CacheState.SEMANTIC, CacheState.SEMANTIC)
    for answer in (made, again):
        assert answer.usage.cost_usd == answer.usage.embedding_tokens * price.input_usd > 0
    assert ledger.reserved == ledger.settled
    assert await ledger.spent_usd("default") == sum(
        answer.usage.cost_usd for answer in (made, again, exact)
    )


async def test_a_budget_that_refuses_the_vector_is_a_miss_and_a_failed_call_costs_nothing(
    caching: QueryStack, embedder: OneVector
) -> None:
    dear = Price(input_usd=Decimal(1), output_usd=Decimal(0))
    spent = Counted(BudgetExceeded("the day is spent"))
    for ledger, price in ((Counted(), dear), (spent, replace(dear, input_usd=Decimal("0.0001")))):
        caching.use(embedder=paid(embedder, ledger, price))
        answer = await caching.ask(QUESTION, top_k=3 if ledger is spent else 4)
        assert (answer.cache, answer.usage.cost_usd) == (CacheState.MISS, 0)
        assert answer.citations
    assert embedder.texts == []
    failing = Counted()
    embedder.error = EmbedderUnavailable("503")
    caching.use(embedder=paid(embedder, failing, replace(dear, input_usd=Decimal("0.0001"))))
    assert (await caching.ask(REWORDED_QUESTION)).usage.cost_usd == 0
    assert (len(failing.reserved), failing.settled) == (1, [0])
    embedder.error = None
    free = Counted()
    caching.use(embedder=paid(embedder, free, ZERO_PRICE))
    assert (await caching.ask("Where are refunds paid?")).usage.embedding_tokens > 0
    assert free.reserved == []


async def test_what_is_kept_of_a_question_is_a_hash_and_a_vector(
    caching: QueryStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored: list[str] = []
    store = InMemoryAnswerCache.store

    async def noting(self, tenant, key, answer, *, ttl_s, semantic_key=None):  # type: ignore[no-untyped-def]
        stored.append(json.dumps([key, semantic_key.group, semantic_key.vector]))
        await store(self, tenant, key, answer, ttl_s=ttl_s, semantic_key=semantic_key)

    monkeypatch.setattr(InMemoryAnswerCache, "store", noting)
    await caching.ask(QUESTION)
    assert len(stored) == 1
    assert not any(word in stored[0].lower() for word in ("when", "refunds", "paid"))
