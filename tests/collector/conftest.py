import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from tests.collector.processes import ROOT, Collector, Jaeger
from tests.otlp_sink import OtlpSink

IN_CI = bool(os.environ.get("CI"))  # noqa: TID251 - decides between a skip and a failure


def _absent(reason: str) -> NoReturn:
    if IN_CI:
        pytest.fail(reason)
    pytest.skip(reason)


def _built(name: str) -> str:
    found = subprocess.run(
        [ROOT / "deploy" / name / "build", "--path"], capture_output=True, text=True
    )
    if found.returncode != 0:
        _absent(f"{name} is not built here: run deploy/{name}/build (needs Go)")
    return found.stdout.strip()


@pytest.fixture(scope="session")
def collector_binary() -> str:
    return _built("collector")


@pytest.fixture(scope="session")
def jaeger_binary() -> str:
    return _built("jaeger")


def _on_path(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        _absent(f"{program} is not installed here (Debian package prometheus)")
    return str(found)


@pytest.fixture(scope="session")
def promtool() -> str:
    return _on_path("promtool")


@pytest.fixture(scope="session")
def prometheus() -> str:
    return _on_path("prometheus")


@pytest.fixture
def run_collector(collector_binary: str, tmp_path: Path) -> Iterator[Callable[..., Collector]]:
    """Start a collector; capital keywords are environment variables over the defaults."""
    running: list[Collector] = []

    def run(*, script: Path | None = None, **env: str) -> Collector:
        folder = tmp_path / f"collector{len(running)}"
        collector = Collector(collector_binary, folder, script=script, **env)
        running.append(collector)
        collector.start()
        return collector

    yield run
    for collector in running:
        collector.stop()


@pytest.fixture(scope="module")
def jaeger(jaeger_binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jaeger]:
    server = Jaeger(jaeger_binary, tmp_path_factory.mktemp("jaeger"))
    server.start()
    yield server
    server.stop(how=signal.SIGKILL)  # asked politely it waits ten seconds for open connections


@pytest.fixture
def langsmith() -> Iterator[OtlpSink]:
    """Stands in for LangSmith's OTLP endpoint."""
    with OtlpSink(http_path_prefix="/otel") as sink:
        yield sink


@pytest.fixture
def jaeger_stand_in() -> Iterator[OtlpSink]:
    """Stands in for Jaeger's OTLP port where a test must count across its death."""
    with OtlpSink() as sink:
        yield sink
