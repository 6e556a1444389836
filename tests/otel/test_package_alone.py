"""The distribution foliotrace-otel: built from this folder, installed without foliotrace."""

import logging
import os
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest

import foliotrace_otel
from foliotrace_otel.setup import configure as setup

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "instrumentation" / "otel_package"
PROGRAM = """
import sys
from importlib.metadata import entry_points
from llama_index_instrumentation import get_dispatcher
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from foliotrace_otel import using_attributes

seen, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(seen))
[entry] = [e for e in entry_points(group="opentelemetry_instrumentor") if "foliotrace" in e.name]
instrumentor = entry.load()()
instrumentor.instrument(tracer_provider=provider)
dispatcher = get_dispatcher("program")

@dispatcher.span
def inner(text):
    return text

@dispatcher.span
def outer(text):
    return inner(text)

with using_attributes(session_id="chat-7", user_id="jane@example.com"):
    outer("hello")
instrumentor.uninstrument()
outer("not traced")
spans = {span.name: span for span in seen.get_finished_spans()}
assert len(seen.get_finished_spans()) == 2, spans
assert spans["inner"].parent.span_id == spans["outer"].context.span_id
assert {s.attributes["session.id"] for s in spans.values()} == {"chat-7"}
assert "jane" not in str([dict(s.attributes) for s in spans.values()])
assert not {"foliotrace", "llama_index"} & set(sys.modules)
"""


def clean_environment() -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k.split("_")[0] not in ("OTEL", "PYTHONPATH")}
    return {**kept, "OTEL_TRACES_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}


@pytest.mark.slow
def test_it_traces_a_program_that_has_no_foliotrace(tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    pip = [python, "-m", "pip", "--disable-pip-version-check"]
    wheel = [*pip, "wheel", "-q", "--no-deps", "-w", tmp_path / "dist", PACKAGE]
    built = subprocess.run(wheel, capture_output=True, text=True)
    if built.returncode:
        pytest.skip(f"no index for the build back end here: {built.stderr[-200:]}")
    install = [*pip, "install", "-q", *(tmp_path / "dist").glob("*.whl")]
    subprocess.run(install, check=True, capture_output=True)
    ran = subprocess.run(
        [python, "-c", PROGRAM],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr


def test_both_distributions_have_one_version() -> None:
    ours, service = (
        tomllib.loads((folder / "pyproject.toml").read_text())["project"]["version"]
        for folder in (PACKAGE, ROOT)
    )
    assert ours == service


def test_importing_it_loads_neither_the_sdk_nor_an_exporter() -> None:
    code = (
        "import sys, foliotrace_otel;"
        "sys.exit(bool({'opentelemetry.sdk', 'grpc', 'pydantic', 'structlog'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_every_public_name_can_be_imported() -> None:
    assert [name for name in foliotrace_otel.__all__ if not hasattr(foliotrace_otel, name)] == []


def test_two_versions_side_by_side_are_reported(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    versions = {"foliotrace": "0.1.0", "foliotrace-otel": "0.2.0"}
    monkeypatch.setattr(setup, "version", versions.__getitem__)
    with caplog.at_level(logging.WARNING, logger="foliotrace_otel.setup.configure"):
        setup.warn_of_two_versions()
    assert [record.message for record in caplog.records] == ["telemetry.two_versions"]
