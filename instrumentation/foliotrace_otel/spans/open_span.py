"""One LlamaIndex span that has not ended: the OTel span it became and how to leave it again."""

from collections.abc import Mapping
from contextvars import Token
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanContext

from foliotrace_otel.sdk_internals import CURRENT_CONTEXT, SPAN_KEY
from foliotrace_otel.sdk_internals.fast_span import FastSpan
from foliotrace_otel.semconv import Attribute
from foliotrace_otel.spans.span_naming import SpanPlan

if TYPE_CHECKING:
    from foliotrace_otel.content.capture import SpanContent

_set_item: Final = dict.__setitem__
RECORD_KEY: Final = otel_context.create_key("foliotrace_otel-open-span")


class OpenSpan:
    """A LlamaIndex span that has not ended.

    `visible` is the record whose OTel span stands for this one: itself, or its nearest ancestor
    with a span if this one is contracted; None if there is no such ancestor, and once it has ended.
    `streaming`: the call
    has returned, its stream goes on. `failed_calls`: the first failed attempts among the children,
    by the call's name, for links.
    """

    __slots__ = (
        "_previous",
        "_token",
        "attributes",
        "content",
        "context",
        "ended",
        "failed_calls",
        "failed_with",
        "first_chunk_ns",
        "id",
        "instance_id",
        "parent",
        "plan",
        "shown_failures",
        "span",
        "started_ns",
        "streaming",
        "tags",
        "unsampled",
        "visible",
        "workflow",
    )

    def __init__(
        self,
        id_: str,
        plan: SpanPlan,
        parent: "OpenSpan | None",
        tags: Mapping[str, Any],
    ) -> None:
        self.id = id_
        self.plan = plan
        self.parent = parent
        self.visible: OpenSpan | None = None
        self.span: Span | None = None
        self.context: Context | None = None
        self.content: SpanContent | None = None
        self.attributes: dict[str, Attribute] = {}
        self.failed_with: BaseException | None = None
        self.failed_calls: dict[str, SpanContext] | None = None
        self.shown_failures: tuple[str, ...] = ()
        self.started_ns = 0
        self.first_chunk_ns = 0
        self.instance_id = 0
        self.streaming = False
        self.unsampled = False
        self.ended = False
        self.tags = tags
        self.workflow: type | None = None
        self._token: Token[Context] | None = None
        self._previous: Context | None = None

    def start(self, span: Span, context: Context) -> None:
        """Take `span`, started from `context`, and make it the current span."""
        self.span = span
        self.visible = self
        self.started_ns = time_ns()
        self._previous = context
        self.context = inside = Context(context)
        _set_item(inside, SPAN_KEY, span)  # one copy instead of two: it is nobody else's yet
        _set_item(inside, RECORD_KEY, self)
        self._token = CURRENT_CONTEXT.set(inside)

    @property
    def entered_from(self) -> Span | None:
        """The OTel span around this one, where no LlamaIndex call lies between; else None."""
        if self.parent is not None or self._previous is None:
            return None
        above = self._previous.get(SPAN_KEY)
        return above if isinstance(above, Span) else None

    def leave(self) -> None:
        """Restore the previous current span; safe in another context than `start` ran in."""
        token, self._token = self._token, None
        if token is None:
            return
        try:  # not otel_context.detach, which logs an error where this raises
            CURRENT_CONTEXT.reset(token)
        except ValueError:  # entered in another Context: put right what can be seen from here
            if CURRENT_CONTEXT.get() is self.context and self._previous is not None:
                CURRENT_CONTEXT.set(self._previous)

    def finish(self, end_ns: int | None = None) -> None:
        """Write the gathered attributes and end the OTel span, once."""
        if self.ended:
            return
        self.ended = True
        span = self.span
        if span is not None:
            if self.attributes:
                if type(span) is FastSpan:
                    span.update_attributes(self.attributes)
                else:
                    span.set_attributes(self.attributes)
            span.end(end_ns)
        self.failed_with = None
        self._previous = None
        self.context = self.visible = None  # each a cycle, for the garbage collector to find


def run_of(record: OpenSpan) -> OpenSpan:
    """The nearest workflow run around `record`, else the outermost span known."""
    while not record.plan.is_run and record.parent is not None:
        record = record.parent
    return record


class UnsampledCall(OpenSpan):
    """A call in a trace that is not sampled: no span, only a clock for the metrics."""

    __slots__ = ()
    visible = None
    span = None
    content = None
    context = None
    parent = None
    failed_with = None
    unsampled = True
    workflow = None

    def __init__(self, id_: str, plan: SpanPlan, instance_id: int = 0) -> None:
        self.id = id_
        self.plan = plan
        self.instance_id = instance_id
        self.attributes = {}
        self.tags = {}
        self.ended = False
        self.streaming = False
        self.first_chunk_ns = 0
        self.started_ns = time_ns()

    def leave(self) -> None:
        """Nothing was made current."""

    def finish(self, end_ns: int | None = None) -> None:
        """Stop the clock, once."""
        self.ended = True


UNMEASURED: Final = UnsampledCall("", SpanPlan(name="", function="", skip=True))
"""Stands for every unsampled call that is not measured either."""
