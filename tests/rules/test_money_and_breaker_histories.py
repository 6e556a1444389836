"""Whatever happens in whatever order: a cap holds, and a breaker lets one probe through."""

import tempfile
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from foliotrace import resilience as rules
from foliotrace.adapters.local.sqlite.ledger import SqliteLedger
from foliotrace.errors import BudgetExceeded
from foliotrace.ports import Reservation
from foliotrace.resilience import Breaker, BreakerPolicy, BreakerStatus

CAP = Decimal("1.00")
POLICY = BreakerPolicy(failures=3, rest_s=5.0, cap_s=40.0)


class HandClock:
    at_s = datetime(2026, 11, 21, 1, tzinfo=UTC).timestamp()

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.at_s, UTC)

    def monotonic_s(self) -> float:
        return self.at_s


def step(coroutine):
    """Run a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waited")


@settings(max_examples=60, deadline=None)
@given(
    moves=st.lists(
        st.one_of(
            st.tuples(st.just("reserve"), st.integers(0, 1), st.integers(1, 60)),
            st.tuples(st.just("settle"), st.integers(0, 1), st.integers(0, 60)),
            st.tuples(st.just("crash"), st.integers(0, 1), st.just(0)),
            st.tuples(st.just("wait"), st.just(0), st.integers(1, 900)),
        ),
        max_size=40,
    )
)
def test_two_processes_that_crash_never_pass_a_cap_by_more_than_a_call(
    moves: list[tuple[str, int, int]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        clock, file = HandClock(), Path(folder) / "budget.db"

        def opened() -> SqliteLedger:
            return SqliteLedger(file, clock=clock, daily_cap_usd=CAP, lease_s=600)

        ledgers = [opened(), opened()]
        held: list[list[Reservation]] = [[], []]
        spent, overrun = Decimal(0), Decimal(0)
        for what, who, amount in moves:
            if what == "reserve":
                try:
                    held[who].append(step(ledgers[who].reserve("t", Decimal(amount) / 100)))
                except BudgetExceeded:
                    continue
            elif what == "settle" and held[who]:
                reservation = held[who].pop(0)
                actual = min(Decimal(amount) / 100, reservation.amount_usd)
                before = step(ledgers[who].spent_usd("t"))
                step(ledgers[who].settle(reservation, actual))
                spent += actual
                overrun = max(overrun, step(ledgers[who].spent_usd("t")) - max(before, CAP))
            elif what == "crash":
                ledgers[who].close()
                ledgers[who], held[who] = opened(), []
            elif what == "wait":
                clock.at_s += amount
                late = [sum((r.amount_usd for r in each), Decimal(0)) for each in held]
                if amount > 600 and any(late):
                    held = [[], []]  # calls do not outlive their leases here
        counted = step(ledgers[0].spent_usd("t"))
        outstanding = sum((r.amount_usd for each in held for r in each), Decimal(0))
        for ledger in ledgers:
            ledger.close()
        assert counted >= spent
        assert spent <= CAP + Decimal("0.60")
        assert counted <= CAP + outstanding + max(overrun, Decimal(0))


@given(
    moves=st.lists(
        st.one_of(
            st.just("ask"), st.just("succeed"), st.just("fail"), st.just("abandon"), st.just("wait")
        ),
        max_size=60,
    )
)
def test_a_breaker_that_opened_lets_one_call_at_a_time_through(moves: list[str]) -> None:
    breaker, now_s, under_way = Breaker(), 0.0, 0
    for move in moves:
        before = breaker
        if move == "wait":
            now_s += 3.0
        elif move == "ask":
            breaker, admitted = rules.admit(breaker, now_s)
            if before.status is BreakerStatus.HALF_OPEN:
                assert not admitted
            if before.status is BreakerStatus.OPEN:
                assert admitted == (now_s >= before.open_until_s)
            under_way += admitted
        elif under_way:
            under_way -= 1
            if move == "succeed":
                breaker = rules.after_success(breaker)
                assert breaker.status is BreakerStatus.CLOSED
            elif move == "fail":
                breaker = rules.after_failure(breaker, POLICY, now_s)
                if breaker.status is BreakerStatus.OPEN:
                    assert breaker.open_until_s - now_s <= POLICY.cap_s
            else:
                breaker = rules.after_abandoned(breaker, now_s)
        assert rules.retry_after_s(breaker, now_s) <= POLICY.cap_s
