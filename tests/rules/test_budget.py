"""Money has a cap: of a query in its budget, of a tenant in the ledger."""

import asyncio
from collections.abc import AsyncGenerator
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foliotrace import budget as rules
from foliotrace.adapters.local.clock import SystemClock
from foliotrace.budget import BudgetState, CallKind, Price, PriceOf, UnknownPrice, open_run
from foliotrace.errors import (
    BudgetExceeded,
    DeadlineExceeded,
    GeneratorUnavailable,
    LedgerUnavailable,
)
from foliotrace.model import Deadline, Usage
from foliotrace.ports import Delta, Generation, Prompt, Reservation
from foliotrace.resilient import Meter, MeteredGenerator

PRICE = Price(input_usd=Decimal("0.000003"), output_usd=Decimal("0.000015"))
PROMPT = Prompt(system="Answer.", user="What is the fuel price?", version="1")
FAR = Deadline(1e12)


class CountingLedger:
    def __init__(self) -> None:
        self.open: dict[str, Decimal] = {}
        self.settled: list[Decimal] = []

    async def reserve(self, tenant: str, amount_usd: Decimal) -> Reservation:
        reservation = Reservation(
            id=str(len(self.settled) + len(self.open)), tenant=tenant, amount_usd=amount_usd
        )
        self.open[reservation.id] = amount_usd
        return reservation

    async def settle(self, reservation: Reservation, actual_usd: Decimal) -> None:
        del self.open[reservation.id]
        self.settled.append(actual_usd)

    async def spent_usd(self, tenant: str) -> Decimal:
        return sum(self.settled, Decimal(0))


class FixedLLM:
    ready = True
    model = "fixed-1"

    def __init__(self, usage: Usage, *, error: Exception | None = None, pieces: int = 3) -> None:
        self.usage, self.error, self.pieces = usage, error, pieces
        self.asked: list[int] = []

    async def generate(self, prompt: Prompt, *, max_tokens: int, deadline: Deadline) -> Generation:
        self.asked.append(max_tokens)
        if self.error:
            raise self.error
        return Generation(text="2.31 EUR", model=self.model, usage=self.usage)

    async def stream(
        self, prompt: Prompt, *, max_tokens: int, deadline: Deadline
    ) -> AsyncGenerator[Delta, None]:
        for _ in range(self.pieces):
            yield Delta(text="word " * 20)
        if self.error:
            raise self.error
        yield Delta(done=await self.generate(prompt, max_tokens=max_tokens, deadline=deadline))


def metered(
    llm: FixedLLM,
    ledger: CountingLedger,
    *,
    price_of: PriceOf = {"fixed-1": PRICE}.get,
    unknown: UnknownPrice = UnknownPrice.DEAREST,
) -> MeteredGenerator:
    meter = Meter(CallKind.LLM, price_of=price_of, ledger=lambda: ledger, unknown=unknown)
    return MeteredGenerator(llm, meter, clock=SystemClock())


@given(amount=st.decimals(0, 10_000, places=9))
def test_rounding_to_micro_dollars_never_loses_money(amount: Decimal) -> None:
    assert 0 <= rules.to_micro_usd(amount) - amount * 1_000_000 < 1


@given(
    left=st.decimals(0, 1, places=6),
    prompt=st.integers(0, 20_000),
    most=st.integers(1, 8_000),
)
def test_an_affordable_answer_never_costs_more_than_is_left(
    left: Decimal, prompt: int, most: int
) -> None:
    tokens = rules.affordable_tokens(left, prompt_tokens=prompt, max_tokens=most, price=PRICE)
    assert 0 <= tokens <= most
    if tokens:
        assert rules.worst_case_usd(prompt, tokens, PRICE) <= left


@given(calls=st.lists(st.tuples(st.integers(1, 60), st.integers(0, 60)), max_size=30))
def test_a_query_passes_its_cap_by_one_calls_estimation_error_at_most(
    calls: list[tuple[int, int]],
) -> None:
    state, worst_error = BudgetState(cap_usd=Decimal("1.00")), Decimal(0)
    for held_cents, actual_cents in calls:
        held, actual = Decimal(held_cents) / 100, Decimal(actual_cents) / 100
        try:
            state = state.reserve(held)
        except BudgetExceeded:
            continue
        state = state.settle(held, actual)
        worst_error = max(worst_error, actual - held)
    assert state.spent_usd <= state.cap_usd + max(worst_error, Decimal(0))


@pytest.mark.anyio
async def test_a_call_is_reserved_at_its_worst_and_settled_at_its_cost() -> None:
    ledger = CountingLedger()
    llm = FixedLLM(Usage(prompt_tokens=20, completion_tokens=5))
    with open_run("acme", Decimal("0.10")) as budget:
        generation = await metered(llm, ledger).generate(PROMPT, max_tokens=500, deadline=FAR)
    cost = 20 * PRICE.input_usd + 5 * PRICE.output_usd
    assert generation.usage.prompt_tokens == 20
    assert cost == budget.usage.cost_usd
    assert (ledger.open, ledger.settled) == ({}, [cost])
    assert budget.usage.llm_calls == 1


