"""LlamaIndex's tree of spans as OTel spans: parents, contraction, failures. See handler.py.

With `detail="all"` the tree is LlamaIndex's own, with OTel spans that others opened in between kept
in their place. With `detail="semantic"` the plumbing is contracted into its parents
(span_naming.py): such a span gets no OTel span, and its attributes go to the nearest visible one.
"""

import logging
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any, Final, Literal, TypeAlias

from llama_index_instrumentation.dispatcher import active_instrument_tags
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.trace import (
    Link,
    Span,
    SpanContext,
    SpanKind,
    TraceFlags,
    Tracer,
)
from opentelemetry.util.types import AnyValue

from foliotrace_otel import semconv
from foliotrace_otel.content.capture import BackEnd, ContentCapture
from foliotrace_otel.sdk_internals import CURRENT_CONTEXT, SPAN_KEY, SUPPRESS_KEY
from foliotrace_otel.sdk_internals.fast_span import (
    FastSpan,
    fast_tracer,
    follows_the_parent,
    start_fast_child,
    start_fast_root,
)
from foliotrace_otel.semconv import NAMESPACE, Attribute, Version, span_names
from foliotrace_otel.spans.carried_context import LINKS_KEY, entry_attributes, links_in
from foliotrace_otel.spans.failures import (
    add_exception_event,
    attempted_call,
    first_attempt,
    mark_failed,
    note_attempt,
    outcome_of,
)
from foliotrace_otel.spans.open_span import RECORD_KEY, UNMEASURED, OpenSpan, UnsampledCall
from foliotrace_otel.spans.parents import (
    below_unsampled,
    new_tags,
    parent_context,
    same_call,
    starts_separate_trace,
)
from foliotrace_otel.spans.span_naming import (
    SpanPlan,
    has_visible_steps,
    plan_for,
    provider_of,
    subject_of,
)

Detail: TypeAlias = Literal["semantic", "all"]

_FLAGS: Final = 3  # of a SpanContext, which is a tuple: its property is a call more per span
_UUID_CHARS: Final = 37  # LlamaIndex span ids end with "-<uuid4>"
_MOST_PLANS: Final = 4096
_HIDDEN_TAGS: Final = frozenset(
    {
        "llamaindex.step.input_summary",  # content
        "llamaindex.start_event",  # content
        "llamaindex.step.input_event",  # on every span below the step
    }
)
_log = logging.getLogger(__name__)


