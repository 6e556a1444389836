"""Runs read from LangSmith, and feedback, datasets and experiments pushed to it."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from click.testing import CliRunner
from tests.fakes.langsmith import FakeLangSmith, running_fake_langsmith
from tests.fakes.wire import Fault
from tests.lazy_sdk import lazy

from foliotrace_loop.datasets.rows import Datasets, row_id
from foliotrace_loop.experiments import archive
from foliotrace_loop.feedback import feedback_of
from foliotrace_loop.langsmith.ingest import LangSmithIngest
from foliotrace_loop.langsmith.runs import LangSmithRuns
from foliotrace_loop.langsmith.wire import LangSmithApi
from foliotrace_loop.ports import LoopError
from foliotrace_loop.shapes import Attempt, CaseResult, Experiment, Row, Score
from foliotrace_loop.store import LoopStore
from foliotrace_loop.traces.generate import TraceSynthesis, generate
from foliotrace_loop.traces.rewriting import RAW, RunJson
from foliotrace_server.cli.main import main

langsmith = lazy("langsmith")
NOW = datetime.now(UTC)
TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def fake() -> Iterator[FakeLangSmith]:
    with running_fake_langsmith() as fake:
        yield fake


@pytest.fixture
def workspace(fake: FakeLangSmith) -> LangSmithApi:
    return LangSmithApi(fake.url, fake.api_key)


def as_sent(run: dict[str, Any]) -> RunJson:
    head = {name: each for name, each in run.items() if name not in RAW}
    fields = [(name, json.dumps(run[name]).encode()) for name in RAW if run.get(name) is not None]
    return RunJson(run["id"], json.dumps(head).encode(), fields)


@pytest.mark.anyio
@pytest.mark.parametrize("suffix", ["", "/", "/api/v1"])
async def test_runs_are_read_through_the_second_read_api(fake: FakeLangSmith, suffix: str) -> None:
    workspace = LangSmithApi(fake.url + suffix, fake.api_key)
    runs = list(generate(TraceSynthesis(traces=30, seed=4, since=NOW - timedelta(days=20))))
    LangSmithIngest(workspace, "p").send([as_sent(each) for each in runs])
    source = LangSmithRuns(workspace, "p")
    roots = [each for each in runs if each["parent_run_id"] is None]
    found = await source.find(None, limit=1000)
    assert [each.outcome.id for each in found] == [r["id"] for r in reversed(roots)], "20 days old"
    failed = await source.find('eq(status, "error")', limit=1000)
    assert {each.outcome.id for each in failed} == {r["id"] for r in roots if r["error"]}
    assert len(await source.find(None, limit=7)) == 7
    answered = next(each for each in roots if not each["error"])
    one = await source.run(answered["id"].replace("-", ""))
    assert one.outcome.inputs["query"] == answered["inputs"]["query"]
    assert one.outcome.outputs["answer"] == answered["outputs"]["answer"]
    assert one.outcome.elapsed_ms > 0
    with pytest.raises(LoopError, match="no run"):
        await source.run(TRACE)
    with pytest.raises(LoopError, match="no project"):
        await LangSmithRuns(workspace, "elsewhere").find(None, limit=1)
    used = set(fake.requests.counts())
    assert used <= {
        *("POST /runs/multipart", "GET /sessions", "POST /v2/runs/query", "GET /v2/runs/{id}"),
    }


def filled(folder: Path, score: float = 0.0) -> LoopStore:
    store = LoopStore(folder / "loop.db")
    rating = feedback_of(
        tenant="default",
        subject="ada",
        run_id="run_1",
        trace_id=TRACE,
        key="user",
        score=score,
        comment="wrong, says ada@example.org",
        source="api",
        now=NOW,
    )
    store.save_feedback(rating)
    datasets = Datasets(folder / "datasets")
    for number in range(3):
        row = Row(
            id=row_id("complaints", str(number)),
            inputs={"query": f"q{number}"},
            reference_outputs={"answer": f"a{number}"},
            split="smoke" if number else "full",
        )
        datasets.put("complaints", row)
    scores = (Score(key="factual_match", score=1.0), Score(key="tone", score=None))
    attempt = Attempt(run_id="run_2", scores=scores, elapsed_ms=12.5, answer="a1")
    case = CaseResult(row_id=row_id("complaints", "1"), name="q1", attempts=(attempt,))
    archive.save(
        store,
        Experiment(
            id="exp_00000001",
            suite="complaints/smoke",
            name="eval",
            created_at=NOW.isoformat(),
            results=(case,),
            cost_usd=Decimal("0.01"),
        ),
    )
    return store


def synced(fake: FakeLangSmith, folder: Path) -> Any:
    words = ["--data-dir", str(folder), "loop", "sync", "--project", "p"]
    words += ["--datasets", str(folder / "datasets")]
    environment = {"LANGSMITH_API_KEY": fake.api_key, "LANGSMITH_ENDPOINT": fake.url}
    return CliRunner().invoke(main, words, env=environment)


@pytest.mark.parametrize("strict", [False, True])
def test_everything_is_pushed_once_and_changes_again(
    fake: FakeLangSmith, tmp_path: Path, strict: bool
) -> None:
    fake.strict_feedback = strict
    fake.state.create_project({"name": "p"})
    filled(tmp_path)
    first = synced(fake, tmp_path)
    assert first.exit_code == 0, first.output
    assert first.output.splitlines() == ["Pushed 1 ratings, 3 rows, 1 experiments"]
    assert synced(fake, tmp_path).output.splitlines() == ["Pushed 0 ratings, 0 rows, 0 experiments"]
    rating = next(each for each in fake.state.feedback.values() if each["key"] == "user")
    assert rating["run_id"] == str(UUID(TRACE))
    assert "ada@example.org" not in rating["comment"]
    filled(tmp_path, score=0.5)
    datasets = Datasets(tmp_path / "datasets")
    datasets.retire("complaints", row_id("complaints", "0"), "2026-11-21")
    assert synced(fake, tmp_path).output.splitlines() == ["Pushed 1 ratings, 1 rows, 0 experiments"]


def test_a_retired_row_changes_its_example(fake: FakeLangSmith, tmp_path: Path) -> None:
    fake.state.create_project({"name": "p"})
    filled(tmp_path)
    synced(fake, tmp_path)
    Datasets(tmp_path / "datasets").retire("complaints", row_id("complaints", "0"), "2026-11-21")
    assert "1 rows" in synced(fake, tmp_path).output
    example = fake.state.examples[row_id("complaints", "0")]
    assert example["metadata"]["dataset_split"] == ["retired"]
    assert len(fake.state.examples) == 3


def test_the_real_client_reads_what_was_pushed(fake: FakeLangSmith, tmp_path: Path) -> None:
    fake.state.create_project({"name": "p"})
    filled(tmp_path)
    synced(fake, tmp_path)
    client = langsmith.Client(api_url=fake.url, api_key=fake.api_key)
    dataset = client.read_dataset(dataset_name="complaints")
    examples = {e.inputs["query"]: e for e in client.list_examples(dataset_id=dataset.id)}
    assert examples["q1"].outputs == {"answer": "a1"}
    (project,) = client.list_projects(reference_dataset_id=dataset.id)
    api = client._get_langsmith_api_sync().runs
    (run,) = api.query_v2(
        project_ids=[str(project.id)], selects=["OUTPUTS", "REFERENCE_EXAMPLE_ID", "FEEDBACK_STATS"]
    )
    assert run.outputs == {"answer": "a1"}
    assert run.reference_example_id == row_id("complaints", "1")
    assert run.feedback_stats["factual_match"].avg == 1.0
    client.close()


def test_a_push_survives_faults_and_says_what_a_wrong_key_means(
    fake: FakeLangSmith, tmp_path: Path
) -> None:
    fake.state.create_project({"name": "p"})
    filled(tmp_path)
    for seed, fault in enumerate(
        (Fault.unavailable, Fault.reset_after_work, Fault.rate_limited(0))
    ):
        fake.fail("*", fault, probability=0.15, seed=seed)
    ended = synced(fake, tmp_path)
    assert ended.exit_code == 0, ended.output
    assert (len(fake.state.examples), len(fake.state.datasets)) == (3, 1)
    assert len(fake.state.projects) == 2
    assert len(fake.state.runs) == 1
    fake.recover()
    fake.fail("*", Fault.unauthorized)
    filled(tmp_path, score=1.0)
    refused = synced(fake, tmp_path)
    assert refused.exit_code == 2
    assert "LANGSMITH_API_KEY" in refused.output
