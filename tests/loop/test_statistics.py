"""Intervals, McNemar, kappa and percentiles against published and hand-computed values."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foliotrace_loop.agreement import cohen_kappa, fleiss_kappa
from foliotrace_loop.runs.windows import Measured, percentile, stats, windows
from foliotrace_loop.statistics import mcnemar, paired_difference, wilson

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def run(minutes: float, elapsed_ms: float = 1.0, *, failed: bool = False) -> Measured:
    return Measured(
        at=NOON + timedelta(minutes=minutes),
        elapsed_ms=elapsed_ms,
        failed=failed,
        degraded=False,
        tokens=10,
        cost_usd=Decimal("0.01"),
    )


def test_percentiles_are_exact_for_none_for_one_and_for_a_hundred() -> None:
    assert percentile([], 0.99) is None
    assert [percentile([7], share) for share in (0.5, 0.95, 0.99)] == [7, 7, 7]
    hundred = list(range(1, 101))
    assert [percentile(hundred, share) for share in (0.5, 0.95, 0.99, 0.07)] == [50, 95, 99, 7]
    assert percentile([1, 2, 3, 4], 0.5) == 2


@given(st.lists(st.integers(), min_size=1), st.floats(0.01, 1))
def test_a_percentile_is_the_smallest_value_that_the_share_does_not_exceed(
    values: list[int], share: float
) -> None:
    ascending = sorted(values)
    found = percentile(ascending, share)
    assert found is not None
    assert sum(v <= found for v in values) >= share * len(values) - 1e-6
    assert sum(v < found for v in values) < share * len(values)


def test_an_empty_window_has_no_rate_and_no_latency_and_costs_nothing() -> None:
    empty = stats((), NOON, NOON)
    assert (empty.runs, empty.error_rate, empty.p99_ms, empty.cost_per_run_usd) == (
        0,
        None,
        None,
        None,
    )
    assert empty.cost_usd == 0


def test_windows_are_aligned_and_none_is_left_out() -> None:
    found = windows(
        [run(1, 5), run(2, 9, failed=True), run(125, 3)],
        NOON,
        NOON + timedelta(minutes=126),
        timedelta(hours=1),
    )
    assert [(w.since.hour, w.runs, w.errors, w.p95_ms) for w in found] == [
        (12, 2, 1, 9),
        (13, 0, 0, None),
        (14, 1, 0, 3),
    ]
    assert found[0].error_rate == 0.5
    assert found[0].cost_per_run_usd == Decimal("0.01")
    assert all(a.until == b.since for a, b in pairwise(found))
    with pytest.raises(ValueError, match="1000 are allowed"):
        windows([], NOON, NOON + timedelta(days=1), timedelta(seconds=1))


def test_the_wilson_interval_agrees_with_published_values() -> None:
    # Newcombe, Statistics in Medicine 17 (1998), table I, method 3
    for successes, trials, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        found = wilson(successes, trials)
        assert found == pytest.approx((low, high), abs=5e-5)
    assert wilson(0, 0) is None


def test_mcnemar_is_the_exact_binomial_test() -> None:
    # R: binom.test(2, 14)$p.value; binom.test(0, 6)$p.value; binom.test(1, 2)$p.value
    assert mcnemar(12, 2) == pytest.approx(0.01293945)
    assert mcnemar(0, 6) == pytest.approx(0.03125)
    assert mcnemar(1, 1) == 1.0
    assert mcnemar(0, 0) == 1.0
    assert 0 < mcnemar(2000, 1800) < 0.002  # no overflow


def test_cohens_kappa_agrees_with_the_textbook_example() -> None:
    # 20 yes/yes, 5 yes/no, 10 no/yes, 15 no/no: kappa 0.4
    first = ["y"] * 25 + ["n"] * 25
    second = ["y"] * 20 + ["n"] * 5 + ["y"] * 10 + ["n"] * 15
    assert cohen_kappa(first, second) == pytest.approx(0.4)
    assert cohen_kappa(["y"], ["y"]) == 1.0
    assert cohen_kappa([], []) is None


def test_fleiss_kappa_agrees_with_the_published_example() -> None:
    # Fleiss 1971 as worked on Wikipedia: 10 items, 14 raters, 5 categories: kappa 0.210
    table = [
        (0, 0, 0, 0, 14),
        (0, 2, 6, 4, 2),
        (0, 0, 3, 5, 6),
        (0, 3, 9, 2, 0),
        (2, 2, 8, 1, 1),
        (7, 7, 0, 0, 0),
        (3, 2, 6, 3, 0),
        (2, 5, 3, 2, 2),
        (6, 5, 2, 1, 0),
        (0, 2, 2, 3, 7),
    ]
    items = [[c for c, n in enumerate(row) for _ in range(n)] for row in table]
    assert fleiss_kappa(items) == pytest.approx(0.210, abs=5e-4)
    assert fleiss_kappa([]) is None
    with pytest.raises(ValueError, match="same number"):
        fleiss_kappa([["a", "b"], ["a", "b", "a"]])


def test_a_paired_difference_has_students_interval() -> None:
    # R: t.test(c(.7, .9, .8, .6, .9) - c(.5, .6, .8, .5, .4)): -0.0189 .. 0.4589
    found = paired_difference([0.5, 0.6, 0.8, 0.5, 0.4], [0.7, 0.9, 0.8, 0.6, 0.9])
    assert found == pytest.approx((-0.0188, 0.4588), abs=2e-3)
    assert paired_difference([1.0], [1.0]) is None
