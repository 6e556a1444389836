import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.audit.log_reading import OpenLog, events, fill

from foliotrace_audit import Entry, read_keys
from foliotrace_audit.cli import audit


@pytest.fixture
def root(open_log: OpenLog, tmp_path: Path) -> Path:
    """A closed log of five answered questions, one failed and one unfinished."""
    writer = open_log()
    fill(writer, 5)
    key_id, query_hash = writer.hash_query("acme", "never answered")
    begun = {"run_id": "lost", "tenant": "acme", "query_hash": query_hash, "key_id": key_id}
    writer.append(Entry(event="query_received", **begun))
    writer.append(Entry(event="ingest_received", run_id="job", tenant="acme"))
    writer.append(
        Entry(
            event="ingest_failed",
            run_id="job",
            tenant="acme",
            success=False,
            error="=cmd()",
            error_type="=zero_chunks",
            document_ids=("doc-9",),
        )
    )
    writer.close()
    return tmp_path


def run(root: Path, command: str, *arguments: str, stdin: str | None = None) -> Result:
    log = () if command == "rotate-key" else ("--log", str(root / "log"))
    return CliRunner().invoke(audit, [command, *log, *arguments], input=stdin)


def verify(root: Path, *arguments: str) -> Result:
    given = ("--keys", str(root / "keys"), "--checkpoints", str(root / "outside"))
    return run(root, "verify", *given, *arguments)


def test_verify_exits_0_when_sound(root: Path) -> None:
    result = verify(root)
    assert result.exit_code == 0
    assert result.output.startswith("sound: 15 records, 1 streams")


def test_verify_exits_1_and_names_the_record(root: Path) -> None:
    file = next((root / "log").glob("*/0000.jsonl"))
    file.write_bytes(file.read_bytes().replace(b"user-1", b"user-9", 1))
    result = verify(root)
    assert result.exit_code == 1
    assert result.output.startswith("TAMPERED")
    assert f"edited: {file.parent.name}/0000.jsonl record 3:" in result.output
    as_json = json.loads(verify(root, "--output", "json").output)
    assert (as_json["status"], as_json["exit_code"]) == ("tampered", 1)
    assert [(f["kind"], f["seq"]) for f in as_json["findings"]] == [("edited", 3)]


def test_verify_exits_2_with_the_proved_number_when_the_end_is_not_proved(
    open_log: OpenLog, tmp_path: Path
) -> None:
    writer = open_log()
    fill(writer, 4)
    writer.wait_durable(writer.append(Entry(event="admin_received")), timeout_s=10)
    result = verify(tmp_path)
    assert result.exit_code == 2
    assert "records to 9, proved complete to 0, being written" in result.output
    assert verify(tmp_path, "--open-ok").exit_code == 0


def test_verify_without_anything_from_outside_says_unanchored(root: Path) -> None:
    result = run(root, "verify", "--keys", str(root / "keys"))
    assert result.exit_code == 2
    assert result.output.startswith("unanchored")


def test_verify_needs_only_a_public_key_and_checkpoints(root: Path) -> None:
    [public] = (root / "keys").glob("*.pub.pem")
    given = ("--public-key", str(public), "--checkpoints", str(root / "outside"))
    assert run(root, "verify", *given).exit_code == 0


def test_a_command_that_cannot_run_is_never_taken_for_tampered(root: Path) -> None:
    next((root / "keys").glob("chain-*.key")).write_text("nonsense")
    result = verify(root)
    assert result.exit_code == 2
    assert "[audit_key_unusable]" in result.output
    assert run(root, "verify", "--public-key", str(root / "keys" / "active.json")).exit_code == 2
    assert run(root, "verify", "--checkpoints", str(root / "nowhere")).exit_code == 2


def found(result: Result) -> list[dict[str, object]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.output.splitlines()]


def test_find_finds_a_query_by_its_words_in_its_tenant_only(root: Path) -> None:
    def ask(tenant: str, words: str, stdin: str | None = None) -> list[dict[str, object]]:
        keys = ("--keys", str(root / "keys"), "--tenant", tenant, "--output", "json")
        return found(run(root, "find", *keys, "--query", words, stdin=stdin))

    assert [r["event"] for r in ask("acme", "question 2")] == ["query_received", "query_completed"]
    assert ask("acme", "-", stdin=" question 2 \n") == ask("acme", "question 2")
    assert ask("globex", "question 2") == []


@pytest.mark.parametrize(
    ("conditions", "count"),
    [
        (("--user", "user-1"), 4),
        (("--run", "run-3"), 2),
        (("--trace-id", f"{2:032x}"), 2),
        (("--document", "d4"), 1),
        (("--event", "query_completed"), 5),
        (("--failed",), 1),
        (("--since", "2020-01-01"), 13),
        (("--until", "2020-01-01T00:00:00Z"), 0),
        (("--user", "user-1", "--event", "query_completed"), 2),
        (("--user", "canary"), 0),
        (("--limit", "3"), 3),
    ],
)
def test_find_joins_its_conditions(root: Path, conditions: tuple[str, ...], count: int) -> None:
    assert len(found(run(root, "find", "--output", "json", *conditions))) == count
    assert len(run(root, "find", *conditions).output.splitlines()) == count


