"""`foliotrace traces upload|retry` on a fake LangSmith that fails in every way it can."""

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.fakes.langsmith import MULTIPART, FakeLangSmith, running_fake_langsmith
from tests.fakes.wire import Fault

from foliotrace_loop.traces.generate import TraceSynthesis, generate
from foliotrace_server.cli.main import main


@pytest.fixture
def fake() -> Iterator[FakeLangSmith]:
    with running_fake_langsmith() as fake:
        yield fake


def written(folder: Path, traces: int, seed: int = 0) -> tuple[Path, list[dict[str, Any]]]:
    runs = list(generate(TraceSynthesis(traces=traces, seed=seed)))
    random.Random(seed).shuffle(runs)
    file = folder / "traces.jsonl"
    file.write_text("".join(json.dumps(each) + "\n" for each in runs))
    return file, runs


def foliotrace(fake: FakeLangSmith, folder: Path, *words: str) -> Result:
    environment = {"LANGSMITH_API_KEY": fake.api_key, "LANGSMITH_ENDPOINT": fake.url}
    command = ["--data-dir", str(folder / "data"), "traces", *words]
    return CliRunner().invoke(main, command, env=environment)


def upload(fake: FakeLangSmith, folder: Path, file: Path, *words: str) -> Result:
    return foliotrace(fake, folder, "upload", "--project", "p", "--input", str(file), *words)


def parents_first(fake: FakeLangSmith) -> bool:
    at = {id_: number for number, id_ in enumerate(fake.state.arrival)}
    runs = fake.state.runs.values()
    return all(at[r["parent_run_id"]] < at[r["id"]] for r in runs if r.get("parent_run_id"))


def test_a_file_is_uploaded_with_the_lines_of_the_mission_and_read_back(
    fake: FakeLangSmith, tmp_path: Path
) -> None:
    file, runs = written(tmp_path, 100)
    ended = upload(fake, tmp_path, file)
    assert ended.exit_code == 0, ended.output
    said = ended.output.splitlines()
    assert said[0] == f"Loaded {len(runs)} runs from {file}"
    assert "  Uploaded 100/100 traces" in said
    assert said[-3:] == ["Flushing...", f"Acknowledged {len(runs)}, found {len(runs)}", "Done!"]
    assert len(fake.state.runs) == len(runs)
    assert parents_first(fake)
    again = upload(fake, tmp_path, file)
    assert again.exit_code == 0
    assert set(fake.state.receipts.values()) == {1}, "a second upload sends nothing"


def test_the_same_file_keeps_its_ids_when_everything_is_sent_again(
    fake: FakeLangSmith, tmp_path: Path
) -> None:
    file, _ = written(tmp_path, 20)
    upload(fake, tmp_path, file)
    before = {id_: run["start_time"] for id_, run in fake.state.runs.items()}
    assert upload(fake, tmp_path, file, "--no-resume").exit_code == 0
    assert {id_: run["start_time"] for id_, run in fake.state.runs.items()} == before
    assert set(fake.state.receipts.values()) == {2}


@pytest.mark.parametrize(
    "fault",
    [
        Fault.unavailable,
        Fault.server_error,
        Fault.rate_limited(0.05),
        Fault.rate_limited(None),
        Fault.reset_before_work,
        Fault.reset_after_work,
        Fault.html,
    ],
    ids=["503", "500", "429", "429-bare", "reset", "lost-reply", "html"],
)
def test_nothing_is_lost_or_doubled_under_half_of_all_requests_failing(
    fake: FakeLangSmith, tmp_path: Path, fault: Fault
) -> None:
    file, runs = written(tmp_path, 60)
    if fault is Fault.html:
        fake.fail(MULTIPART, fault, times=1)  # a proxy's page with status 200: nothing arrived
    else:
        fake.fail(MULTIPART, fault, probability=0.5, seed=1)
    ended = upload(fake, tmp_path, file, "--read-back", "1")
    if fault is Fault.html:
        assert ended.exit_code == 1, "what was acknowledged is not found"
        ended = upload(fake, tmp_path, file)
    assert ended.exit_code == 0, ended.output
    assert len(fake.state.runs) == len(runs)
    assert parents_first(fake)


def test_killed_at_random_it_continues_with_the_same_ids(
    fake: FakeLangSmith, tmp_path: Path
) -> None:
    file, runs = written(tmp_path, 500)
    for number, fault in enumerate(
        (Fault.unavailable, Fault.rate_limited(0.01), Fault.reset_before_work)
    ):
        fake.fail(MULTIPART, fault, probability=0.15, seed=number)
    fake.fail(MULTIPART, Fault.reset_after_work, probability=0.2, seed=9)
    named = [f"LANGSMITH_API_KEY={fake.api_key}", f"LANGSMITH_ENDPOINT={fake.url}"]
    program = str(Path(sys.executable).with_name("foliotrace"))
    command = ["env", *named, program, "--data-dir", str(tmp_path / "data"), "traces", "upload"]
    command += ["--project", "p", "--input", str(file), "--rate", "1500"]
    kills = 0
    for attempt in range(40):
        running = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        before, chance = len(fake.state.runs), random.Random(attempt)
        while running.poll() is None and kills < 4:
            if len(fake.state.runs) > before + chance.randrange(100, 500):
                running.send_signal(signal.SIGKILL)
                kills += 1
                break
            time.sleep(0.01)
        said, problem = running.communicate(timeout=60)
        if running.returncode == 0:
            break
        assert running.returncode == -signal.SIGKILL, problem
    assert kills == 4
    assert f"Acknowledged {len(runs)}, found {len(runs)}" in said
    assert len(fake.state.runs) == len(runs), "nothing lost, nothing doubled"


