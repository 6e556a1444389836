"""The journal of open spans: what a killed process leaves, the next one exports."""

import json
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from foliotrace_otel import own_trace
from foliotrace_otel.export.span_journal import JournalledExporter, SpanJournal
from foliotrace_otel.spans.carried_context import parse_traceparent

ACCEPTED = "00-4bf92f3577b34da6a3ce929d0e0e4799-00f067aa0ba902b7-01"
RESOURCE = Resource({"service.name": "shop"})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "open-spans.jsonl"


def of_a_job() -> Context:
    accepted = parse_traceparent(ACCEPTED)
    assert accepted is not None
    return own_trace(trace.set_span_in_context(trace.NonRecordingSpan(accepted), Context()))


class Process:
    """A process with a journal; it exports only when told, and is killed by being forgotten."""

    def __init__(self, path: Path) -> None:
        self.journal = SpanJournal(path, "shop")
        self.left = self.journal.recover(RESOURCE)
        self.provider = TracerProvider(resource=RESOURCE, shutdown_on_exit=False)
        self.provider.add_span_processor(self.journal)
        self.tracer = self.provider.get_tracer("t")

    def start(self, name: str, context: Context, **attributes: str) -> tuple[Span, Context]:
        span = self.tracer.start_span(name, context, attributes=attributes)
        assert isinstance(span, Span)
        return span, trace.set_span_in_context(span, context)

    def export(self, *spans: ReadableSpan) -> None:
        exporter = JournalledExporter(InMemorySpanExporter(), self.journal)
        assert exporter.export(spans) is SpanExportResult.SUCCESS


def test_an_open_span_is_found_by_the_next_process_with_its_parent_and_ids(path: Path) -> None:
    killed = Process(path)
    run, inside = killed.start("run", of_a_job(), **{"llamaindex.handler_id": "job-1"})
    step, within = killed.start("step", inside)
    stage, _ = killed.start("parse", within)
    stage.end()
    killed.export(stage)
    following = Process(path)
    left = {span.name: span for span in following.left}
    assert set(left) == {"run", "step"}
    assert left["run"].get_span_context().span_id == run.get_span_context().span_id
    assert left["run"].parent is not None
    assert left["run"].parent.is_remote
    assert left["step"].parent == run.get_span_context()
    assert left["step"].attributes == {"shop.outcome": "interrupted"}
    assert left["step"].end_time == stage.end_time
    assert left["step"].start_time == step.start_time
    assert following.journal.interrupted == {"job-1": run.get_span_context()}


def test_a_span_that_ended_but_was_not_exported_keeps_its_end(path: Path) -> None:
    killed = Process(path)
    run, _ = killed.start("run", of_a_job())
    run.end()
    (left,) = Process(path).left
    assert (left.end_time, dict(left.attributes or {})) == (run.end_time, {})


def test_what_was_exported_is_not_exported_again(path: Path) -> None:
    process = Process(path)
    run, _ = process.start("run", of_a_job())
    run.end()
    process.export(run)
    assert path.stat().st_size == 0
    assert Process(path).left == []


def test_spans_that_are_of_no_job_are_not_written(path: Path) -> None:
    process = Process(path)
    process.start("question", Context())
    assert not path.exists()


@pytest.mark.parametrize("torn", ['{"span": "00-4b', "[1]", "\x00\x00", "{}"])
def test_a_torn_line_hides_no_other(path: Path, torn: str) -> None:
    Process(path).start("run", of_a_job())
    with path.open("a") as journal:
        journal.write(torn)
    assert [span.name for span in Process(path).left] == ["run"]


@pytest.fixture
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("foliotrace_otel.export.span_journal._MOST_BYTES", 2_000)


@pytest.mark.usefixtures("small_files")
def test_a_long_job_does_not_make_a_long_file(path: Path) -> None:
    process = Process(path)
    _, inside = process.start("run", of_a_job())
    for number in range(200):
        stage, _ = process.start(f"parse {number}", inside)
        stage.end()
        process.export(stage)
    assert path.stat().st_size < 4_000
    assert [span.name for span in Process(path).left] == ["run"]


def test_a_disk_that_refuses_the_file_disturbs_nothing(tmp_path: Path) -> None:
    process = Process(tmp_path / "missing" / "open-spans.jsonl")
    run, _ = process.start("run", of_a_job())
    run.end()
    process.export(run)


def test_the_file_is_for_its_owner_alone_and_holds_names_and_times(path: Path) -> None:
    process = Process(path)
    run, _ = process.start("run", of_a_job())
    run.set_attribute("gen_ai.prompt", "what does Jane earn")
    assert path.stat().st_mode & 0o077 == 0
    (line,) = [json.loads(line) for line in path.read_text().splitlines()]
    assert (line["name"], line["attributes"]) == ("run", {})
