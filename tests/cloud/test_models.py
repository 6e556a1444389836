"""Language models from settings: in order, guarded, paid for."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from tests.fakes.openai import FakeOpenAI, running_fake_openai
from tests.fakes.openai.faults import LLMFault
from tests.fakes.wire import Fault
from tests.lazy_sdk import lazy_call

from foliotrace.adapters.local.clock import SystemClock
from foliotrace.budget import open_run
from foliotrace.errors import (
    BreakerOpen,
    BudgetExceeded,
    GeneratorUnavailable,
    Misconfigured,
    Unavailable,
)
from foliotrace.model import Deadline
from foliotrace.ports import Prompt
from foliotrace.resilient import GuardFactory
from foliotrace.settings import BudgetSettings, PriceSettings, ResilienceSettings
from foliotrace_server.doctor import examine
from foliotrace_server.external.own_parts import OwnParts
from foliotrace_server.external.services import SharedStores
from foliotrace_server.sections import EmbeddingSettings, LLMSettings
from foliotrace_server.settings import Settings

Models = lazy_call("foliotrace_server.external.models:Models")
ModelAccess = lazy_call("foliotrace.adapters.llamaindex.providers:ModelAccess")
language_model = lazy_call("foliotrace.adapters.llamaindex.providers:language_model")

pytestmark = pytest.mark.anyio
PROMPT = Prompt(
    system="Use the passages.",
    user="[1] Unleaded costs 2.31 EUR.\nQuestion: What does unleaded cost?",
    version="1",
)


@pytest.fixture
def fake() -> Iterator[FakeOpenAI]:
    with running_fake_openai() as running:
        yield running


def llm(fake: FakeOpenAI, model: str = "gpt-4o-mini", **given: Any) -> LLMSettings:
    return LLMSettings(
        provider="openai", model=model, api_base=fake.url, api_key=SecretStr("sk-fake"), **given
    )


@asynccontextmanager
async def models(folder: Path, **given: Any) -> AsyncIterator[Any]:
    settings = Settings(data_dir=folder, **given)
    clock = SystemClock()
    guards = GuardFactory(ResilienceSettings(first_wait_s=0.01), clock=clock)
    shared = SharedStores(settings, clock=clock)
    made = Models(settings, clock=clock, guards=guards, ledger=shared.ledger, parts=OwnParts())
    yield made
    await made.close()
    await shared.close()


@pytest.fixture
def any_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    """Providers that are extras are answered by OpenAI's class: what differs is in our settings."""

    def as_openai(access: Any, http: httpx.AsyncClient) -> Any:
        return language_model(replace(access, provider="openai", model="gpt-4o-mini"), http)

    monkeypatch.setattr("foliotrace_server.external.models.language_model", as_openai)


def soon() -> Deadline:
    return Deadline(SystemClock().monotonic_s() + 20)


async def test_an_answer_is_metered_with_its_tokens_and_cost(
    fake: FakeOpenAI, tmp_path: Path
) -> None:
    async with models(tmp_path, llm=llm(fake)) as made:
        with open_run("t1", Decimal("0.10")) as budget:
            done = await made.generators[0].generate(PROMPT, max_tokens=100, deadline=soon())
    assert "2.31" in done.text
    assert (budget.usage.prompt_tokens, budget.usage.completion_tokens) == fake.tokens()
    assert budget.usage.cost_usd > 0


@pytest.mark.parametrize("fault", [LLMFault.overloaded, Fault.server_error, Fault.reset_after_work])
async def test_a_call_makes_at_most_three_requests_and_an_open_breaker_none(
    fake: FakeOpenAI, tmp_path: Path, fault: Fault
) -> None:
    fake.fail("POST /v1/chat/completions", fault)
    async with models(tmp_path, llm=llm(fake)) as made:
        for requests in (3, 6, 9):
            with pytest.raises(Unavailable):
                await made.generators[0].generate(PROMPT, max_tokens=100, deadline=soon())
            assert fake.count() == requests
        with pytest.raises(BreakerOpen):
            await made.generators[0].generate(PROMPT, max_tokens=100, deadline=soon())
        assert fake.count() == 9


@pytest.mark.parametrize("fault", [LLMFault.bad_key, Fault.payment_required, Fault.not_found])
async def test_what_only_an_operator_can_mend_is_asked_once(
    fake: FakeOpenAI, tmp_path: Path, fault: Fault
) -> None:
    fake.fail("POST /v1/chat/completions", fault)
    async with models(tmp_path, llm=llm(fake)) as made:
        with pytest.raises(GeneratorUnavailable):
            await made.generators[0].generate(PROMPT, max_tokens=100, deadline=soon())
    assert fake.count() == 1


async def test_a_day_s_budget_is_refused_before_a_request(fake: FakeOpenAI, tmp_path: Path) -> None:
    budget = BudgetSettings(daily_usd_per_tenant=Decimal("0.000001"))
    async with models(tmp_path, llm=llm(fake), budget=budget) as made:
        with pytest.raises(BudgetExceeded), open_run("t1", Decimal("0.10")):
            await made.generators[0].generate(PROMPT, max_tokens=100, deadline=soon())
    assert fake.count() == 0


