"""What the tests of the handler share: LlamaIndex's own record of its tree, and ours beside it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.span import BaseSpan
from llama_index_instrumentation.span_handlers import BaseSpanHandler
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Sampler

from foliotrace.events import INSTRUMENTS, NAMESPACE
from foliotrace_otel.content.capture import ContentCapture, ContentPolicy
from foliotrace_otel.export.span_redaction import Redactor
from foliotrace_otel.metrics.registry import Metrics
from foliotrace_otel.spans.event_handler import OTelEventHandler, event_handler
from foliotrace_otel.spans.handler import OTelSpanHandler
from foliotrace_otel.spans.span_tree import Detail, SpanTree


class LlamaIndexTree(BaseSpanHandler[BaseSpan]):
    """LlamaIndex's tree as LlamaIndex tells it: id -> parent id, in order of starting."""

    def __init__(self) -> None:
        super().__init__()
        self.__dict__["parents"] = {}
        self.__dict__["dropped"] = set()

    def span_enter(
        self,
        id_: str,
        bound_args: Any,
        instance: Any = None,
        parent_id: Any = None,
        tags: Any = None,
        **kw: Any,
    ) -> None:
        self.parents[id_] = parent_id

    def span_exit(self, id_: str, *args: Any, **kw: Any) -> None: ...

    def span_drop(self, id_: str, *args: Any, **kw: Any) -> None:
        self.dropped.add(id_)

    def new_span(self, *args: Any, **kw: Any) -> None: ...
    def prepare_to_exit_span(self, *args: Any, **kw: Any) -> None: ...
    def prepare_to_drop_span(self, *args: Any, **kw: Any) -> None: ...


@dataclass
class RecordedSpans:
    tree: SpanTree
    memory: InMemorySpanExporter
    truth: LlamaIndexTree
    provider: TracerProvider
    metrics: Metrics
    handler: OTelSpanHandler
    events: OTelEventHandler
    shown: dict[str, ReadableSpan] = field(default_factory=dict)

    @property
    def spans(self) -> list[ReadableSpan]:
        return sorted(self.memory.get_finished_spans(), key=lambda span: span.start_time or 0)

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        (span,) = self.named(name)
        return span

    def parent_name(self, span: ReadableSpan) -> str | None:
        if span.parent is None:
            return None
        return next(s.name for s in self.spans if s.context.span_id == span.parent.span_id)

    def edges(self) -> set[tuple[int, int]]:
        return {(s.context.span_id, s.parent.span_id if s.parent else 0) for s in self.spans}

    def orphans(self) -> list[ReadableSpan]:
        known = {span.context.span_id for span in self.spans}
        return [s for s in self.spans if s.parent is not None and s.parent.span_id not in known]


@contextmanager
def recording(
    *,
    detail: Detail = "semantic",
    content: ContentPolicy | None = None,
    sampler: Sampler | None = None,
    openinference: bool = False,
    version: Any = "1.41",
) -> Iterator[RecordedSpans]:
    memory = InMemorySpanExporter()
    provider = TracerProvider(sampler=sampler)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    policy = content or ContentPolicy()
    if openinference:
        policy = replace(policy, back_ends=policy.back_ends | {"openinference"})
    capture = ContentCapture(policy, Redactor(b"test").pseudonym) if policy.capture else None
    tree = SpanTree(
        provider.get_tracer("foliotrace"),
        namespace=NAMESPACE,
        version=version,
        detail=detail,
        exception_messages=policy.capture,
        back_ends=policy.back_ends,
        content=capture,
    )
    metrics = Metrics(INSTRUMENTS, namespace=NAMESPACE)
    handler = OTelSpanHandler(tree)
    events = event_handler(tree, metrics, openinference=openinference)
    truth = LlamaIndexTree()
    root = get_dispatcher()
    before = (list(root.span_handlers), list(root.event_handlers))
    root.span_handlers = [*before[0], truth, handler]
    root.event_handlers = [*before[1], events]
    try:
        yield RecordedSpans(tree, memory, truth, provider, metrics, handler, events)
    finally:
        root.span_handlers, root.event_handlers = before
        provider.shutdown()


def shape(parents: dict[Any, Any], names: dict[Any, str]) -> list[tuple[str, ...]]:
    """A tree as the sorted list of its root-to-node name paths: comparable between two makers."""

    def path(node: Any) -> tuple[str, ...]:
        above = parents.get(node)
        return (*(path(above) if above in parents else ()), names[node])

    return sorted(path(node) for node in parents)
