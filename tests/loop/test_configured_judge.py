"""The judge that the server makes of a configured model: votes, cost, budget, calibration."""

import asyncio
import json
import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.data_folder.folders import ingest, serving
from tests.loop.judged_rows import row_to_judge

from foliotrace.adapters.local.clock import SystemClock
from foliotrace_loop.evaluators.judge import TONE, Calibration, majority, rubric_hash
from foliotrace_loop.ports import LoopError, TargetUnavailable
from foliotrace_server.cli.main import main
from foliotrace_server.loop.judge import EVALUATIONS, OpenJudge, open_judge
from foliotrace_server.settings import Settings, load_settings

MODEL = "tests.loop.judging_model"
PINNED = "judge-2026-01-01"
PRICE = {PINNED: {"input_usd_per_million": 1, "output_usd_per_million": 1}}


def settings_of(folder: Path, model: str = "kind", **more: Any) -> Settings:
    judge = {"provider": "import", "model": f"{MODEL}:{model}"}
    budget = {"prices": PRICE}
    return load_settings(None, data_dir=folder, loop={"judge": judge}, budget=budget, **more)


def opened(folder: Path, daily_usd: str = "1", model: str = "kind") -> OpenJudge:
    judge = open_judge(
        settings_of(folder, model),
        folder,
        account=EVALUATIONS,
        daily_usd=Decimal(daily_usd),
        clock=SystemClock(),
    )
    assert judge is not None
    return judge


def spent(folder: Path) -> dict[str, int]:
    with sqlite3.connect(folder / "budget.db") as ledger:
        return dict(ledger.execute("SELECT tenant, micro_usd FROM spent").fetchall())


@pytest.mark.anyio
async def test_three_votes_are_charged_to_the_account_of_the_judge(tmp_path: Path) -> None:
    judge = opened(tmp_path)
    for answer, passed in (("Thank you for asking.", True), ("A stupid question.", False)):
        vote = await majority(judge.judge, TONE, {"query": "?"}, {"answer": answer}, {})
        assert vote.passed is passed
        assert vote.cost_usd > 0
    await judge.close()
    assert judge.judge.model == PINNED
    assert set(spent(tmp_path)) == {EVALUATIONS}
    assert spent(tmp_path)[EVALUATIONS] > 0


@pytest.mark.anyio
async def test_a_judge_without_budget_gives_no_verdict(tmp_path: Path) -> None:
    judge = opened(tmp_path, daily_usd="0.000001")
    with pytest.raises(TargetUnavailable, match="budget"):
        await judge.judge.vote(TONE, {}, {"answer": "a"}, {})
    await judge.close()


def test_a_floating_name_is_refused(tmp_path: Path) -> None:
    floating = {"provider": "openai", "model": "gpt-4o", "api_key": "k"}
    settings = load_settings(None, data_dir=tmp_path, loop={"judge": floating})
    with pytest.raises(LoopError, match="not pinned"):
        open_judge(
            settings, tmp_path, account=EVALUATIONS, daily_usd=Decimal(1), clock=SystemClock()
        )


def run(folder: Path, *words: str, model: str | None = "kind") -> Result:
    environment = {"FOLIOTRACE_BUDGET__PRICES": json.dumps(PRICE)}
    if model is not None:
        judge = {"provider": "import", "model": f"{MODEL}:{model}"}
        environment["FOLIOTRACE_LOOP__JUDGE"] = json.dumps(judge)
    common = ["--data-dir", str(folder / "data"), "loop", *words]
    datasets = ["--datasets", str(folder / "datasets")]
    return CliRunner().invoke(main, [*common, *datasets], env=environment)


def labels(folder: Path, wrong: int) -> Path:
    """20 labels by people, `wrong` of which the judge sees otherwise."""
    file = folder / "labels.jsonl"
    lines = [
        {"inputs": {}, "outputs": {"answer": "stupid" if n % 2 else "kind"}, "passed": n % 2 == 0}
        for n in range(20)
    ]
    for line in lines[:wrong]:
        line["passed"] = not line["passed"]
    file.write_text("".join(json.dumps(each) + "\n" for each in lines))
    return file


