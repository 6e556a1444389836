"""Every shell block of the loop's how-to pages, typed on a real server."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from tests.fakes.langsmith import running_fake_langsmith
from tests.loop.pages.judge_service import hosted_judge
from tests.loop.pages.reader import ROOT, blocks, reader_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(290)]


def test_from_complaint_to_fix(tmp_path: Path) -> None:
    with reader_of(tmp_path) as reader:
        for kind, text in blocks("from-complaint-to-fix"):
            reader.follow(kind, text)


def test_gate_releases_in_ci(tmp_path: Path) -> None:
    with reader_of(tmp_path) as reader, hosted_judge() as judge:
        labels = tmp_path / "evals/judges/tone.labels.jsonl"
        labels.parent.mkdir(parents=True)
        line = '{{"inputs": {{}}, "outputs": {{"answer": "{}"}}, "passed": {}}}\n'
        polite, rude = line.format("Thank you.", "true"), line.format("How stupid.", "false")
        labels.write_text((polite + rude) * 5)
        for kind, text in blocks("gate-releases-in-ci"):
            if "[loop.judge]" in text:
                text += f'api_base = "{judge.url}"\n'
            reader.follow(kind, text)
        assert len(judge.asked) == 3 * 10
        assert "<testsuite" in (tmp_path / "gate.xml").read_text()


def test_the_workflow_blocks_what_the_gate_refuses_and_marks_what_it_cannot_evaluate(
    tmp_path: Path,
) -> None:
    """Its steps as GitHub's runner runs them: `bash -e`, with the expression filled in."""
    file = yaml.safe_load((ROOT / "examples/loop/gate.yml").read_text())
    steps = [each["run"] for each in file["jobs"]["gate"]["steps"] if "run" in each]
    assert steps.pop(0) == "pip install ."
    with reader_of(tmp_path) as reader:
        reader.variables["GITHUB_STEP_SUMMARY"] = str(tmp_path / "summary.md")

        def run_workflow() -> tuple[int, str]:
            for step in steps:
                script = re.sub(r"\$\{\{.*?\}\}", "smoke", step)
                ended = subprocess.run(
                    ["bash", "-e", "-c", script],
                    cwd=tmp_path,
                    env=reader.variables,
                    capture_output=True,
                    text=True,
                )
            return ended.returncode, ended.stdout

        code, said = run_workflow()
        assert (code, "::error title=gate::could not be evaluated" in said) == (2, True)
        rows = tmp_path / "evals/datasets/complaints.jsonl"
        rows.parent.mkdir(parents=True)
        for right, expected in (("150 EUR once", 0), ("999 EUR", 1)):
            row = {"inputs": {"query": "What is the joining fee?"}, "split": "smoke"}
            rows.write_text(json.dumps(row | {"reference_outputs": {"answer": right}}))
            assert run_workflow()[0] == expected
            # the same case once more, now with what it was evaluated to as its baseline
            saved = (tmp_path / "experiment.json").read_text()
            (tmp_path / "evals/baseline.json").write_text(saved)
        assert run_workflow()[0] == 0, "what failed before may fail"
        assert "Gate passed" in (tmp_path / "summary.md").read_text()


def test_release_safely(tmp_path: Path) -> None:
    with reader_of(tmp_path) as reader:
        for kind, text in blocks("release-safely"):
            reader.follow(kind, text)


def test_upload_traces(tmp_path: Path) -> None:
    with running_fake_langsmith() as fake:
        variables = {"LANGSMITH_API_KEY": fake.api_key, "LANGSMITH_ENDPOINT": fake.url}
        with reader_of(tmp_path, **variables) as reader:
            for kind, text in blocks("upload-traces"):
                reader.follow(kind, text)
        assert fake.state.runs


def test_use_from_langgraph(tmp_path: Path) -> None:
    with reader_of(tmp_path) as reader:
        for kind, text in blocks("use-from-langgraph"):
            reader.follow(kind, text)
        printed = subprocess.run(
            ["bash", "-c", "foliotrace runs list --output json"],
            cwd=tmp_path,
            env=reader.variables,
            capture_output=True,
            check=True,
        ).stdout
    audited = {
        json.loads(line).get("trace_id")
        for file in (tmp_path / "agent-data/audit").rglob("*.jsonl")
        for line in file.read_text().splitlines()
    }
    traces = {run["trace_id"] for run in json.loads(printed)["runs"]}
    assert len(traces) == 2
    assert traces <= audited, "agent and service are in one trace"
