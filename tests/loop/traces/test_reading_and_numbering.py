"""Files of runs: every shape they come in, and the ids, times and order they get."""

import gzip
import json
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foliotrace_loop.ports import LoopError
from foliotrace_loop.traces.generate import TraceSynthesis, generate
from foliotrace_loop.traces.identity import microseconds, new_id
from foliotrace_loop.traces.journal import Journal
from foliotrace_loop.traces.records import Record, read_runs
from foliotrace_loop.traces.rewriting import RunJson, State
from foliotrace_loop.traces.upload import UploadLimits, batches

NOW = datetime(2026, 11, 21, 20, tzinfo=UTC)


def run(
    id_: str, parent: str | None = None, start: str = "2026-01-01T10:00:00", **more: Any
) -> Any:
    plain = {"id": id_, "parent_run_id": parent, "start_time": start, "name": id_}
    return {**plain, "run_type": "chain", "end_time": start, **more}


def loaded(*runs: Any) -> Journal:
    journal = Journal(":memory:")
    records = [Record(f"run {n}", each) for n, each in enumerate(runs, 1)]
    journal.load(records, "upload", NOW)
    return journal


def sent(journal: Journal) -> list[dict[str, Any]]:
    pending = journal.pending()
    return [plain(each) for each in journal.runs(pending)] if pending else []


def plain(run: RunJson) -> dict[str, Any]:
    """A run with its JSON read."""
    return orjson.loads(run.head) | {name: orjson.loads(text) for name, text in run.fields}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([run("a"), run("b", "a")]),
        json.dumps([run("a"), run("b", "a")], indent=2),
        json.dumps({"runs": [run("a"), run("b", "a")]}, indent=1),
        json.dumps({"project": "p", "runs": [run("a"), run("b", "a")]}),
        json.dumps({"project": "p", "runs": [run("a"), run("b", "a")]}, indent=1),
        "\n".join(json.dumps(each) for each in (run("a"), run("b", "a"))),
        "\ufeff" + json.dumps(run("a")) + "\r\n\n" + json.dumps(run("b", "a")) + "\n",
        json.dumps(run("a", child_runs=[run("b")])),
        json.dumps(run("a", child_runs=[run("b")]), indent=2),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_every_shape_of_file_is_read(tmp_path: Path, text: str, packed: bool) -> None:
    file = tmp_path / "runs"
    file.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    found = [record.run for record in read_runs(file)]
    assert [(each["id"], each["parent_run_id"]) for each in found if each] == [
        ("a", None),
        ("b", "a"),
    ]


def test_runs_across_chunks_of_an_array_are_read_whole(tmp_path: Path) -> None:
    file = tmp_path / "runs.json"
    wanted = [run(str(n), inputs={"text": "ä" * (n * 70_000 % 1_500_000)}) for n in range(25)]
    file.write_text(json.dumps(wanted, ensure_ascii=False))
    assert [record.run for record in read_runs(file)] == wanted


def test_a_damaged_line_is_reported_and_the_others_are_read(tmp_path: Path) -> None:
    file = tmp_path / "runs.jsonl"
    file.write_text(f'{json.dumps(run("a"))}\n{{"id": "b", \n[1]\n{json.dumps(run("c"))}\n')
    records = list(read_runs(file))
    assert [record.run and record.run["id"] for record in records] == ["a", None, None, "c"]
    assert records[1].place == "line 2"


@pytest.mark.parametrize("text", ["[{]", '[{"id": 1}', "\x1f\x8b damaged", "{\n\n oh"])
def test_a_file_that_is_no_json_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "runs.json"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(LoopError):
        list(read_runs(file))


def test_the_latest_end_becomes_now_and_durations_stay() -> None:
    journal = loaded(
        run("late", start="2026-01-01T12:00:00+02:00", end_time="2026-01-01T12:00:09+02:00"),
        run("long", start="2026-01-01T09:00:00", end_time="2026-01-01T10:00:05Z"),
        run("epoch", start=1767258000000, end_time=1767258001.5),
    )
    by_name = {each["name"]: each for each in sent(journal)}
    times = {
        name: [datetime.fromisoformat(each[key]) for key in ("start_time", "end_time")]
        for name, each in by_name.items()
    }
    assert times["late"] == [NOW - timedelta(seconds=9), NOW]
    assert times["long"] == [NOW - timedelta(hours=1, seconds=9), NOW - timedelta(seconds=4)]
    assert times["epoch"][0] == NOW - timedelta(hours=1, seconds=9)
    assert times["epoch"][1] - times["epoch"][0] == timedelta(seconds=1.5)


def test_parents_come_before_children_however_the_file_is_ordered() -> None:
    # The child starts before its parent: clocks differ.
    journal = loaded(
        run("grandchild", "child", "2026-01-01T10:00:01"),
        run("child", "root", "2026-01-01T09:59:59"),
        run("other", None, "2026-01-01T10:00:00.500"),
        run("root", None, "2026-01-01T10:00:00"),
    )
    names = [each["name"] for each in sent(journal)]
    assert names == ["root", "child", "grandchild", "other"]
    root, child, grandchild, _ = sent(journal)
    assert child["parent_run_id"] == root["id"]
    assert grandchild["trace_id"] == root["id"] == root["trace_id"]
    assert grandchild["dotted_order"].startswith(child["dotted_order"] + ".")
    assert journal.counts().children_first == 2


