"""A release answers its share of users, is watched, promoted, rolled back, and shadowed."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import comb, sqrt
from pathlib import Path
from random import Random
from statistics import NormalDist
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.audit.log_reading import audit_records
from tests.cloud.service import FUEL, service
from tests.server.small_service import serving

from foliotrace.errors import Misconfigured
from foliotrace_loop.ports import LoopError
from foliotrace_loop.releases.rollout import Rollout, Rollouts, check
from foliotrace_loop.releases.watch import (
    Decision,
    ReleaseFigures,
    WatchLimits,
    bad_ratings,
    more_often,
    watch,
)
from foliotrace_loop.store import LoopStore
from foliotrace_server.client import AsyncFoliotraceClient
from foliotrace_server.compose import compose
from foliotrace_server.loop.settings import OnlineSettings, ReleaseSettings
from foliotrace_server.settings import Settings

NOW = datetime(2026, 11, 21, tzinfo=UTC)
DAY = timedelta(hours=24)
TEXT = b"Unleaded costs 2.31 EUR per litre.\x0cDiesel costs 1.99 EUR per litre.\x0cThe bar is open."
QUESTION = "What does unleaded cost per litre?"


def figures(release: str = "base", **changed: Any) -> ReleaseFigures:
    values: dict[str, Any] = {
        "release": release, "runs": 1000, "errors": 10, "degraded": 10, "rated": 100, "bad": 5,
        "p95_ms": 800.0, "cost_per_run_usd": Decimal("0.01"),
    }  # fmt: skip
    return ReleaseFigures(**{**values, **changed})


# --- who is answered by what -----------------------------------------------------------------


@given(st.floats(0, 1), st.floats(0, 1), st.text(max_size=8))
def test_a_user_who_got_the_canary_keeps_it_while_the_share_grows(
    one: float, other: float, user: str
) -> None:
    less, more = sorted((one, other))
    before = Rollout(canary="new", share=less).release_of("t", user)
    after = Rollout(canary="new", share=more).release_of("t", user)
    assert (before, after) != ("new", "base")


def test_a_share_of_the_users_gets_the_canary_and_whole_tenants_do() -> None:
    rollout = Rollout(canary="new", share=0.1, tenants=("acme",))
    asked = Counter(rollout.release_of("default", f"user-{n}") for n in range(10_000))
    assert 900 < asked["new"] < 1100
    assert {rollout.release_of("acme", f"user-{n}") for n in range(100)} == {"new"}


def test_rollouts_are_kept_and_checked_against_the_settings(tmp_path: Path) -> None:
    rollouts = Rollouts(LoopStore(tmp_path / "loop.db"))
    assert rollouts.current() == Rollout()
    rollouts.change(Rollout(canary="new", share=0.5, tenants=("acme",)), why="try", now=NOW)
    rollouts.change(rollouts.current().promoted("fine", NOW), why="fine", now=NOW)
    assert [(r.stable, r.canary, r.why) for r in rollouts.history()] == [
        ("new", None, "fine"),
        ("base", "new", "try"),
    ]
    with pytest.raises(LoopError, match="there is no release newer"):
        check(Rollout(canary="newer", share=1), ["new"])
    with pytest.raises(LoopError, match="no canary"):
        Rollout().promoted("?", NOW)


# --- promote, hold, roll back ----------------------------------------------------------------


def test_a_release_that_is_no_worse_is_promoted_after_enough_time_and_runs() -> None:
    decided = watch(figures(), figures("new"), DAY, WatchLimits())
    assert decided.decision is Decision.PROMOTE


@pytest.mark.parametrize(
    ("changed", "watched", "reason"),
    [
        ({}, timedelta(hours=23), "23:00:00 of 1 day"),
        ({"runs": 99, "errors": 1, "degraded": 1}, DAY, "99 of 100 runs"),
    ],
)
def test_too_early_to_say_is_held(changed: dict[str, Any], watched: timedelta, reason: str) -> None:
    decided = watch(figures(), figures("new", **changed), watched, WatchLimits())
    assert decided.decision is Decision.HOLD
    assert reason in decided.reasons[0]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"errors": 40}, "errors"),
        ({"degraded": 60}, "degraded"),
        ({"bad": 25}, "bad ratings"),
        ({"p95_ms": 1100.0, "slow": 90}, "p95"),
        ({"cost_per_run_usd": Decimal("0.02"), "dear": 300}, "cost per run"),
    ],
)
def test_what_is_worse_beyond_chance_is_rolled_back_at_once(
    changed: dict[str, Any], reason: str
) -> None:
    decided = watch(figures(), figures("new", **changed), timedelta(minutes=5), WatchLimits())
    assert decided.decision is Decision.ROLL_BACK
    assert reason in decided.reasons[0]


@pytest.mark.parametrize(
    "changed",
    [
        {"p95_ms": 1100.0, "slow": 25},
        {"cost_per_run_usd": Decimal("0.02"), "dear": 25},
        {"p95_ms": 900.0, "slow": 90},  # surely slower, but not by a quarter
    ],
)
def test_a_few_slow_or_dear_runs_are_chance(changed: dict[str, Any]) -> None:
    decided = watch(figures(slow=20, dear=20), figures("new", **changed), DAY, WatchLimits())
    assert decided.decision is Decision.PROMOTE


def test_a_release_that_costs_where_the_baseline_is_free_is_rolled_back() -> None:
    free = figures(cost_per_run_usd=Decimal(0))
    decided = watch(free, figures("new", dear=1000), DAY, WatchLimits())
    assert decided.reasons[0].startswith("cost per run: 0 before")


def test_one_error_of_few_runs_is_chance() -> None:
    decided = watch(figures(), figures("new", runs=20, errors=1, degraded=0), DAY, WatchLimits())
    assert decided.decision is Decision.HOLD


@given(st.integers(0, 20), st.integers(0, 20), st.integers(0, 20), st.integers(0, 20))
def test_the_exact_test_sums_the_hypergeometric_tail(a: int, b: int, c: int, d: int) -> None:
    of, of_then = a + b, c + d
    if not of or not of_then:
        assert more_often(a, of, c, of_then) == 1.0
        return
    ways = sum(comb(of, a + c - k) * comb(of_then, k) for k in range(c, min(of_then, a + c) + 1))
    assert more_often(a, of, c, of_then) == pytest.approx(ways / comb(of + of_then, a + c))


def test_the_exact_test_of_a_million_runs_is_that_of_the_normal_distribution() -> None:
    """It took minutes, on the event loop of the server, while it summed every term exactly."""
    z = (20_300 - 20_000 - 0.5) / sqrt(2 * 20_150 * (1 - 0.02015))
    expected = 1 - NormalDist().cdf(z)
    assert more_often(20_000, 1_000_000, 20_300, 1_000_000) == pytest.approx(expected, rel=0.01)


def test_fishers_tea_tasting_has_its_published_probability() -> None:
    assert more_often(1, 4, 3, 4) == pytest.approx(0.243, abs=0.001)  # 17 of 70
    assert bad_ratings([1.0, 0.2, None, 0.5]) == (3, 1)


# --- in a running service --------------------------------------------------------------------


@asynccontextmanager
async def running(
    folder: Path, rollout: Rollout | None = None, **settings: Any
) -> AsyncIterator[AsyncFoliotraceClient]:
    if rollout is not None:
        folder.mkdir(exist_ok=True)
        store = LoopStore(folder / "loop.db")
        Rollouts(store).change(rollout, why="test", now=datetime.now(UTC))
        store.close()
    releases = {"short": ReleaseSettings(query={"grounding": "mark"})}
    engine = compose(Settings(data_dir=folder, releases=releases, **settings))
    async with serving(engine) as http, AsyncFoliotraceClient(str(http.base_url)) as client:
        upload = await client.upload([("fuel.txt", TEXT)])
        async for _ in client.follow(upload.accepted[0].job.id):
            pass
        yield client


async def until(holds: Any, *, within_s: float = 20.0) -> Any:
    for _ in range(int(within_s / 0.1)):
        found = await holds()
        if found:
            return found
        await asyncio.sleep(0.1)
    raise AssertionError(f"not within {within_s} s; last: {found!r}")


@pytest.mark.anyio
async def test_each_answer_names_the_release_that_gave_it_and_users_keep_theirs(
    tmp_path: Path,
) -> None:
    rollout = Rollout(canary="short", share=0.5)
    async with running(tmp_path, rollout) as client:
        await until(lambda: _answered_by(client, "short", rollout))
        seen: dict[str, set[str]] = {}
        for number in range(24):
            user = f"user-{number % 8}"
            answer = await client.ask(QUESTION, user_id=user)
            seen.setdefault(user, set()).add(answer.release)
            assert (await client.run(answer.run_id)).versions.release == answer.release
        expected = {user: {rollout.release_of("default", user)} for user in seen}
        assert seen == expected
        assert {name for names in seen.values() for name in names} == {"base", "short"}
        runs = await client.runs(filter='eq(release, "short")')
        assert runs.runs
        assert {run.versions.release for run in runs.runs} == {"short"}


@pytest.mark.anyio
async def test_header_span_and_audit_record_name_the_release_too(tmp_path: Path) -> None:
    store = LoopStore(tmp_path / "loop.db")
    Rollouts(store).change(Rollout(stable="short"), why="test", now=datetime.now(UTC))
    store.close()
    releases = {"short": ReleaseSettings(query={"grounding": "mark"})}
    async with service(tmp_path, releases=releases) as watched:
        await watched.put("fuel.txt", FUEL)

        async def answered() -> Any:
            sent = await watched.client.post("/v1/query", json={"query": QUESTION})
            return sent if sent.json()["release"] == "short" else None

        sent = await until(answered)
    assert sent.headers["x-release"] == "short"
    run_id = sent.json()["run_id"]
    spans = [dict(span.attributes or {}) for span in watched.seen.spans]
    said = {s["foliotrace.release"] for s in spans if s.get("foliotrace.run_id") == run_id}
    assert said == {"short"}
    records = [r for r in audit_records(tmp_path / "audit") if r.get("run_id") == run_id]
    assert {r["event"]: r["release"] for r in records} == {
        "query_received": "short",
        "query_completed": "short",
    }


async def _answered_by(client: AsyncFoliotraceClient, release: str, rollout: Rollout) -> bool:
    """Whether the server follows the rollout already."""
    user = next(f"u{n}" for n in range(999) if rollout.release_of("default", f"u{n}") == release)
    return (await client.ask(QUESTION, user_id=user)).release == release


@pytest.mark.anyio
async def test_a_shadow_repeats_answers_in_its_own_project_and_nobody_sees_it(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, Rollout(shadow="short")) as client:

        async def repeated() -> Any:
            answer = await client.ask(QUESTION, bypass_cache=True)
            assert answer.release == "base"
            return (await client.runs(filter='eq(project, "shadow")')).runs

        (shadow, *_) = await until(repeated)
        assert shadow.versions.release == "short"


@pytest.mark.anyio
async def test_answers_are_rated_after_they_were_sent_without_their_texts(tmp_path: Path) -> None:
    online = OnlineSettings(enabled=True, share=1.0)
    async with running(tmp_path, online=online) as client:
        answer = await client.ask(QUESTION)

        async def ratings() -> dict[str, Any]:
            feedback = (await client.run(answer.run_id)).feedback
            return {each.key: each for each in feedback} if len(feedback) == 3 else {}

        rated = await until(ratings)
        assert set(rated) == {"no_hallucination", "latency_ok", "cost_ok"}
        assert {each.source for each in rated.values()} == {"online"}
        assert (rated["no_hallucination"].score, rated["cost_ok"].score) == (1.0, 1.0)
    assert b"Unleaded" not in (tmp_path / "loop.db").read_bytes()


def test_a_release_with_a_wrong_setting_stops_the_start_and_is_named(tmp_path: Path) -> None:
    releases = {"bad": ReleaseSettings(query={"top": 1})}
    with pytest.raises(Misconfigured, match=r"releases\.bad\.query\.top"):
        compose(Settings(data_dir=tmp_path, releases=releases))
    with pytest.raises(Misconfigured, match=r"online\.evaluators"):
        compose(Settings(data_dir=tmp_path, online=OnlineSettings(enabled=True, evaluators=("x",))))


@pytest.mark.anyio
async def test_a_canary_that_fails_is_taken_out_by_the_server_itself(tmp_path: Path) -> None:
    from foliotrace.query.workflow import AskQuestion
    from foliotrace_server.loop.releases import ReleaseRouter

    store = LoopStore(tmp_path / "loop.db")
    rollouts = Rollouts(store)
    rollouts.change(Rollout(canary="new", share=0.5), why="try", now=NOW)
    router = ReleaseRouter({}, now=lambda: NOW + timedelta(minutes=1))
    router.follow(rollouts.current())
    question = AskQuestion(query="?")
    for number in range(200):
        router.ended(question, "base", RuntimeError() if number < 2 else _answer(), 10.0)
        router.ended(question, "new", RuntimeError() if number < 60 else _answer(), 10.0)
    await router._roll_back_if_worse(rollouts)
    assert (router.rollout.canary, rollouts.current().canary) == (None, None)
    assert "errors" in rollouts.current().why
    assert replace(router.rollout, why="", changed_at="") == Rollout()
    store.close()


@pytest.mark.parametrize(("slower", "rolled_back"), [(1.0, False), (1.8, True)])
def test_looking_all_day_takes_a_slower_canary_out_but_none_that_is_as_fast(
    slower: float, rolled_back: bool
) -> None:
    """Latencies have long tails: the p95 of two hundred of them is off by a quarter by chance."""
    from foliotrace.query.workflow import AskQuestion
    from foliotrace_server.loop.releases import ReleaseRouter

    chance, question = Random(12), AskQuestion(query="?")
    for _ in range(5):
        router = ReleaseRouter({}, now=lambda: NOW)
        router.follow(Rollout(canary="new", share=0.5, changed_at=NOW.isoformat()))
        decisions = set()
        for number in range(4000):
            for release, factor in (("base", 1.0), ("new", slower)):
                failed = chance.random() < 0.02
                outcome = RuntimeError() if failed else _answer("0.01")
                elapsed_ms = factor * chance.lognormvariate(5, 1)
                router.ended(question, release, outcome, elapsed_ms)
            if number % 50 == 49:
                watched = router.judge()
                assert watched is not None
                decisions.add(watched.decision)
        assert (Decision.ROLL_BACK in decisions) is rolled_back


def _answer(cost_usd: str = "0") -> Any:
    from foliotrace.model import Answer, Usage

    return Answer(text="2.31 EUR", run_id="run_1", usage=Usage(cost_usd=Decimal(cost_usd)))
