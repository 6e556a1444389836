"""One contract for every host: a document goes in, is asked about, and a record comes out.

What the hosts do differently is in docs/how-to/choose-a-host.md.
"""

import asyncio
import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
from llama_agents.client import WorkflowClient
from tests.audit.log_reading import audit_records
from tests.free_ports import free_port
from tests.hosts.running_hosts import (
    HANDBOOK,
    QUESTION,
    ROOT,
    absent,
    checkout_copy,
    running,
)

pytestmark = [pytest.mark.real_servers, pytest.mark.timeout(600)]
CLASSIC = ROOT / "deploy" / "classic" / "run"
LLAMACTL = ROOT / "deploy" / "llamactl" / "run"
SERVE = ["-c", "from foliotrace_server.cli import main; main()", "serve"]
SCHEMA = {"type": "object", "properties": {"refund_days": {"type": "integer"}}}


class Failed(Exception):
    """The host reports that the run failed, or refuses to start it."""


@dataclass(frozen=True)
class Host:
    """A running host. `run` starts a workflow and waits for its stop event. Raises Failed."""

    folder: Path
    web: str
    run: Callable[[str, dict[str, Any]], dict[str, Any]]


def by_workflow_client(url: str, name: str, start: dict[str, Any]) -> dict[str, Any]:
    async def run() -> dict[str, Any]:
        async with httpx.AsyncClient(base_url=url, timeout=60) as http:
            done = await WorkflowClient(httpx_client=http).run_workflow(name, start_event=start)
        assert done.result is not None
        value: dict[str, Any] = done.result.value
        return value

    try:
        return asyncio.run(run())
    except httpx.HTTPStatusError as error:
        raise Failed from error


def by_task(url: str, name: str, start: dict[str, Any]) -> dict[str, Any]:
    task = {"service_id": name, "input": json.dumps(start)}
    answer = httpx.post(f"{url}/deployments/foliotrace/tasks/run", json=task, timeout=60)
    if answer.is_error:
        raise Failed
    result: dict[str, Any] = json.loads(json.loads(answer.text))
    return result


@contextmanager
def foliotrace_serve(folder: Path, env: dict[str, str], bind: str) -> Iterator[Any]:
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = [sys.executable, *SERVE, "--host", bind, "--port", str(port)]
    with running(command, folder, f"{url}/readyz", env, wait_s=60):
        yield partial(by_workflow_client, url)


@contextmanager
def llamactl(folder: Path, env: dict[str, str], bind: str) -> Iterator[Any]:
    if subprocess.run([LLAMACTL, "setup", "--path"], capture_output=True).returncode != 0:
        absent("llamactl is not set up here: run deploy/llamactl/run setup")
    url = f"http://127.0.0.1:{(port := free_port())}"
    options = ["--no-open-browser", "--no-reload", "--persistence", "memory"]
    command = [str(LLAMACTL), "serve", *options, "--host", bind, "--port", str(port)]
    with running(command, checkout_copy(folder), f"{url}/health", env, wait_s=480):
        yield partial(by_workflow_client, f"{url}/deployments/foliotrace")