def test_find_takes_an_id_that_was_shortened_when_stored(open_log: OpenLog, tmp_path: Path) -> None:
    writer = open_log()
    writer.append(Entry(event="admin_received", user_id="u" * 999, document_ids=("d" * 999,)))
    writer.close()
    asked = ("--user", "u" * 999, "--document", "d" * 999, "--output", "json")
    assert len(found(run(tmp_path, "find", *asked))) == 1


def test_find_shows_work_that_was_begun_and_never_ended(root: Path) -> None:
    [record] = found(run(root, "find", "--unfinished", "--output", "json"))
    assert (record["event"], record["run_id"]) == ("query_received", "lost")


@pytest.mark.parametrize(
    "arguments", [("--query", "x"), ("--since", "yesterday"), ("--limit", "0")]
)
def test_find_refuses_what_it_cannot_do(root: Path, arguments: tuple[str, ...]) -> None:
    assert run(root, "find", *arguments).exit_code == 2


def test_export_writes_every_record_and_disarms_spreadsheet_formulas(root: Path) -> None:
    assert len(found(run(root, "export"))) == 13
    rows = list(csv.DictReader(run(root, "export", "--format", "csv").output.splitlines()))
    assert len(rows) == 13
    assert rows[-1]["error_type"] == "'=zero_chunks"
    assert rows[-1]["document_ids"] == '["doc-9"]'


def test_exported_checkpoints_prove_the_log_elsewhere(root: Path) -> None:
    exported = root / "carried.jsonl"
    exported.write_text(run(root, "checkpoints", "--output", "json").output)
    result = run(root, "verify", "--keys", str(root / "keys"), "--checkpoints", str(exported))
    assert result.exit_code == 0
    shown = run(root, "checkpoints", "--newest").output
    assert shown.count("\n") == 1
    assert "record 14" in shown


def test_rotate_key_replaces_the_keys_and_says_so_in_the_log(root: Path) -> None:
    before = read_keys(root / "keys")
    result = run(
        root,
        "rotate-key",
        "--keys",
        str(root / "keys"),
        "--log",
        str(root / "log"),
        "--checkpoints",
        str(root / "outside"),
    )
    after = read_keys(root / "keys")
    assert result.exit_code == 0
    assert set(before.ids).isdisjoint(after.ids)
    assert str(root / "keys" / f"{after.sign.id}.pub.pem") in result.output
    assert "key.rotated" in events(root / "log")
    assert verify(root).exit_code == 0


def test_rotate_key_makes_chosen_keys_where_there_were_none(tmp_path: Path) -> None:
    result = run(tmp_path, "rotate-key", "--keys", str(tmp_path / "fresh"))
    assert result.exit_code == 0
    assert not read_keys(tmp_path / "fresh").dev_key


@pytest.mark.parametrize("command", sorted(audit.commands))
def test_help_shows_examples(command: str) -> None:
    result = CliRunner().invoke(audit, [command, "--help"])
    assert f"foliotrace audit {command}" in result.output
    assert "\b" not in result.output


def test_options_take_the_defaults_of_whoever_mounts_the_group(root: Path) -> None:
    defaults = {"verify": {"log_folder": str(root / "log"), "keys": str(root / "keys")}}
    result = CliRunner().invoke(
        audit, ["verify", "--checkpoints", str(root / "outside")], default_map=defaults
    )
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("command", ["find", "export"])
def test_an_edited_record_is_marked_while_it_is_read(root: Path, command: str) -> None:
    arguments = ("--keys", str(root / "keys"), *(["--output", "json"] if command == "find" else []))
    assert {r["verified"] for r in found(run(root, command, *arguments))} == {True}
    file = next((root / "log").glob("*/0000.jsonl"))
    file.write_bytes(file.read_bytes().replace(b"user-1", b"user-9", 1))
    result = run(root, command, *arguments)
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert [r["verified"] for r in records].count(False) == 1
    assert next(r for r in records if r["verified"] is False)["user_id"] == "user-9"
    assert result.exit_code == 1
    assert "NOT AS WRITTEN" in run(root, "find", "--keys", str(root / "keys")).output


def test_the_record_behind_a_dropped_one_is_marked(root: Path) -> None:
    file = next((root / "log").glob("*/0000.jsonl"))
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:4] + lines[5:]))
    result = run(root, "export", "--keys", str(root / "keys"))
    assert result.exit_code == 1
    assert [json.loads(line)["verified"] for line in result.stdout.splitlines()].count(False) == 1


def test_records_of_one_tenant_and_one_subject_are_exported(root: Path) -> None:
    assert found(run(root, "export", "--tenant", "acme"))
    assert found(run(root, "export", "--tenant", "globex")) == []
    one = found(run(root, "export", "--subject", "user-1"))
    assert {record["user_id"] for record in one} == {"user-1"}


def test_records_are_exported_as_ocsf(root: Path) -> None:
    events = found(run(root, "export", "--format", "ocsf"))
    assert len(events) == 13
    assert {(e["class_uid"], e["category_uid"]) for e in events} == {(6003, 6)}
    assert all(e["type_uid"] == 600300 + e["activity_id"] for e in events)
    failed = next(e for e in events if e["status_id"] == 2)
    assert failed["status_code"] == "=zero_chunks"
    assert len({e["metadata"]["uid"] for e in events}) == 13
