"""Without any setting, a command prints its result and nothing of the log between it."""

import select
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

from tests.cli.command_line import PROGRAM, foliotrace

from foliotrace_server.cli.demo import examples_folder


def test_commands_without_settings_write_nothing_to_standard_error(tmp_path: Path) -> None:
    (tmp_path / "damaged.pdf").write_bytes(b"%PDF-1.7 cut off")
    for words, code in (
        (("ingest", str(examples_folder() / "documents")), 0),
        (("ingest", "damaged.pdf"), 3),
        (("ask", "What is the hourly rate of D-ELKB?"), 0),
        (("documents", "list"), 0),
    ):
        ended = foliotrace(tmp_path, *words)
        assert (ended.returncode, ended.stderr) == (code, ""), words


def test_the_demo_writes_nothing_to_standard_error(tmp_path: Path) -> None:
    ended = foliotrace(tmp_path, "demo")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_log_level_in_the_settings_is_obeyed(tmp_path: Path) -> None:
    (tmp_path / "damaged.pdf").write_bytes(b"%PDF-1.7 cut off")
    (tmp_path / "foliotrace.toml").write_text('[log]\nlevel = "warning"\n')
    assert "job.failed" in foliotrace(tmp_path, "ingest", "damaged.pdf").stderr


def test_the_first_line_of_serve_says_where_it_listens(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "serve", "--port", "0"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], 60)[0]
    first = process.stdout.readline()
    url = first.split()[2]
    with urllib.request.urlopen(f"{url}/docs", timeout=60) as page:
        assert page.status == 200
    process.send_signal(signal.SIGTERM)
    rest, _ = process.communicate(timeout=60)
    assert first == f"Listening on {url} - API documentation at {url}/docs\n"
    assert process.returncode == 0, rest
