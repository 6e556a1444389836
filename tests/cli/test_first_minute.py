"""What a newcomer types first, right and wrong, in an empty folder."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from tests.cli.command_line import foliotrace

from foliotrace_server.cli.command import MEANINGS, Exit
from foliotrace_server.cli.main import COMMANDS, main


def every_command() -> Iterator[tuple[str, click.Command]]:
    for name, registered in COMMANDS.items():
        command = registered.load()
        yield name, command
        if isinstance(command, click.Group):
            for inner in command.commands.values():
                yield f"{name} {inner.name}", inner


@pytest.mark.parametrize(("name", "command"), list(every_command()), ids=str)
def test_every_command_explains_itself_with_an_example(name: str, command: click.Command) -> None:
    lines = command.get_help(click.Context(command, info_name=f"foliotrace {name}")).splitlines()
    assert lines[2].strip()  # what it does
    if isinstance(command, click.Group):
        return
    example = next(at for at, line in enumerate(lines) if line.strip() == "Examples:") + 1
    assert lines[example].strip().startswith(f"foliotrace {name}")


def test_every_option_says_what_it_is_for() -> None:
    silent = [
        f"{name} {option.opts[0]}"
        for name, command in every_command()
        for option in command.params
        if isinstance(option, click.Option) and not option.help
    ]
    assert silent == []


def test_help_lists_every_command_and_every_exit_code(tmp_path: Path) -> None:
    ended = foliotrace(tmp_path, "--help").stdout
    assert [name for name in COMMANDS if f"\n  {name} " not in ended] == []
    words = " ".join(ended.split())
    assert [code for code in Exit if f"{code:d} {code.label}" not in words] == []
    assert set(MEANINGS) == set(Exit)


def test_a_mistyped_command_is_met_with_the_nearest(tmp_path: Path) -> None:
    for words, nearest in ((("aks", "why?"), "ask"), (("documents", "lst"), "list")):
        ended = foliotrace(tmp_path, *words)
        assert ended.returncode == 2
        assert f"Did you mean '{nearest}'?" in ended.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_learns_to_complete(tmp_path: Path, shell: str) -> None:
    script = foliotrace(tmp_path, "completion", shell)
    assert script.returncode == 0, script.stderr
    assert "_FOLIOTRACE_COMPLETE" in script.stdout


def test_a_word_begun_is_completed() -> None:
    begun = [item.value for item in main.shell_complete(click.Context(main), "do")]
    assert begun == ["documents", "doctor"]
    assert "--data-dir" in [i.value for i in main.shell_complete(click.Context(main), "--da")]


def _schema(folder: Path, text: str) -> str:
    (folder / "invoice.schema.json").write_text(text)
    return "invoice.schema.json"


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    ended = foliotrace(tmp_path, "ingest", "./reprots")
    assert ended.returncode == Exit.WRONG_INPUT
    assert "'./reprots' does not exist" in ended.stderr


def test_a_schema_that_is_not_json_is_shown_where(tmp_path: Path) -> None:
    schema = _schema(tmp_path, '{"type": "object",\n "properties": {,}}')
    ended = foliotrace(tmp_path, "extract", "invoice.pdf", "--schema", schema)
    assert ended.returncode == Exit.WRONG_INPUT
    assert "invoice.schema.json is not JSON: line 2, column 17" in ended.stderr
    assert "double quotes" in ended.stderr


def test_a_schema_that_is_nowhere(tmp_path: Path) -> None:
    ended = foliotrace(tmp_path, "extract", "invoice.pdf", "--schema", "invoice.json")
    assert ended.returncode == Exit.WRONG_INPUT
    assert "there is no file invoice.json" in ended.stderr


def test_a_document_that_was_never_ingested(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Refunds are paid within 30 days.")
    foliotrace(tmp_path, "ingest", "a.txt")
    schema = _schema(tmp_path, '{"type": "object"}')
    ended = foliotrace(tmp_path, "extract", "invoice.pdf", "--schema", schema)
    assert ended.returncode == Exit.NOT_FOUND
    assert "there is no document named invoice.pdf [document_not_found]" in ended.stderr
    assert "must be ingested first" in ended.stderr


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with socket.socket() as taken:  # bound and not listening: nobody answers, nobody else can
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        ended = foliotrace(tmp_path, "--url", url, "ask", "why?")
        as_json = foliotrace(tmp_path, "ask", "why?", "--url", url, "--output", "json")
    assert ended.returncode == as_json.returncode == Exit.UNREACHABLE
    assert f"no answer from {url}" in ended.stderr
    assert "foliotrace serve" in ended.stderr
    error = json.loads(as_json.stderr)["error"]
    assert (error["code"], error["exit"]) == ("server_unreachable", Exit.UNREACHABLE)
    assert as_json.stdout == ""


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = foliotrace(tmp_path, "serve", "--port", str(port))
    assert ended.returncode == Exit.MISCONFIGURED
    assert f"cannot bind 127.0.0.1:{port}" in ended.stderr
    assert "Choose another --port" in ended.stderr


@pytest.mark.parametrize("words", [("ask", "why?"), ("audit", "export")])
def test_a_setting_that_is_misspelt(tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "foliotrace.toml").write_text("[server]\nprot = 9000\n")
    ended = foliotrace(tmp_path, *words)
    assert ended.returncode == Exit.MISCONFIGURED
    assert "prot" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_settings_that_are_not_toml_are_shown_where(tmp_path: Path) -> None:
    (tmp_path / "foliotrace.toml").write_text('[server]\nport = "9000\n')
    ended = foliotrace(tmp_path, "ask", "why?")
    assert ended.returncode == Exit.MISCONFIGURED
    assert "foliotrace.toml is not TOML" in ended.stderr
    assert "line 2" in ended.stderr
    checked = foliotrace(tmp_path, "doctor")
    assert checked.returncode == Exit.MISCONFIGURED
    assert "foliotrace.toml is not TOML" in checked.stdout
    assert "data folder" in checked.stdout


def test_a_url_may_be_written_without_its_scheme(tmp_path: Path) -> None:
    ended = foliotrace(tmp_path, "--url", "127.0.0.1:9", "ask", "why?")
    assert ended.returncode == Exit.UNREACHABLE
    assert "no answer from http://127.0.0.1:9" in ended.stderr


def test_a_number_out_of_range_is_not_taken_for_the_default(tmp_path: Path) -> None:
    ended = foliotrace(tmp_path, "ask", "why?", "--top-k", "0")
    assert ended.returncode == Exit.WRONG_INPUT
    assert "--top-k" in ended.stderr


@pytest.mark.parametrize("words", [("ask", "How long?"), ("documents", "list")])
def test_a_folder_without_a_library_is_named_and_none_is_made(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    ended = foliotrace(tmp_path, *words)
    assert ended.returncode == Exit.MISCONFIGURED
    assert "there is no library in" in ended.stderr
    assert "foliotrace ingest" in ended.stderr
    assert "--data-dir" in ended.stderr
    assert list(tmp_path.rglob("library.db")) == []


def test_a_question_to_an_empty_collection(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Refunds are paid within 30 days.")
    foliotrace(tmp_path, "ingest", "a.txt")
    ended = foliotrace(tmp_path, "ask", "How long is the refund window?", "--collection", "none")
    assert ended.returncode == Exit.NOT_FOUND
    assert "There is no collection none. [collection_not_found]" in ended.stderr
    assert "foliotrace ingest" in ended.stderr


def test_the_audit_log_speaks_json_too(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Refunds are paid within 30 days.")
    foliotrace(tmp_path, "ingest", "a.txt")
    foliotrace(tmp_path, "ask", "why?")
    made = foliotrace(tmp_path, "--output", "json", "audit", "rotate-key")
    assert made.returncode == 0, made.stderr
    assert set(json.loads(made.stdout)) == {"chain", "query", "sign", "public"}
    found = foliotrace(tmp_path, "audit", "find", "--event", "query_completed", "--output", "json")
    assert [json.loads(line)["event"] for line in found.stdout.splitlines()] == ["query_completed"]


def test_a_schema_may_be_a_pydantic_model_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "models.py").write_text(
        "from pydantic import BaseModel\nclass Invoice(BaseModel):\n    total: str | None = None\n"
    )
    (tmp_path / "invoice.txt").write_text("Total: 12.50 EUR\n")
    foliotrace(tmp_path, "ingest", "invoice.txt")
    found = foliotrace(tmp_path, "extract", "invoice.txt", "--schema", "models:Invoice")
    assert found.returncode == 0, found.stderr
    assert "/total: '12.50 EUR'" in found.stdout
    missing = foliotrace(tmp_path, "extract", "invoice.txt", "--schema", "modles:Invoice")
    assert missing.returncode == Exit.WRONG_INPUT
    assert "its module cannot be imported" in missing.stderr
