"""foliotrace_otel serves any LlamaIndex program: it holds no name of foliotrace."""

import ast
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from foliotrace.events import INSTRUMENTS, NAMESPACE, DomainEvent
from foliotrace_otel import Metrics
from foliotrace_otel.semconv import CONCEPTS, RUN_FIELDS, span_names

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "instrumentation" / "foliotrace_otel"
PROGRAM = """
import importlib.util, sys
from typing import ClassVar
from llama_index.core.llms import MockLLM
from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.base import BaseEvent
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from foliotrace_otel import OTelSettings, configure, prometheus_text

for absent in ("foliotrace", "foliotrace_audit"):
    assert importlib.util.find_spec(absent) is None, absent
memory = InMemorySpanExporter()
telemetry = configure(
    OTelSettings(exporter="none", logs_exporter="none"),
    namespace="shop",
    span_processors=[SimpleSpanProcessor(memory)],
)
dispatcher = get_dispatcher("shop")

class Ordered(BaseEvent):
    span_attributes: ClassVar = {"items": "shop.items", "model": "request_model"}
    items: int
    model: str | None = None

@dispatcher.span
def order():
    dispatcher.event(Ordered(items=3))
    return MockLLM(max_tokens=4).complete("three of the blue ones")

order()
spans = {span.name: span for span in memory.get_finished_spans()}
print(sorted(spans))
print(dict(spans["order"].attributes))
names = {line.split()[2] for line in prometheus_text(telemetry.metrics)[0].decode().splitlines()
         if line.startswith("# TYPE")}
print(sorted(name for name in names if name.startswith("shop")))
assert not [name for name in names if "foliotrace" in name]
assert not [key for s in spans.values() for key in s.attributes if key.startswith("foliotrace")]
telemetry.shutdown(1)
"""


def test_a_plain_llamaindex_program_is_traced_where_foliotrace_is_not_installed(
    tmp_path: Path,
) -> None:
    for package in (PACKAGE, PACKAGE.parent / "foliotrace_detect"):
        (tmp_path / package.name).symlink_to(package)
    path = f"{tmp_path}:{sysconfig.get_path('purelib')}:{sysconfig.get_path('platlib')}"
    ended = subprocess.run(
        [sys.executable, "-S", "-c", PROGRAM],  # -S: no .pth file, so no editable installation
        env={"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    names, attributes, metrics = ended.stdout.splitlines()
    assert names == "['chat MockLLM', 'order']"
    assert "'shop.entry': True" in attributes
    assert "'shop.items': 3" in attributes
    assert "shop_stage_duration_seconds" in metrics
    assert ended.stderr == ""


def strings(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_no_name_of_foliotraces_stands_in_the_package() -> None:
    name = re.compile(r"\b(foliotrace|extract)(\.|-)[a-z_]+|__foliotrace_")
    found = {
        (file.name, text)
        for file in PACKAGE.rglob("*.py")
        for text in strings(file)
        if name.search(text)
    }
    assert found == set()


def test_every_event_of_the_core_has_the_shape_that_observers_read() -> None:
    events = DomainEvent.__subclasses__()
    assert len(events) >= 27
    labels = {i.name: i.labels for i in Metrics(INSTRUMENTS, namespace=NAMESPACE).instruments}
    for event in events:
        for field, name in event.span_attributes.items():
            assert field in event.model_fields or isinstance(getattr(event, field), property)
            if event.recorded_as == "run_description":
                assert all(name in fields for fields in RUN_FIELDS.values())
            else:
                assert CONCEPTS.get(name, name).startswith(("foliotrace.", "gen_ai.", "error."))
        values = {name: filled(info.annotation) for name, info in event.model_fields.items()}
        for instrument, _, values_of_labels in event(**values).measurements():
            assert len(values_of_labels) == len(labels[instrument]), (event, instrument)


def test_the_names_on_the_wire_are_the_ones_that_dashboards_and_collector_know() -> None:
    names = span_names(NAMESPACE)
    assert (names.entry, names.link, names.attempt) == (
        "foliotrace.entry",
        "foliotrace.link",
        "foliotrace.attempt",
    )


def filled(annotation: object) -> object:
    """A value of the field's type, so that an event can be built."""
    samples = {"str": "word", "int": 1, "float": 0.5, "bool": True, "Decimal": "0.25"}
    text = str(annotation)
    if "datetime" in text:
        return "2026-01-01T00:00:00"
    if "tuple" in text:
        return ("reason",)
    if "dict" in text.lower() or "Mapping" in text:
        return {}
    return next((value for name, value in samples.items() if name in text), "word")
