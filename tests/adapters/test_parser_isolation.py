"""A parser process that a hostile file has taken over reaches nothing: no key, network, file."""

import ctypes
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from foliotrace.adapters.local.readers.worker_pool import WorkerPool

pytestmark = pytest.mark.anyio

INSIDE = """
import json, os, signal, socket, sys
from pathlib import Path
from foliotrace.adapters.local.readers.sandbox import confine
own, allowed, secret, pid, converts = sys.argv[1:]
in_force = confine(own=Path(own), readable=[allowed], converts=converts == "True")

def tried(act):
    try:
        act()
    except OSError as error:
        return type(error).__name__
    return "done"

def connect(family, address):
    with socket.socket(family) as link:
        link.connect(address)

print(json.dumps({
    "in_force": in_force,
    "write own": tried(lambda: Path(own, "a").write_text("x")),
    "read allowed": tried(lambda: Path(allowed, "a.txt").read_text()),
    "write allowed": tried(lambda: Path(allowed, "b").write_text("x")),
    "delete allowed": tried(lambda: Path(allowed, "a.txt").unlink()),
    "truncate allowed": tried(lambda: os.truncate(Path(allowed, "a.txt"), 0)),
    "read secret": tried(lambda: Path(secret).read_text()),
    "list secret": tried(lambda: os.listdir(Path(secret).parent)),
    "environment of the server": tried(lambda: Path(f"/proc/{pid}/environ").read_bytes()),
    "signal to the server": tried(lambda: os.kill(int(pid), 0)),
    "tcp": tried(lambda: connect(socket.AF_INET, ("127.0.0.1", 9))),
    "udp": tried(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)),
    "unix socket": tried(lambda: socket.socket(socket.AF_UNIX).close()),
    "program": tried(lambda: os.execv("/bin/true", ["true"])) if converts == "False" else "",
}))
"""


def kernel_has_both() -> bool:
    if sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"):
        return False
    libc = ctypes.CDLL(None)
    return bool(libc.syscall(444, None, 0, 1) >= 6 and libc.prctl(21, 0, 0, 0, 0) >= 0)


confined = pytest.mark.skipif(
    not kernel_has_both(), reason="needs Linux with seccomp and Landlock 6 (kernel 6.12)"
)


def inside(folder: Path, *, converts: bool) -> dict[str, Any]:
    for name in ("own", "allowed"):
        (folder / name).mkdir()
    (folder / "allowed" / "a.txt").write_text("a")
    (folder / "secret.txt").write_text("secret")
    words = (folder / "own", folder / "allowed", folder / "secret.txt", os.getpid(), converts)
    done = subprocess.run(
        [sys.executable, "-c", INSIDE, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = orjson.loads(done.stdout)
    return seen


@confined
@pytest.mark.parametrize("converts", [False, True])
def test_a_confined_process_reads_what_it_must_and_reaches_nothing_else(
    tmp_path: Path, converts: bool
) -> None:
    seen = inside(tmp_path, converts=converts)
    assert seen.pop("in_force") == ["landlock", "seccomp"]
    done = {name for name, outcome in seen.items() if outcome == "done"}
    assert done == {"write own", "read allowed"} | (
        {"unix socket", "signal to the server"} & done if converts else set()
    )
    assert (tmp_path / "allowed" / "a.txt").read_text() == "a"


async def test_a_worker_has_no_variable_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/proc/self/environ").exists():
        pytest.skip("needs /proc")
    monkeypatch.setenv("FOLIOTRACE_CANARY", "secret")
    workers = WorkerPool(size=1)
    try:
        worker = await workers._start()
        environment = Path(f"/proc/{worker.process.pid}/environ").read_bytes()
        names = {each.partition(b"=")[0] for each in environment.split(b"\0") if each}
        assert names == {b"TMPDIR"}
        assert worker.folder.stat().st_mode & 0o077 == 0
        if kernel_has_both():
            assert worker.isolation == ("landlock", "seccomp")
        await worker.stop()
        assert not worker.folder.exists()
    finally:
        await workers.close()


async def test_a_worker_has_the_memory_that_the_setting_gives() -> None:
    workers = WorkerPool(size=1, memory_bytes=512 * 1024 * 1024)
    worker = await workers._start()
    try:
        limits = Path(f"/proc/{worker.process.pid}/limits")
        if not limits.exists():
            pytest.skip("needs /proc")
        line = next(ln for ln in limits.read_text().splitlines() if ln.startswith("Max address"))
        assert line.split()[3:5] == ["536870912", "536870912"]
    finally:
        await worker.stop()


async def test_a_data_folder_may_be_named_relative_to_where_the_service_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.txt").write_text("text")
    workers = WorkerPool(size=1, readable=(Path("data"),))
    try:
        assert await workers.sniff(Path("data/a.txt"), "a.txt") == "text/plain"
    finally:
        await workers.close()


async def test_questions_get_the_processor_before_parsing_does() -> None:
    workers = WorkerPool(size=1)
    worker = await workers._start()
    try:
        priority = os.getpriority(os.PRIO_PROCESS, worker.process.pid)
        assert priority >= os.getpriority(os.PRIO_PROCESS, 0) + 10
    finally:
        await worker.stop()