@pytest.mark.parametrize(
    ("provider", "unknown", "asked"),
    [
        (provider, unknown, asked)
        for provider in ("openai", "openai_like")
        for unknown, asked in (("dearest", 0), ("free", 1), ("deny", 0))
    ],
)
async def test_a_model_nobody_prices_follows_the_policy_whoever_serves_it(
    fake: FakeOpenAI, tmp_path: Path, any_provider: None, provider: Any, unknown: Any, asked: int
) -> None:
    given = own(fake, provider)
    budget = BudgetSettings(unknown_price=unknown, max_cost_per_query_usd=Decimal("0.01"))
    async with models(tmp_path, llm=given, budget=budget) as made:
        made._prices._prices[given.model] = None  # as a model of tomorrow
        with open_run("t1", Decimal("0.01")):
            call = made.generators[0].generate(PROMPT, max_tokens=500, deadline=soon())
            if asked:
                await call
            else:
                with pytest.raises(BudgetExceeded):
                    await call
    assert fake.count() == asked


@pytest.mark.parametrize("unknown", ["dearest", "deny"])
async def test_a_model_that_was_declared_free_costs_nothing_and_is_asked(
    fake: FakeOpenAI, tmp_path: Path, any_provider: None, unknown: Any
) -> None:
    budget = BudgetSettings(unknown_price=unknown)
    given = own(fake, "openai_like", free=True)
    async with models(tmp_path, llm=given, budget=budget) as made:
        with open_run("t1", Decimal(0)) as budget:
            await made.generators[0].generate(PROMPT, max_tokens=500, deadline=soon())
    assert (budget.usage.cost_usd, budget.usage.prompt_tokens > 0) == (0, True)
    hosted = own(fake, "openai", free=True)  # a name that the table does price
    async with models(tmp_path, llm=hosted) as made:
        with open_run("t1", Decimal(0)) as budget:
            await made.generators[0].generate(PROMPT, max_tokens=500, deadline=soon())
    assert budget.usage.cost_usd == 0


def own(fake: FakeOpenAI, provider: Any, *, free: bool = False) -> LLMSettings:
    return LLMSettings(
        provider=provider,
        model="gpt-4o-mini" if provider == "openai" else "our-llama-7b",
        api_base=fake.url,
        api_key=SecretStr("sk-fake"),
        free=free,
    )


def test_doctor_names_a_model_whose_price_is_unknown(tmp_path: Path) -> None:
    def said(**given: Any) -> tuple[str, str]:
        key = SecretStr("sk-fake")
        given_llm = given.pop("llm", {})
        llm = LLMSettings(provider="openai", model="our-llama-7b", api_key=key, **given_llm)
        found = examine(Settings(data_dir=tmp_path, llm=llm, **given))
        finding = next(each for each in found if each.area == "language model")
        return finding.state, finding.said

    assert "unknown: it counts as the dearest" in said()[1]
    assert "will not be asked" in said(budget=BudgetSettings(unknown_price="deny"))[1]
    assert said()[0] == "problem"
    priced = PriceSettings(input_usd_per_million=Decimal(1), output_usd_per_million=Decimal(1))
    for settled in (
        {"llm": {"free": True}},
        {"budget": BudgetSettings(prices={"our-llama-7b": priced})},
        {"budget": BudgetSettings(unknown_price="free")},
    ):
        assert said(**settled)[0] == "on"


async def test_the_operator_s_price_wins_over_the_table(fake: FakeOpenAI, tmp_path: Path) -> None:
    dear = PriceSettings(
        input_usd_per_million=Decimal(1_000_000), output_usd_per_million=Decimal(0)
    )
    budget = BudgetSettings(prices={"gpt-4o-mini": dear})
    async with models(tmp_path, llm=llm(fake), budget=budget) as made:
        with open_run("t1", Decimal(1000)) as budget:
            await made.generators[0].generate(PROMPT, max_tokens=100, deadline=soon())
    assert budget.usage.cost_usd == budget.usage.prompt_tokens


async def test_settings_that_cannot_work_stop_the_start(tmp_path: Path, fake: FakeOpenAI) -> None:
    for given in (
        {"llm": LLMSettings(provider="openai", model="gpt-4o-mini")},
        {"llm_fallbacks": (llm(fake),)},
        {"llm": llm(fake, model="no-such-model-of-openai")},
    ):
        with pytest.raises(Misconfigured):
            async with models(tmp_path, **given):
                pass


async def test_an_embedder_is_guarded_too(fake: FakeOpenAI, tmp_path: Path) -> None:
    given = EmbeddingSettings(
        provider="openai",
        model="text-embedding-3-small",
        api_base=fake.url,
        api_key=SecretStr("sk-fake"),
    )
    async with models(tmp_path, embedding=given) as made:
        assert made.embedder is not None
        assert len(await made.embedder.embed_query("fuel", deadline=soon())) == 1536
        fake.fail("POST /v1/embeddings", Fault.unavailable)
        for _ in range(4):
            with pytest.raises(Unavailable):
                await made.embedder.embed_query("fuel", deadline=soon())
    assert fake.count("POST /v1/embeddings", status=503) == 9


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"provider": "openai", "model": "gpt-4o-mini"}, "has no key"),
        ({"provider": "ollama", "model": "llama3.2"}, "not installed"),
        ({"provider": "import", "model": "nowhere:model"}, "cannot be imported"),
    ],
)
def test_doctor_says_that_a_model_cannot_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], said: str
) -> None:
    monkeypatch.setattr("foliotrace_server.doctor.configuration.find_spec", lambda name: None)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    found = examine(Settings(data_dir=tmp_path, llm=LLMSettings(**given)))
    row = next(each for each in found if each.area == "language model")
    assert (row.state, said in row.said, bool(row.adds)) == ("problem", True, True)