def test_a_judge_is_calibrated_against_labels_and_refused_below_eighty_percent(
    tmp_path: Path,
) -> None:
    for wrong, exit_code in ((0, 0), (4, 0), (5, 1)):
        done = run(tmp_path, "calibrate", "--labels", str(labels(tmp_path, wrong)))
        assert done.exit_code == exit_code, done.output
        card = Calibration.read(tmp_path / "judges/tone_appropriate.json")
        assert card is not None
        assert (card.model, card.agreement, card.labels) == (PINNED, 1 - wrong / 20, 20)
    refused = run(tmp_path, "calibrate", "--labels", str(labels(tmp_path, 0)), model="floating")
    assert (refused.exit_code, "not pinned" in refused.output) == (2, True)


def test_an_evaluation_judges_when_it_can_and_says_why_when_not(tmp_path: Path) -> None:
    row_to_judge(tmp_path)
    for model, why in ((None, "no judge is configured"), ("kind", "never calibrated")):
        done = run(tmp_path, "eval", "--save", str(tmp_path / "e.json"), model=model)
        assert done.exit_code == 0, done.output
        assert "tone_appropriate rates nothing: " in done.output
        assert why in done.output
        assert "tone_appropriate" not in keys_in(tmp_path / "e.json")
    assert run(tmp_path, "calibrate", "--labels", str(labels(tmp_path, 1))).exit_code == 0
    done = run(tmp_path, "eval", "--save", str(tmp_path / "e.json"))
    assert done.exit_code == 0, done.output
    assert "rates nothing" not in done.output
    assert "tone_appropriate" in keys_in(tmp_path / "e.json")


def keys_in(file: Path) -> set[str]:
    (case,) = json.loads(file.read_text())["results"]
    scores = [score for attempt in case["attempts"] for score in attempt["scores"]]
    return {each["key"] for each in scores if each["score"] is not None}


@pytest.mark.anyio
async def test_online_a_judge_rates_from_its_own_account_and_all_that_went_badly_is_rated(
    tmp_path: Path,
) -> None:
    card = Calibration(
        model=PINNED,
        rubric_hash=rubric_hash(TONE),
        labels=20,
        agreement=0.95,
        kappa=0.9,
        at="2026-11-21",
    )
    card.save(tmp_path / "judges/tone_appropriate.json")
    how: dict[str, Any] = {
        "loop": {
            "judge": {"provider": "import", "model": f"{MODEL}:kind"},
            "datasets": str(tmp_path / "datasets"),
        },
        "budget": {"prices": PRICE},
        "runs": {"keep_content": "redacted"},
        "online": {"enabled": True, "share": 0.0, "evaluators": ["tone_appropriate", "cost_ok"]},
    }
    async with serving(tmp_path / "data", **how) as client:
        await ingest(client, "a.txt", "The whale weighs 190 tonnes.")
        question = {"query": "How much does the whale weigh?"}
        run_id = (await client.post("/v1/query", json=question)).json()["run_id"]

        async def ratings() -> dict[str, float]:
            held = (await client.get(f"/v1/runs/{run_id}")).json()["feedback"]
            return {each["key"]: each["score"] for each in held if each["source"] == "online"}

        await asyncio.sleep(1.0)
        assert await ratings() == {}, "it is not in the sample"
        rating = {"run_id": run_id, "key": "user", "score": 0.0}
        assert (await client.post("/v1/feedback", json=rating)).status_code == 200
        async with asyncio.timeout(20):
            while len(await ratings()) < 2:
                await asyncio.sleep(0.05)
        assert await ratings() == {"tone_appropriate": 1.0, "cost_ok": 1.0}
    assert set(spent(tmp_path / "data")) == {"judge:online"}
