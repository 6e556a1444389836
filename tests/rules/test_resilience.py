"""The rules of failing well, as properties."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foliotrace import resilience as rules
from foliotrace.resilience import Breaker, BreakerPolicy, BreakerStatus, RetryPolicy

draws = st.floats(0, 1, exclude_max=True)
RETRY = RetryPolicy(attempts=3, base_s=4, cap_s=60)
POLICY = BreakerPolicy(failures=3, rest_s=5, cap_s=40)


@given(attempt=st.integers(1, 5000), draw=draws)
def test_a_wait_is_between_half_and_all_of_the_capped_doubling(attempt: int, draw: float) -> None:
    full = min(60.0, 4.0 * 2 ** min(attempt - 1, 10))
    assert full / 2 <= rules.backoff_s(attempt, RETRY, draw=draw) <= full


@given(asked=st.floats(0, 3600), draw=draws)
def test_a_server_that_asks_for_time_gets_at_least_that(asked: float, draw: float) -> None:
    assert rules.backoff_s(1, RETRY, draw=draw, retry_after_s=asked) >= asked


def test_attempts_are_counted_from_one() -> None:
    with pytest.raises(ValueError, match="attempt must be 1 or more"):
        rules.backoff_s(0, RETRY, draw=0.5)


@given(wait=st.floats(0, 100), remaining=st.floats(0, 100))
def test_a_lower_rung_shortens_the_patience_to_a_quarter(wait: float, remaining: float) -> None:
    with_rung = rules.worth_waiting(wait, remaining_s=remaining, has_lower_rung=True)
    without = rules.worth_waiting(wait, remaining_s=remaining, has_lower_rung=False)
    assert with_rung == (wait * 4 <= remaining or wait <= remaining * 0.25)
    assert without or not with_rung


@given(requests=st.integers(1, 3000))
def test_a_storm_of_failures_buys_a_tenth_of_its_requests_as_retries(requests: int) -> None:
    budget, retries = rules.RetryBudget(), 0
    for _ in range(requests):
        budget = budget.earned()
        spent = budget.spent()
        if spent is not None:
            budget, retries = spent, retries + 1
    assert retries <= 10 + requests * 0.1 + 1


@given(st.lists(st.sampled_from(["ok", "fail", "wait", "call"]), max_size=200))
def test_an_open_breaker_lets_nothing_pass_but_one_probe_after_its_rest(moves: list[str]) -> None:
    breaker, now, under_way = Breaker(), 0.0, 0
    for move in moves:
        if move == "wait":
            now += 3.0
        elif move == "call":
            before = breaker
            breaker, admitted = rules.admit(breaker, now)
            under_way += admitted
            if before.status is BreakerStatus.OPEN:
                assert admitted == (now >= before.open_until_s)
            if before.status is BreakerStatus.HALF_OPEN:
                assert not admitted
        elif under_way and move == "ok":
            under_way -= 1
            breaker = rules.after_success(breaker)
            assert breaker == Breaker()
        elif under_way:
            under_way -= 1
            breaker = rules.after_failure(breaker, POLICY, now)
            assert breaker.open_until_s - now <= POLICY.cap_s


def test_failed_probes_double_the_rest_up_to_the_cap() -> None:
    breaker, now, rests = Breaker(), 0.0, []
    for _ in range(3):
        breaker = rules.after_failure(breaker, POLICY, now)
    for _ in range(5):
        rests.append(breaker.open_until_s - now)
        now = breaker.open_until_s
        breaker, admitted = rules.admit(breaker, now)
        assert admitted
        breaker = rules.after_failure(breaker, POLICY, now)
    assert rests == [5, 10, 20, 40, 40]


def test_an_abandoned_probe_leaves_room_for_the_next() -> None:
    breaker = Breaker(status=BreakerStatus.HALF_OPEN, failures=3, opened=1)
    breaker = rules.after_abandoned(breaker, now_s=9.0)
    assert rules.admit(breaker, 9.0)[1]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 59.0),
        ("Fri, 31 Dec 1999 23:00:00 GMT", 0.0),
        ("soon", None),
        ("inf", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_read_as_seconds_and_as_a_date(
    header: str | None, seconds: float | None
) -> None:
    now = datetime(1999, 12, 31, 23, 59, 0, tzinfo=UTC)
    assert rules.parse_retry_after(header, now) == seconds