@contextmanager
def llama_deploy(folder: Path, env: dict[str, str], bind: str) -> Iterator[Any]:
    if subprocess.run([CLASSIC, "setup", "--path"], capture_output=True).returncode != 0:
        absent("llama-deploy 0.9.2 is not set up here: run deploy/classic/run setup")
    url = f"http://127.0.0.1:{(port := free_port())}"
    env |= {
        "LLAMA_DEPLOY_APISERVER_HOST": bind,
        "LLAMA_DEPLOY_APISERVER_PORT": str(port),
        "LLAMA_DEPLOY_APISERVER_PROMETHEUS_ENABLED": "false",
        "LLAMA_DEPLOY_APISERVER_DEPLOYMENTS_PATH": str(folder / "deployments"),
    }
    with running([str(CLASSIC), "apiserver"], folder, f"{url}/status/", env, wait_s=60):
        words = ["llamactl", "-s", url, "deploy", str(CLASSIC.parent / "deployment.yml")]
        done = subprocess.run([CLASSIC, *words], env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        yield partial(by_task, url)


HOSTS = [foliotrace_serve, llamactl, llama_deploy]


def environment(folder: Path, **settings: str) -> dict[str, str]:
    return {  # handed on
        **os.environ,  # noqa: TID251
        "FOLIOTRACE_DATA_DIR": str(folder / "data"),
        **settings,
    }


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A web server on this machine, and the folder that it serves."""
    folder = tmp_path_factory.mktemp("web")
    (folder / "fetched.md").write_text("# Parking\n\nVisitors park on level 3.")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"localhost:{server.server_port}", folder
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module", params=HOSTS, ids=lambda host: host.__name__)
def host(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    web: tuple[str, Path],
) -> Iterator[Host]:
    folder = tmp_path_factory.mktemp(request.param.__name__)
    (folder / "inbox").mkdir()
    (folder / "inbox" / "named.md").write_text("# Lockers\n\nLockers are emptied every Friday.")
    (folder / "secret.md").write_text("# Secret")
    prefix = "FOLIOTRACE_INGEST__OUTSIDE_FILES__"
    env = environment(
        folder,
        **{
            f"{prefix}FOLDERS": json.dumps([str(folder / "inbox")]),
            f"{prefix}URL_HOSTS": json.dumps([web[0]]),
            f"{prefix}PRIVATE_NETWORKS": '["127.0.0.0/8", "::1/128"]',
        },
    )
    with request.param(folder, env, "127.0.0.1") as run:
        yield Host(folder, f"http://{web[0]}", run)


def answered(host: Host, query: str) -> dict[str, Any]:
    answer: dict[str, Any] = host.run("query", {"query": query, "bypass_cache": True})["answer"]
    return answer


def test_bytes_go_in_an_answer_and_a_record_come_out(host: Host) -> None:
    content = base64.b64encode(HANDBOOK.encode()).decode()
    stored = host.run("ingest", {"content": content, "name": "handbook.md"})
    assert (stored["pages"], stored["pages_unreadable"]) == (1, 0)
    answer = answered(host, QUESTION)
    assert "within 30 days" in answer["text"]
    assert [c["document_name"] for c in answer["citations"]] == ["handbook.md"]
    assert answer["degradation"]["level"] == 0
    document_id = stored["document_id"]
    extracted = host.run("extract", {"document_id": document_id, "schema": SCHEMA})
    assert extracted["valid"]
    assert set(extracted["record"]) == {"refund_days"}
    again = host.run("ingest", {"content": content, "name": "handbook.md"})
    assert again["document_id"] == document_id


def test_a_path_under_an_allowed_folder_goes_in(host: Host) -> None:
    stored = host.run("ingest", {"file": "named.md"})
    assert stored["pages"] == 1
    assert "Friday" in answered(host, "When are lockers emptied?")["text"]


def test_a_url_of_an_allowed_host_goes_in(host: Host) -> None:
    stored = host.run("ingest", {"url": f"{host.web}/fetched.md"})
    assert stored["pages"] == 1
    assert "level 3" in answered(host, "Where do visitors park?")["text"]


@pytest.mark.parametrize(
    "start",
    [
        {"file": "../secret.md"},
        {"file": "{folder}/secret.md"},
        {"url": "http://127.0.0.1/fetched.md"},
        {"url": "http://169.254.169.254/latest/meta-data"},
        {"content": "no base64!", "name": "a.md"},
        {"content": "eA==", "name": "../a.md"},
        {"document_id": "doc_unknown"},
        {},
    ],
    ids=str,
)
def test_a_start_event_with_a_mistake_fails(host: Host, start: dict[str, str]) -> None:
    filled = {name: value.format(folder=host.folder) for name, value in start.items()}
    with pytest.raises(Failed):
        host.run("ingest", filled)


def test_a_question_without_text_fails(host: Host) -> None:
    with pytest.raises(Failed):
        host.run("query", {"query": ""})


def test_every_question_is_in_the_audit_log(host: Host) -> None:
    answered(host, QUESTION)
    give_up = time.monotonic() + 10  # records are written in groups
    while True:
        events = [each["event"] for each in audit_records(host.folder / "data" / "audit")]
        ended = events.count("query_completed") + events.count("query_failed")
        if "query_completed" in events and ended == events.count("query_received"):
            break
        assert time.monotonic() < give_up, events
        time.sleep(0.1)
    assert {"ingest_received", "ingest_completed", "extract_completed"} <= set(events)


@pytest.mark.parametrize("kind", HOSTS, ids=lambda host: host.__name__)
def test_an_address_of_others_is_refused(kind: Any, tmp_path: Path) -> None:
    with pytest.raises(AssertionError), kind(tmp_path, environment(tmp_path), "0.0.0.0"):
        pass
    (log,) = tmp_path.rglob("server.log")
    assert "0.0.0.0 is reachable from other machines" in log.read_text()
