"""Documents are readable for the user who ingested them alone, whatever the shell's umask is."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from tests.free_ports import free_port
from tests.hosts.running_hosts import running

from foliotrace.adapters.local.files.lease import WriterLease

MAIN = [sys.executable, "-c", "import os; os.umask(0o022); from foliotrace_server.cli import main; main()"]  # fmt: skip  # noqa: E501


def open_to_others(folder: Path) -> list[str]:
    return [str(p) for p in (folder, *folder.rglob("*")) if p.lstat().st_mode & 0o077]


def test_a_command_leaves_no_file_that_others_can_read(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("The blue whale sings.")
    command = [*MAIN, "--data-dir", "data", "ingest", "note.txt"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=60)
    assert (tmp_path / "data" / "library.db").exists()
    assert open_to_others(tmp_path / "data") == []


def test_a_folder_of_an_older_version_is_tightened_and_what_is_not_ours_is_left(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    (data / "blobs" / "ab").mkdir(parents=True)
    ours = (data / "blobs" / "ab" / "original", data / "library.db", data / "library.db-wal")
    for file in (*ours, data / "notes.txt"):
        file.write_text("x")
        file.chmod(0o644)
    for folder in (data, data / "blobs", data / "blobs" / "ab"):
        folder.chmod(0o755)
    WriterLease.acquire(data).release()
    assert open_to_others(data) == [str(data / "notes.txt")]


@pytest.mark.slow
def test_a_server_keeps_its_files_private_and_outlives_a_hangup(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [*MAIN, "--data-dir", "data", "serve", "--port", str(port)]
    with running(command, tmp_path, f"{url}/readyz", dict(os.environ), wait_s=60):  # noqa: TID251 - handed on
        assert open_to_others(tmp_path / "data") == []
        holder = WriterLease.holder(tmp_path / "data")
        assert holder is not None
        for _ in range(3):
            os.kill(holder.pid, signal.SIGHUP)
        assert httpx.get(f"{url}/healthz").status_code == 200
    assert open_to_others(tmp_path / "data") == []