@pytest.mark.anyio
async def test_the_answer_is_shortened_to_what_is_left() -> None:
    llm = FixedLLM(Usage(prompt_tokens=20, completion_tokens=5))
    with open_run("acme", Decimal("0.003")):
        await metered(llm, CountingLedger()).generate(PROMPT, max_tokens=8000, deadline=FAR)
    assert 64 <= llm.asked[0] < 200


@pytest.mark.anyio
async def test_without_enough_money_nothing_is_asked() -> None:
    llm, ledger = FixedLLM(Usage()), CountingLedger()
    with open_run("acme", Decimal("0.0001")), pytest.raises(BudgetExceeded):
        await metered(llm, ledger).generate(PROMPT, max_tokens=8000, deadline=FAR)
    assert (llm.asked, ledger.settled, ledger.open) == ([], [], {})


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("error", "is_billed"),
    [(GeneratorUnavailable("503"), False), (DeadlineExceeded("late"), True)],
)
async def test_a_failed_call_gives_its_reservation_back_unless_it_may_have_been_billed(
    error: Exception, is_billed: bool
) -> None:
    ledger = CountingLedger()
    with open_run("acme", Decimal("0.10")) as budget, pytest.raises(type(error)):
        await metered(FixedLLM(Usage(), error=error), ledger).generate(
            PROMPT, max_tokens=100, deadline=FAR
        )
    assert ledger.open == {}
    assert (ledger.settled[0] > 0) is is_billed
    assert budget.state.reserved_usd == 0


@pytest.mark.anyio
async def test_a_cancelled_call_is_settled_at_its_worst_since_it_may_be_billed() -> None:
    class HangingLLM(FixedLLM):
        async def generate(self, *_: object, **__: object) -> Generation:
            await asyncio.sleep(60)
            raise AssertionError

    ledger = CountingLedger()
    with open_run("acme", Decimal("0.10")) as budget, pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await metered(HangingLLM(Usage()), ledger).generate(
                PROMPT, max_tokens=100, deadline=FAR
            )
    assert ledger.settled[0] >= 100 * PRICE.output_usd
    assert (budget.state.reserved_usd, budget.state.spent_usd) == (0, ledger.settled[0])


@pytest.mark.anyio
async def test_a_stream_that_reaches_its_reservation_is_cut_and_says_so() -> None:
    llm, ledger = FixedLLM(Usage(), pieces=1000), CountingLedger()
    with open_run("acme", Decimal("0.10")):
        deltas = [
            d async for d in metered(llm, ledger).stream(PROMPT, max_tokens=100, deadline=FAR)
        ]
    done = deltas[-1].done
    assert done is not None
    assert done.finish_reason == "budget"
    assert len(deltas) < 12
    assert ledger.open == {}


@pytest.mark.anyio
async def test_a_stream_that_breaks_off_is_charged_for_what_had_come() -> None:
    llm, ledger = FixedLLM(Usage(), error=GeneratorUnavailable("cut")), CountingLedger()

    async def read() -> None:
        async for _ in metered(llm, ledger).stream(PROMPT, max_tokens=100, deadline=FAR):
            pass

    with open_run("acme", Decimal("0.10")) as run, pytest.raises(GeneratorUnavailable):
        await read()
    assert run.usage.completion_tokens == 3 * len("word " * 20) // 4
    assert ledger.settled == [run.usage.cost_usd]


@pytest.mark.anyio
async def test_a_model_without_a_price_is_handled_by_policy() -> None:
    llm = FixedLLM(Usage(prompt_tokens=1000))
    unknown = metered(llm, CountingLedger(), price_of=lambda _: None, unknown=UnknownPrice.DENY)
    with pytest.raises(BudgetExceeded, match="unknown"):
        await unknown.generate(PROMPT, max_tokens=10, deadline=FAR)
    free = metered(llm, CountingLedger(), price_of=lambda _: None, unknown=UnknownPrice.FREE)
    with open_run("acme", None) as run:
        await free.generate(PROMPT, max_tokens=10, deadline=FAR)
    assert run.usage.cost_usd == 0


class FailingLedger(CountingLedger):
    def __init__(self, *, at: str) -> None:
        super().__init__()
        self.at = at

    async def reserve(self, tenant: str, amount_usd: Decimal) -> Reservation:
        if self.at == "reserve":
            raise LedgerUnavailable("down")
        return await super().reserve(tenant, amount_usd)

    async def settle(self, reservation: Reservation, actual_usd: Decimal) -> None:
        raise LedgerUnavailable("down")


@pytest.mark.anyio
async def test_a_ledger_that_is_down_is_no_failure_of_the_model() -> None:
    llm = FixedLLM(Usage())
    with pytest.raises(LedgerUnavailable) as down:
        await metered(llm, FailingLedger(at="reserve")).generate(
            PROMPT, max_tokens=100, deadline=FAR
        )
    assert (llm.asked, down.value.lasting, down.value.answered) == ([], True, True)


@pytest.mark.anyio
async def test_an_answer_that_is_paid_for_is_kept_when_it_cannot_be_settled() -> None:
    llm, ledger = FixedLLM(Usage(prompt_tokens=20)), FailingLedger(at="settle")
    done = await metered(llm, ledger).generate(PROMPT, max_tokens=100, deadline=FAR)
    assert done.text == "2.31 EUR"
    assert len(ledger.open) == 1  # the worst case stays reserved until its lease ends
