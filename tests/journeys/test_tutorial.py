"""The tutorial, sections 2 to 5, as it stands: its commands are run, its outputs compared."""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.free_ports import free_port

from foliotrace.adapters.local.readers.reading_options import find_tessdata

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SERVED = "localhost:8080"

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="the tutorial uses curl")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder that looks like a checkout that was set up."""
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv/bin").symlink_to(Path(sys.executable).parent)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    return tmp_path


@pytest.fixture
def env(checkout: Path) -> dict[str, str]:
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(checkout),
        "LC_ALL": "C.UTF-8",
        "FOLIOTRACE_SERVER__PORT": str(free_port()),
        "FOLIOTRACE_TELEMETRY__ENABLED": "false",
    }


def commands_and_outputs() -> Iterator[tuple[str, str]]:
    """Each command of the sections, and the output that stands below it ("" if none does)."""
    text = (ROOT / "docs/tutorial.md").read_text()
    sections = text[text.index("## 2.") : text.index("## 6.")]
    command = ""
    for kind, block in BLOCK.findall(sections):
        if kind == "sh":
            if command:
                yield command, ""
            command = block.strip()
        elif kind == "":
            yield command, block.strip()
            command = ""
    if command:
        yield command, ""


def matches(expected: str, output: str) -> bool:
    """Whether `output` matches `expected`, in which `~` stands for any text."""
    return bool(re.search(".*?".join(map(re.escape, expected.split("~"))), output, re.DOTALL))


def run(command: str, checkout: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    here = command.replace(SERVED, f"127.0.0.1:{env['FOLIOTRACE_SERVER__PORT']}")
    return subprocess.run(
        ["sh", "-c", here], cwd=checkout, env=env, capture_output=True, text=True, timeout=60
    )


def until_ready(port: str, server: "subprocess.Popen[bytes]") -> str:
    while server.poll() is None:  # the test's time limit ends it
        try:
            answer = httpx.get(f"http://127.0.0.1:{port}/readyz")
        except httpx.TransportError:
            time.sleep(0.1)
            continue
        if answer.status_code == 200:
            return answer.text
    raise AssertionError(f"the server ended with {server.returncode}")


@pytest.mark.skipif(find_tessdata() is None, reason="reads a scan: no Tesseract model is installed")
def test_every_command_of_the_tutorial_works_as_written(
    checkout: Path, env: dict[str, str]
) -> None:
    (serve, _), *steps = commands_and_outputs()
    assert serve.endswith("serve")
    assert len(steps) >= 5
    arguments = [str(checkout / serve.split()[0]), *serve.split()[1:]]
    server = subprocess.Popen(arguments, cwd=checkout, env=env, stderr=subprocess.DEVNULL)
    try:
        text = (ROOT / "docs/tutorial.md").read_text()
        assert until_ready(env["FOLIOTRACE_SERVER__PORT"], server) in text
        for command, expected in steps:
            ended = run(command, checkout, env)
            assert ended.returncode == 0, (command, ended.stderr)
            assert matches(expected, ended.stdout), (command, ended.stdout)
        again = run(".venv/bin/foliotrace --data-dir data ingest examples/documents", checkout, env)
        assert again.stdout.startswith("0 ingested (0 pages), 9 unchanged")
        refused = run(".venv/bin/foliotrace --data-dir data ask 'Who won in 1954?'", checkout, env)
        assert refused.returncode == 4
    finally:
        server.terminate()
        server.wait(30)
