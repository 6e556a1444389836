"""The ledger agrees with the provider's own bill, whatever fails on the way."""

import asyncio
import random
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from tests.journeys.billing_model import CACHED_USD, IN_USD, OUT_USD, BillingModel, running
from tests.lazy_sdk import lazy_call

from foliotrace.adapters.local.clock import SystemClock
from foliotrace.budget import CallOutcome, open_run
from foliotrace.errors import Unavailable
from foliotrace.model import Deadline
from foliotrace.ports import Prompt, TextGenerator
from foliotrace.resilient import GuardFactory
from foliotrace.settings import BudgetSettings, PriceSettings, ResilienceSettings
from foliotrace_server.external.own_parts import OwnParts
from foliotrace_server.external.services import SharedStores
from foliotrace_server.sections import LLMSettings
from foliotrace_server.settings import Settings

Models = lazy_call("foliotrace_server.external.models:Models")
pytestmark = pytest.mark.anyio
CALLS, AT_ONCE, TOKENS = 1000, 20, 120
TIMEOUT_S = (
    12.0  # on a busy machine too, only what hangs reaches it and is charged at its worst case
)
PASSAGE = "Unleaded costs 2.31 EUR per litre at the pump, and members pay within 28 days. "


@asynccontextmanager
async def priced(model: BillingModel, folder: Path) -> AsyncIterator[tuple[Any, SharedStores]]:
    price = PriceSettings(
        input_usd_per_million=IN_USD,
        output_usd_per_million=OUT_USD,
        cached_input_usd_per_million=CACHED_USD,
    )
    settings = Settings(
        data_dir=folder,
        budget=BudgetSettings(prices={"gpt-4o-mini": price}),
        llm=LLMSettings(
            provider="openai",
            model="gpt-4o-mini",
            api_base=model.url,
            api_key=SecretStr("sk-test"),
            timeout_s=TIMEOUT_S,
        ),
    )
    clock = SystemClock()
    resilience = ResilienceSettings(
        first_wait_s=0.001, longest_wait_s=0.002, breaker_failures=10_000, calls_at_once=AT_ONCE
    )
    guards = GuardFactory(resilience, clock=clock)
    shared = SharedStores(settings, clock=clock)
    made = Models(settings, clock=clock, guards=guards, ledger=shared.ledger, parts=OwnParts())
    yield made.generators[0], shared
    await made.close()
    await shared.close()


async def ask(generator: TextGenerator, number: int, draw: random.Random) -> Decimal:
    """What a run was charged. An eighth of the calls is streamed; a fifth of these lose readers."""
    size, leaves_after = draw.randint(1, 12), 0 if number % 40 else 10
    prompt = Prompt(system="Use the passages.", user=f"{number}: {PASSAGE * size}", version="1")
    deadline = Deadline(SystemClock().monotonic_s() + TIMEOUT_S)
    with open_run("acme", None) as run:
        try:
            if number % 8:
                await generator.generate(prompt, max_tokens=TOKENS, deadline=deadline)
                return run.usage.cost_usd
            pieces = generator.stream(prompt, max_tokens=TOKENS, deadline=deadline)
            async with aclosing(pieces):
                async for _ in pieces:
                    leaves_after -= 1
                    if leaves_after == 0:
                        break
        except Unavailable:
            pass
    return run.usage.cost_usd


@pytest.mark.slow
async def test_after_1000_calls_ledger_and_bill_differ_by_one_call_at_most(
    tmp_path: Path,
) -> None:
    seed = 1
    draw = random.Random(seed)
    async with (
        running(BillingModel(seed, pause_s=0.01)) as model,
        priced(model, tmp_path) as (generator, shared),
    ):
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(number: int) -> Decimal:
            async with slots:
                return await ask(generator, number, draw)

        charged = sum(await asyncio.gather(*map(one, range(CALLS))), Decimal(0))
        counted = await shared.ledger().spent_usd("acme")
    assert min(model.seen.values()) > 10, model.seen
    assert abs(charged - model.bill_usd) <= model.dearest_usd, (charged, model.bill_usd)
    assert charged <= counted <= charged + Decimal(2 * CALLS) / 1_000_000  # rounded up to 1e-6


async def test_a_reader_who_leaves_a_stream_ends_the_call_and_pays_for_what_had_come(
    tmp_path: Path,
) -> None:
    model = BillingModel(ways={"answered": 1}, pause_s=0.02)
    async with running(model) as model, priced(model, tmp_path) as (generator, _):
        prompt = Prompt(system="Use the passages.", user=PASSAGE, version="1")
        deadline = Deadline(SystemClock().monotonic_s() + 5)
        with open_run("acme", None) as run:
            pieces = generator.stream(prompt, max_tokens=500, deadline=deadline)
            async with aclosing(pieces):
                async for _ in pieces:
                    break
            async with asyncio.timeout(1):
                while model.open_streams:
                    await asyncio.sleep(0.01)
        assert [entry.outcome for entry in run.entries] == [CallOutcome.ABANDONED]
        assert abs(run.usage.cost_usd - model.bill_usd) < Decimal("0.0005")
        assert 0 < run.usage.completion_tokens < 20


async def by_stream(generator: TextGenerator, prompt: Prompt, deadline: Deadline) -> None:
    async for _ in generator.stream(prompt, max_tokens=90, deadline=deadline):
        pass


async def by_reply(generator: TextGenerator, prompt: Prompt, deadline: Deadline) -> None:
    await generator.generate(prompt, max_tokens=90, deadline=deadline)


async def test_a_call_that_times_out_is_charged_at_its_worst_case(tmp_path: Path) -> None:
    async with (
        running(BillingModel(ways={"hangs": 1})) as model,
        priced(model, tmp_path) as (generator, shared),
    ):
        prompt = Prompt(system="Use the passages.", user=PASSAGE, version="1")
        for ask_model in (by_stream, by_reply):
            deadline = Deadline(SystemClock().monotonic_s() + 0.3)
            with open_run("acme", None) as run, pytest.raises(Unavailable):
                await ask_model(generator, prompt, deadline)
            assert [entry.outcome for entry in run.entries] == [CallOutcome.UNKNOWN]
            assert run.usage.completion_tokens == 90
        assert await shared.ledger().spent_usd("acme") >= model.bill_usd


@pytest.mark.slow
async def test_after_a_kill_ledger_and_bill_differ_by_one_call_at_most(tmp_path: Path) -> None:
    model = BillingModel(3, pause_s=0.002, ways={"answered": 6, "no usage": 2, "error 500": 1})
    async with running(model):
        for kill in range(3):
            paying = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.journeys.paying_process", model.url, str(tmp_path),
                stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            assert paying.stdout is not None
            for _ in range(20 + kill):
                await paying.stdout.readline()
            paying.kill()
            await paying.communicate()
        async with priced(model, tmp_path) as (_, shared):
            counted = await shared.ledger().spent_usd("acme")
    assert model.seen["answered"] > 20
    assert abs(counted - model.bill_usd) <= 3 * model.dearest_usd  # one call in each kill


async def test_an_empty_stream_is_charged_what_its_provider_reports(tmp_path: Path) -> None:
    model = BillingModel(ways={"empty": 1})
    async with running(model), priced(model, tmp_path) as (generator, _):
        prompt = Prompt(system="Use the passages.", user=PASSAGE, version="1")
        with open_run("acme", None) as run, pytest.raises(Unavailable) as failed:
            await by_stream(generator, prompt, Deadline(SystemClock().monotonic_s() + 5))
    assert failed.value.reason == "llm_empty"
    assert run.usage.cost_usd == model.bill_usd > 0
