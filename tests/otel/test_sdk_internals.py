"""Every private name of the OpenTelemetry SDK that we use: held here, and survived without it."""

import ast
import importlib
import re
import subprocess
import sys
from inspect import signature
from pathlib import Path

import pytest
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased
from opentelemetry.trace import get_current_span
from tests.otlp_sink import OtlpSink, attributes_of

from foliotrace_otel import sdk_internals
from foliotrace_otel.sdk_internals.fast_span import FastSpan, fast_tracer

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "instrumentation" / "foliotrace_otel"
PROVIDER = TracerProvider(shutdown_on_exit=False)
TRACER = PROVIDER.get_tracer("x")

# Stands for an upgrade: the names are renamed in all of opentelemetry as it is imported.
RENAMED_SDK = """
import importlib.abc, importlib.machinery, os, re, sys
names = re.compile(r"\\b(" + os.environ["RENAMED"] + r")\\b")

class Loader(importlib.machinery.SourceFileLoader):
    def get_data(self, path):
        data = super().get_data(path)
        return names.sub(r"\\1_renamed", data.decode()).encode() if path.endswith(".py") else data
    def path_stats(self, path):
        raise OSError  # no .pyc
    def set_data(self, *args, **kwargs):
        pass

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if not name.startswith("opentelemetry.") or name.startswith("opentelemetry.proto."):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = Loader(name, spec.origin)
        return spec

sys.meta_path.insert(0, Finder())
"""
PROGRAM = """
import logging
logging.basicConfig(format="%(message)s %(part)s")
from llama_index_instrumentation import get_dispatcher
from foliotrace_otel import configure
telemetry = configure(namespace="shop")
dispatcher = get_dispatcher("shop")

@dispatcher.span
def inner(): pass

@dispatcher.span
def outer():
    from opentelemetry import trace
    trace.get_current_span().set_attribute("note", "of jane@example.org")
    inner()

outer()
assert telemetry.flush(20)
outer()
assert telemetry.shutdown(20)
print(telemetry.span_handler.tree.faults)
"""
UPGRADES = {
    "batch processor": ("_queue", "grpc"),
    "batch processor, whole": ("_batch_processor", "grpc"),
    "span": ("_span_limits|_instrumentation_scope|_on_ending|_attributes", "grpc"),
    "span, its cost": (r"(?<=self\.)_tracer_metrics", "grpc"),
    "span, its end": ("_on_ending", "http/protobuf"),
    "sampler": ("_local_parent_sampled|_local_parent_not_sampled", "grpc"),
    "context": ("_SPAN_KEY|_SUPPRESS_INSTRUMENTATION_KEY", "grpc"),
    "OTLP exporter, gRPC": ("_translate_data", "grpc"),
    "OTLP exporter, HTTP": ("_client|_shutdown", "http/protobuf"),
}
SILENT = {"sampler", "context", "span, its cost"}  # spans start the SDK's way, keys are found


@pytest.mark.parametrize("upgrade", UPGRADES)
def test_after_a_rename_spans_still_arrive_redacted_and_shutdown_works(upgrade: str) -> None:
    renamed, protocol = UPGRADES[upgrade]
    with OtlpSink() as sink:
        endpoint = sink.grpc_endpoint if protocol == "grpc" else sink.http_endpoint
        ended = subprocess.run(
            [sys.executable, "-c", RENAMED_SDK + PROGRAM],
            env={
                "RENAMED": renamed,
                "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
                "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
                "OTEL_LOGS_EXPORTER": "none",
            },
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert ended.returncode == 0, ended.stderr
        spans = sorted(sink.spans, key=lambda span: span.start_time_unix_nano)
        raw = sink.raw()
    assert ended.stdout == "0\n"
    assert [span.name for span in spans] == ["outer", "inner", "outer", "inner"]
    assert spans[1].parent_span_id == spans[0].span_id
    assert attributes_of(spans[0])["shop.entry"] is True
    assert b"jane@example.org" not in raw
    said = [line for line in ended.stderr.splitlines() if line]
    part = upgrade.partition(",")[0]
    assert said == ([] if upgrade in SILENT else [f"telemetry.sdk_changed {part}"])


def test_the_batch_processor_has_its_queue_and_a_shutdown_with_a_limit() -> None:
    processor = BatchSpanProcessor(
        InMemorySpanExporter(), max_queue_size=7, max_export_batch_size=7
    )
    try:
        assert processor._batch_processor._queue.maxlen == 7
        assert "timeout_millis" in signature(processor._batch_processor.shutdown).parameters
    finally:
        processor.shutdown()


def test_the_tracer_and_the_sampler_have_what_a_fast_span_reads() -> None:
    for name in ("_span_limits", "_instrumentation_scope", "_tracer_metrics"):
        assert hasattr(TRACER, name), name
    assert type(TRACER._tracer_metrics).__name__ == "NoOpTracerMetrics"
    sampler = ParentBased(ALWAYS_ON)
    assert sampler._local_parent_sampled is ALWAYS_ON
    assert sampler._local_parent_not_sampled is ALWAYS_OFF
    assert callable(SpanProcessor._on_ending)
    assert fast_tracer(TRACER) is TRACER


def test_a_fast_span_shadows_only_fields_that_the_sdks_span_has() -> None:
    theirs = TRACER.start_span("x")
    assert isinstance(theirs, Span)
    shadowed = {name for name in vars(FastSpan) if re.fullmatch(r"_[a-z_]*[a-z]", name)}
    assert {name for name in shadowed if not hasattr(theirs, name)} == set()


def test_the_exporters_have_the_methods_we_replace() -> None:
    assert callable(GrpcExporter._translate_data)
    exporter = HttpExporter(endpoint="http://127.0.0.1:9/v1/traces")
    assert exporter._shutdown is False
    assert callable(exporter._client.export)
    exporter.shutdown()


def test_the_context_keys_are_the_sdks() -> None:
    context = importlib.import_module("opentelemetry.context")
    assert sdk_internals.SUPPRESS_KEY == context._SUPPRESS_INSTRUMENTATION_KEY
    span = TRACER.start_span("x")
    assert get_current_span(Context({sdk_internals.SPAN_KEY: span})) is span


def test_the_logs_interface_has_what_the_log_backends_import() -> None:
    module = importlib.import_module("foliotrace_otel.sdk_internals.log_backends")
    assert module.ExportedEvents
    assert module.ProgramsProvider


def test_private_names_are_used_in_one_room_only() -> None:
    found = set()
    for file in PACKAGE.rglob("*.py"):
        if file.parent.name == "sdk_internals":
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("opentelemetry"):
                names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
                found |= {(file.name, name) for name in names if name.startswith("_")}
            if isinstance(node, ast.Attribute) and re.match(r"_[a-z]", node.attr):
                on = node.value
                if not (isinstance(on, ast.Name) and on.id in {"self", "cls", "StreamSpans"}):
                    found.add((file.name, node.attr))
    assert found == {("handler.py", "_getframe")}