def test_a_pause_that_one_worker_is_told_holds_for_all(fake: FakeLangSmith, tmp_path: Path) -> None:
    file, _ = written(tmp_path, 200)
    planned = fake.fail(MULTIPART, Fault.rate_limited(1), times=1, skip=2)
    assert upload(fake, tmp_path, file).exit_code == 0
    assert planned.fired == 1
    requests = fake.requests.find(MULTIPART)
    (told,) = [each for each in requests if each.status == 429]
    # Requests that were on their way when the answer came are no fault of the pause.
    during = [each for each in requests if told.at + 0.3 < each.at < told.at + 0.95]
    assert during == []


def test_a_body_that_is_too_large_is_halved_until_it_fits(tmp_path: Path) -> None:
    runs = [
        {
            "id": str(n),
            "name": str(n),
            "run_type": "chain",
            "start_time": f"2026-01-01T00:00:{n:02d}",
        }
        for n in range(10)
    ]
    runs[4]["inputs"] = {"text": "x" * 40_000}
    runs[5]["inputs"] = {"text": "x" * 10_000}
    runs[5]["parent_run_id"] = "4"
    file, dead = tmp_path / "runs.jsonl", tmp_path / "dead.jsonl"
    file.write_text("".join(json.dumps(each) + "\n" for each in runs))
    with running_fake_langsmith(max_body_bytes=20_000) as fake:
        ended = upload(fake, tmp_path, file, "--dead-letter", str(dead))
        assert ended.exit_code == 1
        assert sorted(run["name"] for run in fake.state.runs.values()) == list("012356789")
        (letter,) = map(json.loads, dead.read_text().splitlines())
        assert letter["id"] == "4"
        assert letter["reason"].startswith("413")
        fake.max_body_bytes = 100_000
        again = foliotrace(fake, tmp_path, "retry", "--project", "p", "--input", str(file))
        assert again.exit_code == 0, again.output
        assert len(fake.state.runs) == 10
        assert fake.state.receipts.total() == 10


def test_a_run_that_langsmith_refuses_does_not_take_others_with_it(
    fake: FakeLangSmith, tmp_path: Path
) -> None:
    file, runs = written(tmp_path, 50)
    fake.refuse = lambda run: "tools are not welcome" if run["name"] == "calculator" else None
    ended = upload(fake, tmp_path, file)
    tools = sum(run["name"] == "calculator" for run in runs)
    assert ended.exit_code == 1
    assert f"{tools} runs are not sent:" in ended.output
    assert "422: tools are not welcome" in ended.output
    assert len(fake.state.runs) == len(runs) - tools


def test_an_outage_ends_the_upload_with_2_and_what_to_do(
    fake: FakeLangSmith, tmp_path: Path
) -> None:
    file, runs = written(tmp_path, 20)
    fake.fail(MULTIPART, Fault.unavailable)
    ended = upload(fake, tmp_path, file, "--give-up-after", "1")
    assert ended.exit_code == 2
    assert f"{len(runs)} runs are left; run the command again" in ended.output
    fake.recover()
    assert upload(fake, tmp_path, file).exit_code == 0
    assert len(fake.state.runs) == len(runs)


def test_a_refused_key_ends_the_upload_at_once(fake: FakeLangSmith, tmp_path: Path) -> None:
    file, _ = written(tmp_path, 5)
    fake.fail(MULTIPART, Fault.unauthorized)
    ended = upload(fake, tmp_path, file)
    assert ended.exit_code == 2
    assert "401: Invalid API Key" in ended.output
    assert fake.requests.count(MULTIPART) == 1


def test_a_dry_run_sends_nothing_and_keeps_nothing(fake: FakeLangSmith, tmp_path: Path) -> None:
    file, runs = written(tmp_path, 5)
    ended = upload(fake, tmp_path, file, "--dry-run")
    assert ended.exit_code == 0
    assert f"Would send {len(runs)} runs" in ended.output
    assert fake.requests.count() == 0
    assert not (tmp_path / "data").exists()


def test_a_request_holds_no_more_runs_than_the_rate_of_a_second(
    fake: FakeLangSmith, tmp_path: Path
) -> None:
    file, runs = written(tmp_path, 5)
    assert len(runs) > 10
    assert upload(fake, tmp_path, file, "--rate", "10").exit_code == 0
    assert len(fake.requests.find(MULTIPART)) >= len(runs) / 10
    assert len(fake.state.runs) == len(runs)


def test_the_rate_is_kept_by_all_workers_together(fake: FakeLangSmith, tmp_path: Path) -> None:
    file, runs = written(tmp_path, 100)
    began = time.monotonic()
    assert upload(fake, tmp_path, file, "--rate", "400", "--workers", "8").exit_code == 0
    assert time.monotonic() - began >= (len(runs) - 100) / 400


def test_generate_writes_what_upload_reads(fake: FakeLangSmith, tmp_path: Path) -> None:
    for name in ("t.jsonl", "t.json", "t.jsonl.gz", "t.json.gz"):
        file = str(tmp_path / name)
        words = ("generate", "--n", "10", "--seed", "5", "--file", file)
        made = foliotrace(fake, tmp_path, *words)
        assert made.exit_code == 0, made.output
        content = Path(file).read_bytes()
        assert "Found 10 traces" in upload(fake, tmp_path, Path(file), "--dry-run").output
        foliotrace(fake, tmp_path, *words)
        assert Path(file).read_bytes() == content
