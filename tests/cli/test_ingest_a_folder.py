"""`foliotrace ingest FOLDER`, again and again: held bytes are not sent, vanished files can go."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import unicodedata
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.cli.command_line import PROGRAM, foliotrace, json_output
from tests.fakes.llamacloud.sample import pdf
from tests.server.small_service import serving, small_engine

from foliotrace.errors import BadInput
from foliotrace_server.cli.command import Exit
from foliotrace_server.cli.uploads.local_files import find_files

pytestmark = pytest.mark.anyio


class CommandLine:
    """The command line on a data folder of its own, or on a server."""

    def __init__(self, home: Path, *where: str) -> None:
        self.home, self.where = home, where

    async def __call__(self, *words: str, code: int = 0) -> Any:
        return await asyncio.to_thread(json_output, self.home, *self.where, *words, code=code)

    async def jobs(self) -> list[Any]:
        """Every upload has one, and no parser is called outside of one."""
        return list((await self("jobs", "list"))["jobs"])

    async def names(self, collection: str = "default") -> list[str]:
        found = await self("documents", "list", "--collection", collection)
        return sorted(document["name"] for document in found["documents"])


@pytest.fixture(params=["embedded", "server"])
async def cli(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[CommandLine]:
    (tmp_path / "files/sub").mkdir(parents=True)
    (tmp_path / "files/a.txt").write_text("All of alpha.")
    (tmp_path / "files/sub/b.txt").write_text("All of beta.")
    if request.param == "embedded":
        yield CommandLine(tmp_path, "--data-dir", "data")
        return
    async with serving(small_engine(tmp_path / "data")) as client:
        yield CommandLine(tmp_path, "--url", str(client.base_url))


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[tuple[CommandLine, httpx.AsyncClient]]:
    (tmp_path / "files").mkdir()
    async with serving(small_engine(tmp_path / "data")) as client:
        yield CommandLine(tmp_path, "--url", str(client.base_url)), client


async def test_unchanged_files_are_not_sent_and_missing_ones_are_deleted(
    cli: CommandLine,
) -> None:
    first = await cli("ingest", "files")
    assert sorted(each["name"] for each in first["ingested"]) == ["a.txt", "sub/b.txt"]
    jobs = await cli.jobs()
    os.utime(cli.home / "files/a.txt")  # touched, not changed
    again = await cli("ingest", "files")
    assert (again["unchanged"], again["ingested"], again["failed"]) == (2, [], [])
    assert await cli.jobs() == jobs
    (cli.home / "files/sub/b.txt").unlink()
    assert (await cli("ingest", "files", "--delete-missing"))["deleted"] == ["sub/b.txt"]


async def test_what_changed_is_ingested_and_what_vanished_goes_when_wanted(
    served: tuple[CommandLine, httpx.AsyncClient],
) -> None:
    cli, _ = served
    (cli.home / "files/sub").mkdir()
    for name, word in (("a.txt", "alpha"), ("sub/b.txt", "beta"), ("c.txt", "gamma")):
        (cli.home / "files" / name).write_text(f"All of {word}.")
    await cli("ingest", "files")
    await cli("ingest", "files/a.txt", "--collection", "other")
    jobs = await cli.jobs()
    (cli.home / "files/a.txt").write_text("All of delta.")
    (cli.home / "files/c.txt").unlink()
    wanted = ("ingest", "files", "--delete-missing")
    would = await cli(*wanted, "--dry-run")
    assert (would["dry_run"], would["unchanged"], would["deleted"]) == (True, 1, ["c.txt"])
    assert would["ingested"] == [{"name": "a.txt"}]
    assert await cli.jobs() == jobs
    assert await cli.names() == ["a.txt", "c.txt", "sub/b.txt"]
    done = await cli(*wanted)
    assert (done["unchanged"], done["deleted"], done["failed"]) == (1, ["c.txt"], [])
    assert [each["name"] for each in done["ingested"]] == ["a.txt"]
    assert await cli.names() == ["a.txt", "sub/b.txt"]
    assert await cli.names("other") == ["a.txt"]


async def test_other_metadata_is_noted_and_nothing_is_parsed_for_it(
    served: tuple[CommandLine, httpx.AsyncClient],
) -> None:
    cli, _ = served
    (cli.home / "files/a.txt").write_text("All of alpha.")
    await cli("ingest", "files/a.txt", "--metadata", '{"year": 2024}')
    other = await cli("ingest", "files/a.txt", "--metadata", '{"year": 2025}')
    assert (other["unchanged"], other["ingested"]) == (1, [])
    jobs = await cli.jobs()
    again = await cli("ingest", "files/a.txt", "--metadata", '{"year": 2025}')
    assert again["unchanged"] == 1
    assert await cli.jobs() == jobs
    document = await cli("documents", "show", "a.txt")
    assert document["metadata"] == {"year": 2025}


def test_named_pages_are_read_and_the_same_ones_are_unchanged(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files/a.pdf").write_bytes(pdf(*([[f"Chapter {n}"]] for n in range(1, 6))))
    data = ("--data-dir", "data")

    def ingest(*words: str, code: int = 0) -> Any:
        return json_output(tmp_path, *data, "ingest", *words, code=code)

    assert ingest("files", "--pages", "5,2-3")["ingested"][0]["pages"] == 3
    assert ingest("files", "--pages", "2-3,5")["unchanged"] == 1
    shown = json_output(tmp_path, *data, "documents", "show", "a.pdf")
    assert (shown["pages"], shown["pages_total"]) == ("2-3,5", 3)
    (failed,) = ingest("files", "--pages", "7", code=3)["failed"]
    assert failed["code"] == "pages_out_of_range"
    assert "has 5 pages" in failed["detail"]
    assert ingest("files")["ingested"][0]["pages"] == 5
    (tmp_path / "files/b.txt").write_text("Plain words.")
    (failed,) = ingest("files", "--pages", "1", code=3)["failed"]
    assert (failed["name"], failed["code"]) == ("b.txt", "file_without_pages")


async def test_what_is_being_ingested_already_is_followed(
    served: tuple[CommandLine, httpx.AsyncClient],
) -> None:
    cli, client = served
    text = "\x0c".join(["slow"] * 40)
    (cli.home / "files/slow.txt").write_text(text)
    sent = await client.post("/v1/documents", files={"file": ("slow.txt", text.encode())})
    job = sent.json()["accepted"][0]["job"]
    done = await cli("ingest", "files")
    assert [each["pages"] for each in done["ingested"]] == [40]
    assert [each["id"] for each in await cli.jobs()] == [job["id"]]


async def test_an_interrupted_run_says_how_far_it_came_and_the_next_goes_on(
    served: tuple[CommandLine, httpx.AsyncClient],
) -> None:
    cli, client = served
    (cli.home / "files/slow.txt").write_text("\x0c".join(["slow"] * 60))
    words = [*cli.where, "ingest", "files", "--output", "json"]
    command = [sys.executable, "-c", PROGRAM, *words]
    running = subprocess.Popen(
        command, cwd=cli.home, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    while not (await client.get("/v1/jobs")).json()["jobs"]:
        assert running.poll() is None, running.communicate()
        await asyncio.sleep(0.02)
    running.send_signal(signal.SIGINT)
    out, err = await asyncio.to_thread(running.communicate, timeout=60)
    assert running.returncode == 130, err
    assert json.loads(out)["ingested"] == []
    done = await cli("ingest", "files")
    assert [each["pages"] for each in done["ingested"]] == [60]
    assert len(await cli.jobs()) == 1


async def test_a_file_that_failed_is_named_and_tried_again(
    served: tuple[CommandLine, httpx.AsyncClient],
) -> None:
    cli, _ = served
    (cli.home / "files/bad.txt").write_text("%broken")
    (cli.home / "files/good.txt").write_text("All of alpha.")
    for ingested in (1, 0):
        done = await cli("ingest", "files", code=Exit.PARTLY_FAILED)
        assert [each["name"] for each in done["failed"]] == ["bad.txt"]
        assert len(done["ingested"]) == ingested
    assert len(await cli.jobs()) == 3


async def test_many_files_are_compared_with_one_listing(
    served: tuple[CommandLine, httpx.AsyncClient],
) -> None:
    cli, _ = served
    for number in range(20):
        (cli.home / f"files/{number}.txt").write_text(f"Page {number}.")
    assert len((await cli("ingest", "files"))["ingested"]) == 20
    assert (await cli("ingest", "files"))["unchanged"] == 20


async def test_a_name_is_the_same_in_either_spelling(
    served: tuple[CommandLine, httpx.AsyncClient],
) -> None:
    cli, _ = served
    decomposed = unicodedata.normalize("NFD", "prüfung.txt")
    (cli.home / "files" / decomposed).write_text("All of alpha.")
    await cli("ingest", "files", "--delete-missing")
    again = await cli("ingest", "files", "--delete-missing")
    assert (again["unchanged"], again["deleted"]) == (1, [])


async def test_a_name_that_is_not_text_does_not_stop_the_others(
    served: tuple[CommandLine, httpx.AsyncClient],
) -> None:
    cli, _ = served
    (cli.home / "files/a.txt").write_text("All of alpha.")
    Path(os.fsdecode(bytes(cli.home / "files") + b"/b\xff.txt")).write_text("All of beta.")
    done = await cli("ingest", "files", code=Exit.PARTLY_FAILED)
    assert [each["code"] for each in done["failed"]] == ["invalid_name"]
    assert [each["name"] for each in done["ingested"]] == ["a.txt"]


def test_only_files_of_the_folder_itself_are_found(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    (folder / ".git").mkdir(parents=True)
    for name in ("b.txt", "a.txt", ".hidden", ".git/config"):
        (folder / name).write_text("text")
    (tmp_path / "secret.txt").write_text("text")
    (folder / "out.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "in.txt").symlink_to(folder / "a.txt")
    assert [found.name for found in find_files([folder])] == ["a.txt", "b.txt", "in.txt"]


def test_links_that_are_not_followed_are_reported_and_equal_failures_share_a_line(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (folder / "a.txt").write_text("All of alpha.")
    (folder / "out").symlink_to(tmp_path / "elsewhere")
    for number in range(7):
        (folder / f"{number}.7z").write_bytes(b"7z\xbc\xaf\x27\x1c" + bytes([number]) * 50)
    shown = foliotrace(tmp_path, "--data-dir", "data", "ingest", "files").stdout.splitlines()
    assert shown[0].startswith("skipped: out: a link to a folder")
    assert shown[1].startswith("failed: 7 files (")
    assert " and 2 more) [file_type_unsupported]" in shown[1]
    assert shown[2] == "1 ingested (1 pages), 0 unchanged, 7 failed"


def test_a_folder_of_links_alone_says_so(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files/out.txt").symlink_to(tmp_path / "there.txt")
    (tmp_path / "there.txt").write_text("text")
    with pytest.raises(BadInput) as refused:
        find_files([tmp_path / "files"])
    assert "1 symbolic link to folders or to files elsewhere" in str(refused.value.hint)


def test_two_files_never_become_one_document(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "report.pdf").write_text(name)
    with pytest.raises(BadInput, match=r"would both become the document report\.pdf") as refused:
        find_files([tmp_path / "a", tmp_path / "b"])
    assert refused.value.error_code == "same_name"
    assert len(find_files([tmp_path / "a", tmp_path / "a"])) == 1


def test_a_folder_that_cannot_be_read_is_not_taken_for_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open/a.txt").write_text("text")
    (tmp_path / "closed").mkdir()
    scandir = os.scandir

    def refusing(path: str) -> Any:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(BadInput) as refused:
        find_files([tmp_path])
    assert refused.value.error_code == "folder_unreadable"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("empty",), "[no_files]"),
        (("a.txt", "--delete-missing"), "takes folders"),
        (("a.txt", "--metadata", "{year: 1}"), "--metadata is not JSON: line 1"),
        (("a.txt", "--pages", "3-1"), "the range 3-1 ends before it starts"),
        (("a.txt", "--pages", ""), "1-3,7"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_done(
    tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.txt").write_text("All of alpha.")
    ended = foliotrace(tmp_path, "ingest", *words)
    assert ended.returncode == Exit.WRONG_INPUT
    assert said in ended.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "empty"]


def test_a_server_that_goes_away_leaves_a_true_report(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("All of alpha.")
    done = json_output(
        tmp_path, "--url", "http://127.0.0.1:9", "ingest", "a.txt", code=Exit.UNREACHABLE
    )
    assert (done["ingested"], done["unchanged"], done["failed"]) == ([], 0, [])
