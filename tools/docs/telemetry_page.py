"""Generates the reference page of spans, attributes and metrics: docs/reference/telemetry.md."""

import ast
import inspect
import re
from collections.abc import Iterable, Iterator
from typing import Final

from foliotrace.events import INSTRUMENTS, NAMESPACE, DomainEvent
from foliotrace_otel import Metrics, semconv
from foliotrace_otel.setup import environment
from foliotrace_otel.spans.carried_context import BAGGAGE_ALLOWED

SPANS: Final = (
    ("`{method} {route}`", "an HTTP request", "SERVER", "to the answer's last byte"),
    ("`invoke_workflow {class}`", "a workflow's run", "INTERNAL", "model and stage spans below"),
    ("`step {name}`", "a step, where a workflow has several", "INTERNAL", ""),
    ("`{stage}`", "a dispatcher span `stage.{stage}`, or `__foliotrace_stage__`", "INTERNAL", ""),
    ("`chat {model}`", "an LLM call (chat or completion)", "CLIENT", "to the last token"),
    ("`embeddings {model}`", "an embedding call", "CLIENT", ""),
    ("`retrieval {class}`", "a LlamaIndex retriever", "INTERNAL", ""),
    ("`rerank {class}`", "a node postprocessor", "INTERNAL", ""),
    ("`synthesize {class}`", "a response synthesizer", "INTERNAL", "to the last token"),
    ("`execute_tool {tool}`", "a tool call", "INTERNAL", ""),
    ("`{Class}.{method}`", "any other decorated method or function", "INTERNAL", ""),
)


def page() -> str:
    """The whole page, in Markdown."""
    return "\n".join(
        (
            "# Telemetry reference",
            "",
            "Written by `python -m tools.docs.reference`; a test holds it to the code.",
            "",
            "## Spans",
            "",
            "With `FOLIOTRACE_SPAN_DETAIL=all` every LlamaIndex span is shown. By default",
            "`_private` twins, splitters, templates, parsers and the steps of one-step workflows",
            "(or of classes with `__foliotrace_stages__ = True`) are contracted into their parent.",
            "",
            *_table(("span", "what it is", "kind", "note"), SPANS),
            "",
            "## Attributes",
            "",
            *_table(("name", "note"), _attributes()),
            "",
            f"Baggage that becomes attributes of the entry span: {_code(BAGGAGE_ALLOWED)}.",
            "",
            "## Content attributes",
            "",
            "Sent only under `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`, cut and",
            "redacted.",
            "A name equal to one of these, or going on with a dot, is content:",
            "",
            *(f"- `{name}`" for name in semconv.CONTENT_ATTRIBUTES),
            "",
            "## Metrics",
            "",
            *_table(
                ("OTel name", "Prometheus name", "kind", "unit", "labels", "meaning"), _metrics()
            ),
            "",
            "## Domain events",
            "",
            "LlamaIndex events of the service. `on`: the attributes stand on the open span, on the",
            "span of its run, or in a span event such as `foliotrace.call_retried`.",
            "",
            *_table(("event", "meaning", "on", "attributes"), _events()),
            "",
            "## Variables read",
            "",
            *(f"- `{name}`" for name in sorted(_variables())),
            "",
            "The SDK itself reads the other `OTEL_EXPORTER_OTLP_*`, `OTEL_RESOURCE_ATTRIBUTES`,",
            "`OTEL_SERVICE_NAME` and limit variables.",
            "",
        )
    )


def _attributes() -> Iterator[tuple[str, str]]:
    source = inspect.getsource(semconv)
    notes = {
        line.partition(":")[0]: line.partition("  # ")[2].removeprefix("noqa: S105 - ")
        for line in source.splitlines()
        if ": Final = " in line
    }
    for constant, note in notes.items():
        value = getattr(semconv, constant, None)
        if (
            isinstance(value, str)
            and constant.isupper()
            and value not in semconv.CONTENT_ATTRIBUTES
        ):
            shown = "" if note.startswith("an attribute name") else note
            yield f"`{value}`", shown
    derived = re.findall(r"    (\w+): str  # (.+)", inspect.getsource(semconv.SpanNames))
    for field, note in derived:
        if not field.endswith("_mark"):
            yield f"`{getattr(semconv.span_names(NAMESPACE), field)}`", note


def _events() -> Iterator[tuple[str, str, str, str]]:
    for event in sorted(DomainEvent.__subclasses__(), key=lambda e: e.__name__):
        names = tuple(semconv.CONCEPTS.get(n, n) for n in event.span_attributes.values())
        meaning = (event.__doc__ or "").replace("\n    ", " ")
        yield f"`{event.__name__}`", meaning, event.recorded_as, _code(names)


def _metrics() -> Iterator[tuple[str, ...]]:
    for i in Metrics(INSTRUMENTS, namespace=NAMESPACE).instruments:
        labels = _code(i.labels)
        yield (
            f"`{i.name}`", f"`{i.prometheus_name}`", i.kind, f"`{i.unit}`", labels, i.description
        )  # fmt: skip


def _variables() -> set[str]:
    tree = ast.parse(inspect.getsource(environment))
    texts = {
        n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)
    }
    plain = {t for t in texts if t.isupper() and t.startswith(("OTEL_", "LANG", "FOLIOTRACE_"))}
    either = {"API_KEY", "ENDPOINT", "PROJECT"}
    return plain | {f"{maker}_{name}" for maker in ("LANGSMITH", "LANGCHAIN") for name in either}


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _code(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)
