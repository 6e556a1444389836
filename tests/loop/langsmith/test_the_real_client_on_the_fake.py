"""The `langsmith` client itself, on the fake: what holds the fake to the client's wire."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from tests.fakes.langsmith import MULTIPART, FakeLangSmith, running_fake_langsmith
from tests.fakes.wire import Fault
from tests.lazy_sdk import lazy

langsmith = lazy("langsmith")
run_trees = lazy("langsmith.run_trees")


@pytest.fixture(params=[False, True], ids=["plain", "zstd"])
def fake(request: pytest.FixtureRequest) -> Iterator[FakeLangSmith]:
    with running_fake_langsmith(zstd=request.param) as fake:
        yield fake


@pytest.fixture
def client(fake: FakeLangSmith) -> Iterator[Any]:
    client = langsmith.Client(api_url=fake.url, api_key=fake.api_key)
    yield client
    client.close()


def _tree(client: Any, project: str) -> Any:
    start = datetime.now(UTC) - timedelta(seconds=2)
    root = run_trees.RunTree(
        name="ask",
        inputs={"q": 1},
        project_name=project,
        ls_client=client,
        start_time=start,
        tags=["refunds"],
        extra={"metadata": {"user": "ada"}},
    )
    child = root.create_child(name="model", run_type="llm", inputs={"p": 2}, start_time=start)
    child.end(
        outputs={"usage_metadata": {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}}
    )
    root.end(outputs={"answer": "28 days"})
    root.post(exclude_child_runs=False)
    return root


def test_a_run_tree_arrives_and_is_found_by_the_second_read_api(
    fake: FakeLangSmith, client: Any
) -> None:
    root = _tree(client, "refunds")
    client.flush()
    project = client.read_project(project_name="refunds")
    api = client._get_langsmith_api_sync().runs
    found = list(
        api.query_v2(
            project_ids=[str(project.id)],
            filter='and(eq(run_type, "chain"), has(tags, "refunds"))',
            selects=["NAME", "RUN_TYPE", "OUTPUTS", "METADATA", "LATENCY_SECONDS"],
        )
    )
    assert [(run.id, run.name, run.run_type) for run in found] == [(str(root.id), "ask", "CHAIN")]
    assert found[0].outputs == {"answer": "28 days"}
    assert found[0].metadata["user"] == "ada"
    (child,) = root.child_runs
    one = api.retrieve_v2(
        str(child.id), project_id=str(project.id), selects=["PARENT_RUN_IDS", "TOTAL_TOKENS"]
    )
    assert (one.parent_run_ids, one.total_tokens) == ([str(root.id)], 7)
    assert api.retrieve_v2(str(child.id), project_id=str(project.id)).name is None


def test_pages_of_runs_follow_their_cursor(fake: FakeLangSmith, client: Any) -> None:
    for _ in range(5):
        _tree(client, "refunds")
    client.flush()
    project = client.read_project(project_name="refunds")
    api = client._get_langsmith_api_sync().runs
    found = [run.id for run in api.query_v2(project_ids=[str(project.id)], page_size=3)]
    assert len(set(found)) == len(found) == 10


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_dataset_is_evaluated_with_both_signatures_of_evaluators(
    fake: FakeLangSmith, client: Any
) -> None:
    dataset = client.create_dataset("complaints", description="wrong answers")
    id_ = uuid4()
    client.create_examples(
        dataset_id=dataset.id,
        examples=[{"id": id_, "inputs": {"query": "q"}, "outputs": {"answer": "28"}}],
    )
    with pytest.raises(langsmith.utils.LangSmithConflictError):
        client.create_dataset("complaints")

    def exact(run: Any, example: Any) -> dict[str, Any]:
        return {"key": "exact", "score": float(run.outputs["answer"] == example.outputs["answer"])}

    def quick(inputs: Any, outputs: Any, reference_outputs: Any) -> bool:
        return bool(outputs["answer"] == reference_outputs["answer"])

    result = client.evaluate(
        lambda inputs: {"answer": "28"},
        data="complaints",
        evaluators=[exact, quick],
        experiment_prefix="fix",
    )
    client.flush()
    (row,) = result
    scores = {each.key: each.score for each in row["evaluation_results"]["results"]}
    assert scores == {"exact": 1.0, "quick": 1}
    assert {each["key"] for each in fake.state.feedback.values()} == {"exact", "quick"}
    (project,) = [p for p in fake.state.projects.values() if p["reference_dataset_id"]]
    assert project["name"].startswith("fix")
    runs = [r for r in fake.state.runs.values() if r["project_id"] == project["id"]]
    assert [r["reference_example_id"] for r in runs] == [str(id_)]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_feedback_and_annotation_queues_are_kept(fake: FakeLangSmith, client: Any) -> None:
    root = _tree(client, "refunds")
    client.flush()
    project = client.read_project(project_name="refunds")
    client.create_feedback(
        run_id=root.id, key="user", score=0.0, comment="wrong", session_id=project.id
    )
    assert [f.comment for f in client.list_feedback(run_ids=[root.id])] == ["wrong"]
    queue = client.create_annotation_queue(name="complaints")
    client.add_runs_to_annotation_queue(
        queue.id,
        runs=[{"run_id": root.id, "session_id": project.id, "start_time": root.start_time}],
    )
    assert client.get_run_from_annotation_queue(queue.id, index=0).id == root.id


@pytest.mark.filterwarnings("ignore::Warning")
@pytest.mark.parametrize(
    "fault", [Fault.unavailable, Fault.rate_limited(0), Fault.reset_after_work]
)
def test_faults_of_the_ingest_endpoint_reach_the_client(
    fake: FakeLangSmith, client: Any, fault: Fault
) -> None:
    planned = fake.fail(MULTIPART, fault, times=1)
    root = _tree(client, "refunds")
    client.flush()
    assert planned.fired == 1
    assert str(root.id) in fake.state.runs
    if fault is Fault.reset_after_work:
        assert fake.state.receipts[str(root.id)] == 2, "sent twice, stored once"


def test_a_run_whose_order_does_not_name_its_parent_is_refused(fake: FakeLangSmith) -> None:
    import requests

    run, trace = str(uuid4()), str(uuid4())
    body = {
        "post": [{"id": run, "trace_id": trace, "dotted_order": f"20260101T000000000000Z{trace}"}]
    }
    reply = requests.post(
        f"{fake.url}/runs/batch", json=body, headers={"x-api-key": fake.api_key}, timeout=5
    )
    assert (reply.status_code, fake.state.runs) == (422, {})
