"""One document and one question for every host, and what the audit log then holds."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import httpx
import pytest
from tests.audit.log_reading import audit_records

ROOT = Path(__file__).parents[2]
HANDBOOK = "# Handbook\n\nRefunds are paid within 30 days of the return. The customer ships."
_SHIPPED = ("pyproject.toml", "PACKAGE.md", "LICENSE", "workflows", "instrumentation", "examples")
QUESTION = "When are refunds paid?"


def absent(reason: str) -> NoReturn:
    """Skip with `reason`; in CI, where everything has to be there, fail."""
    if os.environ.get("CI"):  # noqa: TID251 - decides between a skip and a failure
        pytest.fail(reason)
    pytest.skip(reason)


def checkout_copy(folder: Path) -> Path:
    """What llamactl needs of the repository, in a folder where it may write."""
    target = folder / "copy"
    for name in (*_SHIPPED, "deploy/foliotrace_server"):
        source = ROOT / name
        if source.is_dir():
            leave = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, target / name, ignore=leave)
        else:
            target.mkdir(exist_ok=True)
            shutil.copy(source, target / name)
    return target


def ingested(folder: Path) -> str:
    """Ingest the handbook into the data folder `folder/data`; the document's id."""
    (folder / "handbook.md").write_text(HANDBOOK)
    foliotrace(folder, "ingest", "handbook.md")
    return str(foliotrace(folder, "documents", "list")["documents"][0]["id"])


def foliotrace(folder: Path, *words: str) -> dict[str, Any]:
    """What the command line says, embedded, on `folder/data`."""
    program = "from foliotrace_server.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "--data-dir", "data", "--output", "json", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    output: dict[str, Any] = json.loads(done.stdout)
    return output


def asked(folder: Path) -> list[dict[str, Any]]:
    """The audit records of questions, in their order."""
    records = audit_records(folder / "data" / "audit")
    return [record for record in records if record["event"].startswith("query_")]


def shared_fields(record: dict[str, Any]) -> tuple[object, ...]:
    """What a question's record must share with the record that every other host writes."""
    names = ("query_hash", "tenant", "user_id", "success", "error", "degradation")
    return (record["event"], *(record.get(name) for name in names))


@contextmanager
def running(
    command: list[str], folder: Path, url: str, env: dict[str, str], *, wait_s: float
) -> Iterator[None]:
    """A server of another environment, until `url` answers; ended with all its children."""
    log = folder / "server.log"
    with log.open("w") as out:
        server = subprocess.Popen(
            command, cwd=folder, env=env, stdout=out, stderr=out, start_new_session=True
        )
    try:
        _until(lambda: _answers(url), server, log, wait_s)
        yield
    finally:
        _end(server)


def _until(
    ready: Callable[[], bool], server: subprocess.Popen[bytes], log: Path, wait_s: float
) -> None:
    give_up = time.monotonic() + wait_s
    while not ready():
        late = time.monotonic() > give_up
        if late or server.poll() is not None:
            raise AssertionError(f"the server did not start:\n{log.read_text()[-3000:]}")
        time.sleep(0.1)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, follow_redirects=True).is_success
    except httpx.TransportError:
        return False


def _end(server: subprocess.Popen[bytes]) -> None:
    """TERM to the group that the server leads, and KILL to whoever of it is left after a while."""
    give_up = time.monotonic() + 15
    with suppress(ProcessLookupError):
        os.killpg(server.pid, 15)
        while time.monotonic() < give_up:
            server.poll()
            os.killpg(server.pid, 0)
            time.sleep(0.05)
        os.killpg(server.pid, 9)
    server.wait()
