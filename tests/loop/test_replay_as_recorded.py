"""A replay rebuilds the settings and the documents of the run, and says what it cannot."""

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from foliotrace_loop.store import LoopStore
from foliotrace_server.cli.main import main
from foliotrace_server.loop.recorded import note_configurations, recorded_settings
from foliotrace_server.settings import Settings, load_settings


def configured(folder: Path, model: str, api_base: str | None = None) -> Settings:
    llm = {"provider": "openai", "model": model, "api_key": "sk-secret", "api_base": api_base}
    return load_settings(None, data_dir=folder, llm=llm)


def test_settings_are_noted_without_keys_and_a_key_goes_only_where_it_goes_today(
    tmp_path: Path,
) -> None:
    store = LoopStore(tmp_path / "loop.db")
    then = configured(tmp_path, "gpt-4o-2024-08-06")
    note_configurations(store, {"f1": then})
    assert recorded_settings(store, "f1", then) == {}
    assert recorded_settings(store, "f2", then) is None
    assert recorded_settings(store, None, then) is None
    later = recorded_settings(store, "f1", configured(tmp_path, "gpt-5-2026-01-01"))
    assert later is not None
    assert (later["llm"]["model"], later["llm"]["api_key"]) == ("gpt-4o-2024-08-06", "sk-secret")
    elsewhere = configured(tmp_path, "gpt-5-2026-01-01", "http://elsewhere.example/v1")
    kept_back = recorded_settings(store, "f1", elsewhere)
    assert kept_back is not None
    assert kept_back["llm"]["api_key"] is None
    store.close()
    assert b"sk-secret" not in (tmp_path / "loop.db").read_bytes()


def run(folder: Path, *words: str, code: int = 0, **settings: str) -> Any:
    environment = {"FOLIOTRACE_RUNS__KEEP_CONTENT": "redacted", **settings}
    options = ["--data-dir", str(folder / "data"), "--output", "json"]
    done = CliRunner().invoke(main, [*options, *words], env=environment)
    assert done.exit_code == code, done.output
    return json.loads(done.stdout) if done.stdout.strip().startswith("{") else None


def test_a_replay_asks_as_then_and_with_now_as_today(tmp_path: Path) -> None:
    question = "How much does the whale weigh?"
    (tmp_path / "a.txt").write_text("The whale weighs 190 tonnes.")
    (tmp_path / "b.txt").write_text("How much does the whale weigh? The whale weighs 7 grams.")
    changed = {"FOLIOTRACE_QUERY__GROUNDING": "mark"}
    run(tmp_path, "ingest", str(tmp_path / "a.txt"))
    run_id = run(tmp_path, "ask", question)["run_id"]
    run(tmp_path, "ingest", str(tmp_path / "b.txt"))
    then = run(tmp_path, "loop", "replay", run_id, "--times", "2", **changed)
    assert (then["verdict"], len(then["attempts"])) == ("reproduced", 2)
    assert {"settings", "model", "prompt", "index (1 later left out)"} <= set(then["rebuilt"])
    assert not [each for each in then["not_rebuilt"] if each.startswith(("settings", "index"))]
    today = run(tmp_path, "loop", "replay", run_id, "--now", **changed)
    named = {each.partition(":")[0] for each in today["not_rebuilt"]}
    assert {"settings", "index"} <= named


HANDBOOK = Path(__file__).parents[2] / "examples/documents/larkfield-handbook.docx"
CARD = "4111 1111 1111 1111"


def test_a_question_with_personal_data_becomes_a_case_that_can_pass(tmp_path: Path) -> None:
    """Its placeholder was asked literally, and refused: nothing in the documents is about it."""
    (tmp_path / "a.txt").write_text("Mail to the keeper goes to keeper@example.org.")
    run(tmp_path, "ingest", str(tmp_path / "a.txt"), str(HANDBOOK))
    datasets = ("--datasets", str(tmp_path / "rows"))
    fee = run(tmp_path, "ask", f"What is the joining fee? Call me on {CARD}")
    assert "150 EUR" in fee["answer"]
    mail = run(tmp_path, "ask", "Where does mail to the keeper go?")
    assert "keeper@example.org" in mail["answer"]
    for asked, reference in ((fee, "150 EUR once"), (mail, "to keeper@example.org")):
        promoting = ("loop", "promote", asked["run_id"], *datasets, "--reference", reference)
        assert run(tmp_path, *promoting)["new"]
    rows = (tmp_path / "rows/complaints.jsonl").read_text()
    assert ("Call me on <CARD:1>" in rows, "to <EMAIL:1>" in rows) == (True, True)
    assert not [each for each in (CARD, "keeper@example.org") if each in rows]
    evaluated = run(tmp_path, "loop", "eval", *datasets)
    assert [each["verdict"] for each in evaluated["cases"]] == ["pass", "pass"], evaluated
    replayed = run(tmp_path, "loop", "replay", mail["run_id"])
    assert replayed["verdict"] == "reproduced", replayed
    right = run(tmp_path, "loop", "replay", fee["run_id"], "--reference", "150 EUR once")
    assert right["verdict"] == "fixed", right
    assert "inputs_redacted" in right["not_rebuilt"][-1]


def test_a_run_without_content_is_replayed_in_its_collection(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("The whale weighs 190 tonnes.")
    run(tmp_path, "ingest", str(tmp_path / "a.txt"), "--collection", "zoo")
    question = "How much does the whale weigh?"
    off = {"FOLIOTRACE_RUNS__KEEP_CONTENT": "off"}
    asked = run(tmp_path, "ask", question, "--collection", "zoo", **off)
    assert run(tmp_path, "loop", "replay", asked["run_id"], code=2, **off) is None
    asking = ("loop", "replay", asked["run_id"], "--question", question, "--times", "1")
    found = run(tmp_path, *asking, "--reference", "190 tonnes", **off)
    assert found["verdict"] == "fixed", found
    assert "its filters are not known" in found["not_rebuilt"][-1]
