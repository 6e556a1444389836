"""Only files of allowed folders and hosts are read, whatever the path or the URL tries."""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from foliotrace.adapters.local.outside_files import AllowedFiles
from foliotrace.adapters.local.outside_files.urls import AllowedHosts
from foliotrace.errors import FoliotraceError, NotAllowed
from foliotrace.settings import OutsideFileSettings

pytestmark = pytest.mark.anyio


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "allowed" / "sub").mkdir(parents=True)
    (tmp_path / "allowed" / "sub" / "a.txt").write_text("allowed")
    (tmp_path / "allowed-not").mkdir()
    (tmp_path / "allowed-not" / "b.txt").write_text("secret")
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "allowed" / "link.txt").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "allowed" / "away").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "allowed" / "pipe")
    return tmp_path


async def opened(folder: Path, path: str) -> bytes:
    files = AllowedFiles(OutsideFileSettings(folders=(folder / "allowed",)))
    async with files.open(path) as file:
        return b"".join([piece async for piece in file.content])


@pytest.mark.parametrize("path", ["sub/a.txt", "{folder}/allowed/sub/a.txt"])
async def test_a_file_under_an_allowed_folder_is_read(folder: Path, path: str) -> None:
    assert await opened(folder, path.format(folder=folder)) == b"allowed"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("{folder}/secret.txt", "source_not_allowed"),
        ("{folder}/allowed-not/b.txt", "source_not_allowed"),
        ("../secret.txt", "source_not_allowed"),
        ("sub/../../secret.txt", "source_not_allowed"),
        ("{folder}/allowed/../secret.txt", "source_not_allowed"),
        ("/etc/passwd", "source_not_allowed"),
        ("sub/a.txt\0.pdf", "source_not_allowed"),
        ("link.txt", "source_not_found"),
        ("away/secret.txt", "source_not_found"),
        ("pipe", "source_not_found"),
        ("sub", "source_not_found"),
        ("missing.txt", "source_not_found"),
        ("", "source_not_found"),
        ("x" * 5000, "source_not_found"),
    ],
)
async def test_every_other_path_is_refused(folder: Path, path: str, code: str) -> None:
    with pytest.raises(FoliotraceError) as refused:
        await opened(folder, path.format(folder=folder))
    assert refused.value.error_code == code
    assert str(folder) not in refused.value.message


async def test_without_settings_no_file_and_no_url_is_read(folder: Path) -> None:
    files = AllowedFiles(OutsideFileSettings())
    with pytest.raises(NotAllowed):
        async with files.open(str(folder / "secret.txt")):
            pass
    with pytest.raises(NotAllowed):
        async with files.fetch("https://example.org/a.pdf"):
            pass


@asynccontextmanager
async def web(answers: dict[str, bytes]) -> AsyncIterator[tuple[int, list[str]]]:
    """A web server: (port, the Host headers it saw)."""
    seen: list[str] = []

    async def answer(stream: Any) -> None:
        async with stream:
            head = b""
            while b"\r\n\r\n" not in head:
                head += await stream.receive()
            lines = head.decode().split("\r\n")
            seen.extend(line[6:] for line in lines if line.startswith("Host: "))
            await stream.send(answers[lines[0].split()[1]])

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, answer)
        try:
            yield listener.extra(anyio.abc.SocketAttribute.local_port), seen
        finally:
            tasks.cancel_scope.cancel()
    await listener.aclose()


def file_answer(content: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(content), content)


def redirect(to: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n".encode()


def hosts(*names: str, addresses: Sequence[str] = ("127.0.0.1",), private: str = "") -> Any:
    looked_up: list[str] = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        looked_up.append(host)
        return addresses

    settings = OutsideFileSettings(
        url_hosts=names, private_networks=(private,) if private else (), fetch_s=5
    )
    allowed = AllowedHosts(settings, resolve)
    allowed.looked_up = looked_up  # type: ignore[attr-defined] # for the test
    return allowed


async def fetched(allowed: AllowedHosts, url: str) -> tuple[str, bytes]:
    async with allowed.fetch(url) as file:
        return file.name, b"".join([piece async for piece in file.content])


async def test_a_file_of_an_allowed_host_is_fetched_by_the_address_that_was_checked() -> None:
    async with web({"/docs/a%20b.txt?v=1": file_answer(b"text")}) as (port, seen):
        allowed = hosts(f"files.test:{port}", private="127.0.0.0/8")
        url = f"http://Files.test:{port}/docs/a%20b.txt?v=1"
        assert await fetched(allowed, url) == ("a b.txt", b"text")
        assert seen == [f"files.test:{port}"]
        assert allowed.looked_up == ["files.test"]


async def test_a_redirect_within_the_allowed_hosts_is_followed() -> None:
    answers = {"/a": redirect("/b"), "/b": file_answer(b"text")}
    async with web(answers) as (port, _):
        allowed = hosts(f"files.test:{port}", private="127.0.0.0/8")
        assert await fetched(allowed, f"http://files.test:{port}/a") == ("a", b"text")


@pytest.mark.parametrize(
    "to",
    ["http://other.test/", "http://127.0.0.1/", "file:///etc/passwd", "http://u:p@files.test/"],
)
async def test_a_redirect_elsewhere_is_refused(to: str) -> None:
    async with web({"/a": redirect(to)}) as (port, _):
        allowed = hosts(f"files.test:{port}", private="127.0.0.0/8")
        with pytest.raises(NotAllowed):
            await fetched(allowed, f"http://files.test:{port}/a")


async def test_redirects_in_a_circle_end() -> None:
    async with web({"/a": redirect("/a")}) as (port, seen):
        allowed = hosts(f"files.test:{port}", private="127.0.0.0/8")
        with pytest.raises(FoliotraceError, match="redirects"):
            await fetched(allowed, f"http://files.test:{port}/a")
        assert len(seen) == 6


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["10.1.2.3"],
        ["169.254.169.254"],
        ["0.0.0.0"],
        ["100.64.0.1"],
        ["224.0.0.1"],
        ["::1"],
        ["fe80::1%eth0"],
        ["fd00::1"],
        ["::ffff:127.0.0.1"],
        ["64:ff9b::7f00:1"],
        ["2002:7f00:1::"],
        ["93.184.216.34", "127.0.0.1"],
        [],
    ],
)
async def test_an_allowed_name_with_a_private_address_is_refused(addresses: list[str]) -> None:
    with pytest.raises(NotAllowed):
        await fetched(hosts("files.test", addresses=addresses), "http://files.test/a")


@pytest.mark.parametrize(
    "url",
    [
        "http://files.test.evil/a",
        "http://evil/files.test",
        "http://files.test:22/a",
        "http://files.test@evil/a",
        "http://127.0.0.1/a",
        "http://2130706433/a",
        "ftp://files.test/a",
        "//files.test/a",
        "not a url",
        "http://[::1]/a",
    ],
)
async def test_a_url_of_another_host_is_refused_before_any_look_up(url: str) -> None:
    allowed = hosts("files.test")
    with pytest.raises(NotAllowed):
        await fetched(allowed, url)
    assert allowed.looked_up == []


async def test_a_host_that_is_silent_is_given_up() -> None:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    allowed = hosts(f"files.test:{port}", private="127.0.0.0/8")
    allowed._limit_s = 0.2
    with pytest.raises(FoliotraceError) as late:
        await fetched(allowed, f"http://files.test:{port}/a")
    assert late.value.error_code in ("source_unavailable", "deadline_exceeded")
    await listener.aclose()