class SpanTree:
    """The open spans and the rules by which they nest, end and fail.

    `on_end` is called at the end of every measured call (stages and model calls), sampled or not,
    with the exception if it failed. `on_fault` is called for each fault of the handler itself.
    """

    def __init__(
        self,
        tracer: Tracer,
        *,
        namespace: str = NAMESPACE,
        version: Version = "1.41",
        detail: Detail = "semantic",
        exception_messages: bool = False,
        on_fault: Callable[[], None] = lambda: None,
        back_ends: frozenset[BackEnd] = frozenset(),
        content: ContentCapture | None = None,
    ) -> None:
        self.tracer = tracer
        self.names = names = span_names(namespace, version)
        self._namespace = namespace
        self._hidden_tags = _HIDDEN_TAGS | {names.call, names.attempt}
        self.open: dict[str, OpenSpan] = {}
        self.faults = 0
        self._all = detail == "all"
        self._messages = exception_messages
        self.on_end: Callable[[OpenSpan, BaseException | None], None] | None = None
        self.streaming_caller: Callable[[object], OpenSpan | None] = lambda instance: None
        self._on_bug = on_fault
        self._back_ends = back_ends
        self.content = content  # None: no content is collected
        self.interrupted: Mapping[str, SpanContext] = {}  # what an earlier process left, by call
        self._plans: dict[tuple[type | None, str], SpanPlan] = {}
        self._lock = Lock()
        self._quiet = follows_the_parent(tracer)
        self._fast_tracer = fast_tracer(tracer)

    def enter(
        self, id_: str, instance: object, parent_id: str | None, tags: Mapping[str, Any] | None
    ) -> None:
        """A LlamaIndex span starts: open its OTel span, or contract it into its parent's."""
        parent = self.open.get(parent_id) if parent_id is not None else None
        ambient = CURRENT_CONTEXT.get()
        if ambient.get(SUPPRESS_KEY):
            return
        workflow = parent.workflow if parent is not None and instance is None else None
        plan = self._plans.get((workflow or type(instance), id_[:-_UUID_CHARS]))
        if plan is None:
            plan = self._new_plan(id_, instance, workflow)
        if plan.subject == "model":
            parent = self.streaming_caller(instance) or parent
        # Most spans of a sampled-out trace are only counted: no OTel span, hardly any cost.
        if self._quiet and (
            parent.unsampled and not (LINKS_KEY in ambient and starts_separate_trace(ambient))
            if parent is not None
            else below_unsampled(ambient)
        ):
            if not plan.measured:
                self.open[id_] = UNMEASURED
            elif plan.subject:
                self.open[id_] = self._unsampled_model_call(id_, plan, instance, parent)
            else:
                self.open[id_] = UnsampledCall(id_, plan)
            return
        if tags is None:
            tags = active_instrument_tags.get()
        record = OpenSpan(id_, plan, parent, tags)
        host = parent.visible if parent is not None else None
        self.open[id_] = record  # before its span starts: if that raises, its end still finds it
        if plan.subject:
            record.instance_id = id(instance)
        if (
            host is not None
            and not self._all
            and (plan.skip or (record.instance_id and same_call(record)))
        ):
            record.visible = host
        else:
            self._start_visible(record, instance, host, ambient)

    def leave(self, id_: str) -> OpenSpan | None:
        """A call returned: leave its span, which stays open. None if it has no span."""
        record = self.open.get(id_)
        if record is None:
            return None
        if record is UNMEASURED or (record.span is None and record.visible is not None):
            del self.open[id_]
            return None
        if type(record) is UnsampledCall:
            if record.plan.subject:  # may stream
                return record
            del self.open[id_]
            record.ended = True
            if self.on_end is not None:
                self.on_end(record, None)
            return None
        record.leave()
        return record

    def end(self, record: OpenSpan) -> None:
        """The work of a span is over: end it."""
        self.open.pop(record.id, None)
        if record.plan.measured and self.on_end is not None and not record.ended:
            self.on_end(record, None)
        if record.content is not None and self.content is not None:
            self.content.write(record)
        record.finish()

    def drop(self, id_: str, error: BaseException | None) -> OpenSpan | None:
        """A call raised: record the exception and end the span. None if it has no span."""
        record = self.open.get(id_)
        if record is None:
            return None
        if record is UNMEASURED:
            del self.open[id_]
            return None
        record.leave()
        self.fail(record, error)
        return record

    def fail(self, record: OpenSpan, error: BaseException | None) -> None:
        """End `record` with `error`: a failure, or one of the ends that are none (failures.py)."""
        self.open.pop(record.id, None)
        host = record.visible
        note_attempt(record, self.names.call)
        outcome = outcome_of(error) if error is not None else "abandoned"
        failure = error if not outcome else None
        if host is record or host is None:
            if outcome and not record.ended:
                record.attributes[self.names.outcome] = outcome
            if record.plan.measured and self.on_end is not None:
                self.on_end(record, failure)
        if failure is not None and host is not None:
            self._record_failure(host, failure, own=host is record)
            above = record.parent.visible if host is record and record.parent is not None else None
            if above is not None and not above.ended:
                above.failed_with = failure
        if host is record or host is None:
            if record.content is not None and self.content is not None:
                self.content.write(record, error)
            record.finish()

    def report_fault(self, error: BaseException) -> None:
        """Count a fault of the handler, and log the first one."""
        with self._lock:
            self.faults += 1
            first = self.faults == 1
        if first:
            _log.error("telemetry.handler_failed", exc_info=error)
        self._on_bug()

    def _record_failure(self, host: OpenSpan, error: BaseException, *, own: bool) -> None:
        span = host.span
        if span is None or host.ended or host.unsampled:
            return
        if host.failed_with is not error:
            add_exception_event(host, error, message=self._messages, call_tag=self.names.call)
            host.failed_with = error
        if own:
            mark_failed(span, error)

    def _new_plan(self, id_: str, instance: object, workflow: type | None) -> SpanPlan:
        """The plan of a method seen for the first time; `workflow`: it is a step of that run's."""
        function = id_[:-_UUID_CHARS]
        if len(self._plans) >= _MOST_PLANS:
            self._plans.clear()
        plan = self._plans[workflow or type(instance), function] = plan_for(
            function,
            instance,
            under_run=workflow is not None,
            steps_visible=workflow is not None
            and has_visible_steps(workflow, self.names.stages_mark),
            stage_mark=self.names.stage_mark,
        ).named_for(self._back_ends)
        return plan

    def _unsampled_model_call(
        self, id_: str, plan: SpanPlan, instance: object, parent: OpenSpan | None
    ) -> OpenSpan:
        """The record of a model call without a span: a clock, once per call."""
        if parent is not None and parent.instance_id == id(instance):
            return UNMEASURED
        record = UnsampledCall(id_, plan, id(instance))
        record.attributes.update(self._subject(plan, instance)[1])
        return record

    def _start_visible(
        self,
        record: OpenSpan,
        instance: object,
        host: OpenSpan | None,
        ambient: Context,
    ) -> None:
        plan = record.plan
        below = host is not None and host.span is ambient.get(SPAN_KEY)
        context = ambient if below else parent_context(host, ambient)
        links: tuple[Link, ...] = ()
        attributes: dict[str, AnyValue] = {**plan.attributes}
        name = plan.name
        if plan.subject:
            name, subject = self._subject(plan, instance)
            attributes.update(subject)
            record.attributes.update(subject)
        if plan.is_agent:
            attributes.update(self._agent(instance))
        if RECORD_KEY not in context:
            links = links_in(context)
            attributes.update(entry_attributes(context, self._namespace))
        tags = record.tags
        if tags:
            number = tags.get(self.names.attempt, 1)
            if number != 1 and (call := attempted_call(record, self.names.call)):
                attributes[self.names.attempt] = number
                for known in semconv.OF_FIRST_ATTEMPT:  # set at the end, unless this one fails too
                    attributes.pop(known, None)
                links += first_attempt(record, call) or self._interrupted_attempt(call)
            if record.parent is None or tags is not record.parent.tags:
                attributes.update(new_tags(record, self._hidden_tags))
        span = self._start(name, plan.kind, context, attributes, links)
        if plan.is_run:
            record.workflow = type(instance)
        record.unsampled = type(span) is not FastSpan and not span.is_recording()
        record.start(span, context)

    def _agent(self, instance: object) -> dict[str, Attribute]:
        """The name that the program gave an agent."""
        name = getattr(instance, "name", None)
        if not isinstance(name, str):
            return {}
        phoenix = "openinference" in self._back_ends
        return {semconv.AGENT_NAME: name, **({"agent.name": name} if phoenix else {})}

    def _interrupted_attempt(self, call: str) -> tuple[Link, ...]:
        found = self.interrupted.get(call)
        return (Link(found),) if found is not None else ()

    def _start(
        self,
        name: str,
        kind: SpanKind,
        context: Context,
        attributes: dict[str, AnyValue],
        links: tuple[Link, ...],
    ) -> Span:
        fast = self._fast_tracer
        if fast is not None and not links:
            parent = context.get(SPAN_KEY)
            if type(parent) is not FastSpan and not isinstance(parent, SdkSpan):
                return start_fast_root(fast, name, kind, attributes, context)
            above = parent.get_span_context()
            if above[_FLAGS] & TraceFlags.SAMPLED:
                return start_fast_child(fast, name, kind, above, attributes, context)
        return self.tracer.start_span(
            name, context=context, kind=kind, attributes=attributes, links=links
        )

    def _subject(self, plan: SpanPlan, instance: object) -> tuple[str, dict[str, Attribute]]:
        subject = subject_of(plan, instance)
        if plan.subject == "tool":
            tool: dict[str, Attribute] = {semconv.TOOL_NAME: subject}
            if "openinference" in self._back_ends:
                tool["tool.name"] = subject
            return f"{plan.name} {subject}", tool
        attributes: dict[str, Attribute] = {semconv.REQUEST_MODEL: subject, semconv.MODEL: subject}
        if provider := provider_of(instance):
            attributes[semconv.PROVIDER] = provider
        return f"{plan.name} {subject}", attributes
