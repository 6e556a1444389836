"""Annotation queues: rules, leases, several reviewers, agreement, and the row that comes of it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from tests.loop.test_runs_over_http import QUESTION, client_of, running

from foliotrace.settings import RunsSettings
from foliotrace_loop.agreement import agreement_of
from foliotrace_loop.ports import LoopError
from foliotrace_loop.queues import QueueReason, QueueRules, Queues, is_sampled
from foliotrace_loop.store import LoopStore
from foliotrace_server.client import ServerProblem
from foliotrace_server.keys.api_key import Scope
from foliotrace_server.keys.key_file import KeyFile

pytestmark = pytest.mark.anyio
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def run(number: int = 1, **more: Any) -> dict[str, Any]:
    scores = more.pop("scores", {})
    feedback = [{"key": key, "score": score} for key, score in scores.items()]
    trace = f"{number:032x}"
    plain = {"id": f"run_{number}", "trace_id": trace, "tags": (), "metadata": {}, "level": 0}
    return {**plain, "feedback": feedback, **more}


@pytest.fixture
def queues(tmp_path: Path) -> Queues:
    found = Queues(LoopStore(tmp_path / "loop.db"))
    found.create("t", "q", QueueRules(), reviewers=2, now=NOON)
    return found


@pytest.mark.parametrize(
    ("rules", "found", "reason"),
    [
        (QueueRules(), run(scores={"user_score": 0.5}), QueueReason.LOW_SCORE),
        (QueueRules(), run(scores={"user_score": 0.51}), None),
        (QueueRules(), run(scores={"user_score": 1.0, "tone": 0.0}), QueueReason.LOW_SCORE),
        (QueueRules(key="user_score"), run(scores={"user_score": 1.0, "tone": 0.0}), None),
        (QueueRules(), run(scores={"user_score": None}), None),
        (QueueRules(score_at_most=None), run(scores={"user_score": 0.0}), None),
        (QueueRules(), run(level=1), QueueReason.DEGRADED),
        (QueueRules(degraded=False), run(level=1), None),
        (QueueRules(), run(tags=("needs_review",)), QueueReason.NEEDS_REVIEW),
        (QueueRules(), run(metadata={"needs_review": True}), QueueReason.NEEDS_REVIEW),
        (QueueRules(), run(metadata={"needs_review": False}), None),
        (QueueRules(sample=1.0), run(), QueueReason.SAMPLED),
        (QueueRules(sample=1.0), run(trace_id=None), None),
    ],
)
def test_rules_say_which_runs_are_looked_at(
    rules: QueueRules, found: dict[str, Any], reason: QueueReason | None
) -> None:
    assert rules.reason(found) is reason


def test_a_sample_is_the_same_for_everybody_and_has_its_share() -> None:
    traces = [f"{(n * 0x9E3779B97F4A7C15) % 2**64:032x}" for n in range(4000)]
    sampled = [is_sampled(trace, 0.05) for trace in traces]
    assert 150 < sum(sampled) < 250
    assert sampled == [is_sampled(trace, 0.05) for trace in traces]


def test_filling_twice_adds_nothing_twice(queues: Queues) -> None:
    runs = [run(1, level=2), run(2), run(3, scores={"k": 0.0})]
    assert queues.fill("t", "q", runs, now=NOON) == 2
    assert queues.fill("t", "q", runs, now=NOON) == 0
    assert [(i.run_id, i.reason) for i in queues.items("t", "q")] == [
        ("run_1", "degraded"),
        ("run_3", "low_score"),
    ]
    with pytest.raises(LoopError, match="no queue other"):
        queues.fill("t", "other", runs, now=NOON)
    with pytest.raises(LoopError, match="no queue q"):
        queues.items("another tenant", "q")


def test_an_item_is_leased_to_as_many_people_as_it_still_needs(queues: Queues) -> None:
    queues.fill("t", "q", [run(1, level=2), run(2, level=2)], now=NOON)

    def lease(reviewer: str, minutes: float = 0) -> str | None:
        item = queues.lease("t", "q", reviewer, now=NOON + timedelta(minutes=minutes))
        return item.run_id if item is not None else None

    assert [lease(r) for r in ("ada", "bob", "ada")] == ["run_1", "run_1", "run_1"]
    assert [lease(r) for r in ("cem", "dan", "eve")] == ["run_2", "run_2", None]
    for reviewer in ("ada", "bob"):
        reviewed = queues.review(
            "t", "q", "run_1", reviewer=reviewer, label="bad", comment=None, now=NOON
        )
    assert (reviewed.done, len(reviewed.reviews)) == (True, 2)
    with pytest.raises(LoopError, match="has its 2 reviews"):
        queues.review("t", "q", "run_1", reviewer="eve", label="good", comment=None, now=NOON)
    assert lease("ada") is None  # run_2 is held by two others
    assert lease("ada", 31) == "run_2"  # until their leases end
    queues.accept("t", "q", "run_2", "row-1")
    assert lease("ada", 31) is None


def test_two_threads_never_lease_more_than_an_item_needs(queues: Queues, tmp_path: Path) -> None:
    queues.fill("t", "q", [run(n, level=2) for n in range(10)], now=NOON)
    held: list[str] = []

    def take(reviewer: str) -> None:
        store = LoopStore(tmp_path / "loop.db")
        item = Queues(store).lease("t", "q", reviewer, now=NOON)
        store.close()
        if item is not None:
            held.append(item.run_id)

    threads = [Thread(target=take, args=(f"r{n}",)) for n in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(held) == 20
    assert {held.count(run_id) for run_id in held} == {2}


def test_agreement_is_cohens_for_two_people_and_fleiss_for_more() -> None:
    def labelled(*pairs: str) -> list[dict[str, str]]:
        return [dict(zip("abc", pair, strict=False)) for pair in pairs]

    two = agreement_of(labelled(*["yy"] * 20, *["yn"] * 5, *["ny"] * 10, *["nn"] * 15))
    assert (two.items, two.agreed) == (50, 0.7)
    assert two.cohen_kappa == pytest.approx(0.4)
    three = agreement_of(labelled("yyy", "nnn", "yyn", "nny"))
    assert three.cohen_kappa is None
    assert three.fleiss_kappa == pytest.approx(1 / 3)
    none = agreement_of([])
    assert (none.items, none.agreed, none.cohen_kappa, none.fleiss_kappa) == (0, None, None, None)


async def test_a_queue_over_http_from_a_bad_rating_to_an_accepted_row(tmp_path: Path) -> None:
    async with running(tmp_path, runs=RunsSettings(keep_content="redacted")) as client:
        bad, good = await client.ask(QUESTION), await client.ask(QUESTION)
        await client.feedback(bad.run_id, "user_score", score=0.0)
        await client.feedback(good.run_id, "user_score", score=1.0)
        await client.create_queue("complaints")
        assert (await client.fill_queue("complaints")).added == 1
        for reviewer in ("ada", "bob"):
            item = (await client.lease("complaints", reviewer=reviewer)).item
            assert item is not None
            assert (item.run_id, item.trace_id) == (bad.run_id, bad.trace_id)
            await client.review("complaints", item.run_id, "bad", reviewer=reviewer)
        assert (await client.lease("complaints", reviewer="cem")).item is None
        accepted = await client.accept("complaints", bad.run_id, "row-1")
        assert accepted.items[0].accepted_as == "row-1"
        assert accepted.agreement.cohen_kappa == 1.0
        for call, status in (
            (client.lease("complaints"), 400),
            (client.queue("none"), 404),
            (client.review("complaints", "run_x", "bad", reviewer="ada"), 409),
        ):
            with pytest.raises(ServerProblem) as refused:
                await call
            assert refused.value.status == status
        key = KeyFile(tmp_path).create(
            tenant="default", scopes=frozenset({Scope.READ}), now=datetime.now(UTC)
        )[1]
        async with client_of(client, key) as reader:
            with pytest.raises(ServerProblem) as forbidden:
                await reader.queue("complaints")
            assert forbidden.value.status == 403
