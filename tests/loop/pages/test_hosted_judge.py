"""A judge behind the configured LLM client, on a socket: pinned, voting, calibrated, disabled."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.loop.judged_rows import row_to_judge
from tests.loop.pages.judge_service import HostedJudge, hosted_judge

from foliotrace_server.cli.main import main

PINNED = "gpt-4o-2024-11-20"
LABELS = 20


@pytest.fixture
def judge() -> Iterator[HostedJudge]:
    with hosted_judge() as judge:
        yield judge


def run(folder: Path, judge: HostedJudge, *words: str, model: str = PINNED) -> Result:
    chosen = {"provider": "openai", "model": model, "api_base": judge.url, "api_key": "sk-x"}
    command = ["--data-dir", str(folder / "data"), "loop", *words]
    command += ["--datasets", str(folder / "datasets")]
    return CliRunner().invoke(main, command, env={"FOLIOTRACE_LOOP__JUDGE": json.dumps(chosen)})


def labels(folder: Path, wrong: int) -> Path:
    """Labels by people, `wrong` of which the judge sees otherwise."""
    lines = []
    for n in range(LABELS):
        answer = "That is a stupid question." if n % 2 else "Thank you for asking."
        passed = (n % 2 == 0) is (n >= wrong)
        lines.append({"inputs": {"query": "?"}, "outputs": {"answer": answer}, "passed": passed})
    file = folder / "labels.jsonl"
    file.write_text("".join(json.dumps(each) + "\n" for each in lines))
    return file


def test_a_calibrated_judge_is_asked_three_times_for_each_answer_by_its_pinned_name(
    tmp_path: Path, judge: HostedJudge
) -> None:
    row_to_judge(tmp_path, "tone_appropriate")
    done = run(tmp_path, judge, "calibrate", "--labels", str(labels(tmp_path, 0)))
    assert done.exit_code == 0, done.output
    assert len(judge.asked) == 3 * LABELS
    judge.asked.clear()
    done = run(tmp_path, judge, "eval", "--save", str(tmp_path / "e.json"))
    assert done.exit_code == 0, done.output
    assert [each["model"] for each in judge.asked] == [PINNED] * 3
    (case,) = json.loads((tmp_path / "e.json").read_text())["results"]
    assert {s["key"]: s["score"] for s in case["attempts"][0]["scores"]} == {
        "tone_appropriate": 1.0
    }


def test_a_judge_that_agrees_with_people_in_less_than_eighty_percent_is_never_asked(
    tmp_path: Path, judge: HostedJudge
) -> None:
    row_to_judge(tmp_path, "tone_appropriate")
    done = run(tmp_path, judge, "calibrate", "--labels", str(labels(tmp_path, 5)))
    assert done.exit_code == 1, done.output
    judge.asked.clear()
    done = run(tmp_path, judge, "eval")
    assert "tone_appropriate rates nothing: " in done.output
    assert "0.75" in done.output or "75" in done.output
    assert judge.asked == []


def test_a_floating_name_is_refused_before_the_first_request(
    tmp_path: Path, judge: HostedJudge
) -> None:
    done = run(tmp_path, judge, "calibrate", "--labels", str(labels(tmp_path, 0)), model="gpt-4o")
    assert (done.exit_code, "not pinned" in done.output) == (2, True)
    assert judge.asked == []