def test_orphans_are_sent_as_roots_circles_and_timeless_runs_are_refused() -> None:
    journal = loaded(
        run("orphan", "gone"),
        run("a", "b"),
        run("b", "a"),
        {"id": "timeless", "name": "x"},
        run("wrong", start="yesterday"),
        run("twice", name="first"),
        run("twice", name="second"),
    )
    assert [each["name"] for each in sent(journal)] in (["orphan", "second"], ["second", "orphan"])
    metadata = {each["name"]: each["extra"]["metadata"] for each in sent(journal)}
    assert metadata["orphan"]["original_parent_run_id"] == "gone"
    counts = journal.counts()
    assert (counts.runs, counts.orphans, counts.dead, counts.repeated) == (6, 1, 4, 1)
    reasons = {letter.id: letter.reason for letter in journal.dead_letters()}
    assert "circle" in reasons["a"]
    assert "start_time" in reasons["timeless"]
    assert "yesterday" in reasons["wrong"]
    assert journal.revive(State.DEAD) == 0, "nothing makes these sendable"


def test_an_export_of_the_second_read_api_keeps_its_tree_and_usage() -> None:
    journal = loaded(
        {
            "id": "r",
            "run_type": "CHAIN",
            "start_time": "2026-01-01T10:00:00Z",
            "metadata": {"u": 1},
        },
        {
            "id": "c",
            "run_type": "LLM",
            "parent_run_ids": ["r"],
            "start_time": "2026-01-01T10:00:00Z",
            "prompt_tokens": 5,
            "total_tokens": 9,
            "project_id": "another workspace's",
        },
    )
    root, child = sent(journal)
    assert (root["run_type"], root["extra"]["metadata"]["u"]) == ("chain", 1)
    assert child["parent_run_id"] == root["id"]
    assert child["extra"]["metadata"]["usage_metadata"] == {"input_tokens": 5, "total_tokens": 9}
    assert "project_id" not in child


@given(st.integers(0, 2**47 * 1000), st.integers(0, 10**9), st.text(max_size=20))
def test_ids_are_uuid7_deterministic_and_sort_by_time(start: int, later: int, old: str) -> None:
    first, second = new_id("u", old, start), new_id("u", "x" + old, start + later)
    assert UUID(first).version == 7
    assert first == new_id("u", old, start) != new_id("other", old, start)
    if later:
        assert first < second
    assert UUID(first).int >> 80 == start // 1000


@pytest.mark.parametrize("value", ["", None])
def test_no_time_is_none(value: object) -> None:
    assert microseconds(value) is None


def test_batches_hold_whole_traces() -> None:
    journal = loaded(*generate(TraceSynthesis(traces=60, seed=3)))
    found = list(batches(journal, UploadLimits(runs=20, body_bytes=10**6)))
    traces = [{each.root for each in batch} for batch in found]
    assert sum(map(len, traces)) == 60, "no trace is in two batches"
    assert max(len(batch) for batch in found) <= 20


def test_synthetic_traces_are_trees_with_errors_and_tokens_the_same_for_a_seed() -> None:
    what = TraceSynthesis(traces=400, seed=7, categories=("a", "b"), error_rate=0.25)
    runs = list(generate(what))
    assert runs == list(generate(what))
    roots = [each for each in runs if each["parent_run_id"] is None]
    assert len(roots) == 400
    assert {tag for root in roots for tag in root["tags"]} == {"a", "b"}
    failed = sum(root["error"] is not None for root in roots)
    assert 70 <= failed <= 130
    by_id = {each["id"]: each for each in runs}
    for each in runs:
        parent = by_id.get(each["parent_run_id"])
        assert parent is None or parent["start_time"] <= each["start_time"]
        assert parent is None or each["end_time"] <= parent["end_time"]
    usage = [
        each["outputs"]["usage_metadata"]
        for each in runs
        if each["run_type"] == "llm" and each["outputs"]
    ]
    assert all(u["input_tokens"] + u["output_tokens"] == u["total_tokens"] for u in usage)
    assert {each["run_type"] for each in runs} == {"chain", "retriever", "embedding", "tool", "llm"}


def test_a_journal_of_an_earlier_version_is_loaded_again_with_the_same_ids(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "journal.db")
    old.executescript(
        "CREATE TABLE facts (name TEXT PRIMARY KEY, value) WITHOUT ROWID;"
        "CREATE TABLE runs (seq INTEGER PRIMARY KEY, old_id TEXT, state TEXT);"
        "INSERT INTO facts VALUES ('shift_us', 5000000), ('loaded', 1)"
    )
    old.close()
    journal = Journal(tmp_path / "journal.db")
    assert not journal.fact("loaded"), "the file is read again"
    journal.load([Record("run 1", run("a"))], "upload", NOW)
    assert sent(journal)[0]["start_time"] == "2026-01-01T10:00:05.000000+00:00", "the shift of then"
