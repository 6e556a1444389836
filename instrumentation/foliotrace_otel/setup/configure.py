"""Set-up in one call: `configure()` reads the standard variables and returns a handle to close."""

import atexit
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Final

from llama_index_instrumentation import get_dispatcher
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

from foliotrace_detect import Rule
from foliotrace_otel.content.capture import ContentCapture
from foliotrace_otel.export.log_events import LogEvents, log_events
from foliotrace_otel.export.span_journal import SpanJournal
from foliotrace_otel.export.span_redaction import Redactor, SpanRedactor
from foliotrace_otel.metrics.instruments import InstrumentSpec
from foliotrace_otel.metrics.registry import Metrics
from foliotrace_otel.sdk_internals.batch_processor import CountedBatchProcessor
from foliotrace_otel.sdk_internals.foreign_provider import redact_provider
from foliotrace_otel.semconv import NAMESPACE
from foliotrace_otel.setup.environment import OTelSettings, read_environment, set_aside_unusable
from foliotrace_otel.setup.exporters import all_within
from foliotrace_otel.setup.provider import own_provider, resource_of
from foliotrace_otel.setup.sdk_variables import warn_of
from foliotrace_otel.spans.event_handler import OTelEventHandler, event_handler
from foliotrace_otel.spans.handler import OTelSpanHandler
from foliotrace_otel.spans.run_attributes import RunAttributes
from foliotrace_otel.spans.span_tree import SpanTree

if TYPE_CHECKING:
    from foliotrace_otel.metrics.otlp import MetricsSender

SCOPE: Final = "foliotrace_otel"
AT_EXIT_S: Final = 5.0


_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Telemetry:
    """The running telemetry of a process. `metrics` and `redactor` are for the rest of the program.

    `log_events` sends events as OTLP log records; None where `OTEL_LOGS_EXPORTER` is `none`.
    `content` puts inputs and outputs on spans; None where they are not captured.
    """

    metrics: Metrics
    redactor: Redactor
    provider: trace.TracerProvider
    span_handler: OTelSpanHandler
    event_handler: OTelEventHandler
    owns_provider: bool
    processors: tuple[CountedBatchProcessor, ...] = ()
    sender: "MetricsSender | None" = None
    log_events: LogEvents | None = None
    content: ContentCapture | None = None
    journal: SpanJournal | None = None
    _closed: threading.Event = field(default_factory=threading.Event)

    def flush(self, timeout_s: float) -> bool:
        """Send what is queued, waiting at most `timeout_s`; whether all of it was handed over."""
        work: list[Callable[[], object]] = [p.force_flush for p in self.processors]
        if self.sender is not None:
            work.append(self.sender.send)
        if self.log_events is not None:
            work.append(self.log_events.flush)
        return all_within(timeout_s, work)

    def shutdown(self, timeout_s: float) -> bool:
        """Take the handlers off, flush and stop what `configure` started; twice does no harm.

        Whether it all fitted into `timeout_s`. A provider that is not ours is left running.
        """
        if self._closed.is_set():
            return True
        self._closed.set()
        root = get_dispatcher()
        root.span_handlers = [h for h in root.span_handlers if h is not self.span_handler]
        root.event_handlers = [h for h in root.event_handlers if h is not self.event_handler]
        deadline_s = time.monotonic() + timeout_s
        if self.log_events is not None:  # first: spans of the last moment are the smaller loss
            self.log_events.stop(timeout_s / 2)
        for processor in self.processors:
            processor.stop(max(0.0, deadline_s - time.monotonic()))
        if self.sender is not None:
            self.sender.stop(max(0.0, deadline_s - time.monotonic()))
        if self.journal is not None:
            self.journal.close()
        return time.monotonic() < deadline_s


def configure(
    settings: OTelSettings | None = None,
    *,
    service_name: str | None = None,
    resource: Mapping[str, str] | None = None,
    redaction_key: bytes | None = None,
    any_sixteen_digits: bool = False,
    redaction_rules: Sequence[Rule] = (),
    provider: trace.TracerProvider | None = None,
    span_processors: Sequence[SpanProcessor] = (),
    instruments: Iterable[InstrumentSpec] = (),
    namespace: str = NAMESPACE,
    set_global: bool = True,
    span_journal: Path | None = None,
) -> Telemetry:
    """Trace every LlamaIndex call of this process. Call once, before the first request.

    `provider`: use this one; what its processors see is redacted from then on. By default a
    provider that the program has already set globally, else one of our own that exports as the
    environment says. `redaction_key`: the same key gives the same tokens in every process.
    `any_sixteen_digits`: redact them as a card even without an issuer or a check digit.
    `redaction_rules`: the program's own, beside ours.
    `span_processors`: added to our own
    provider. `set_global`: make our own provider
    the one that other instrumentations find. `instruments`: metrics that the program's events move.
    `resource`: more attributes of the program, such as `service.version`.
    `namespace`: goes before the attributes and metrics that this package makes up itself
    (`<namespace>.entry`, `<namespace>.stage.duration`). `span_journal`: a file of this process
    alone, in which the next one finds the spans of jobs that were open when this one was killed.
    A variable whose value cannot be used is ignored with a warning, as if it were not set.
    """
    chosen = settings if settings is not None else read_environment()
    for ignored in chosen.ignored:
        warn_of(ignored)
    set_aside_unusable()
    warn_of_two_versions()
    redactor = Redactor(redaction_key, any_sixteen_digits=any_sixteen_digits, rules=redaction_rules)
    metrics = Metrics(instruments, namespace=namespace, redact=redactor.redact)
    about = resource_of(service_name or namespace, resource or {}, detect=chosen.detects_resource)
    given = provider or (_already_set() if set_global else None)
    processors: tuple[CountedBatchProcessor, ...] = ()
    journal: SpanJournal | None = None
    active: trace.TracerProvider
    if given is None:
        journal = _journal(span_journal, chosen, namespace)
        active, processors = own_provider(chosen, about, metrics, redactor, journal)
        for processor in span_processors:
            active.add_span_processor(processor)
        if set_global:
            trace.set_tracer_provider(active)
    else:
        active, chosen = given, _redacting(given, chosen, redactor)
    if isinstance(active, TracerProvider) and not chosen.disabled:
        active.add_span_processor(RunAttributes(redactor))
    spans, events = _handlers(chosen, active, metrics, redactor)
    if journal is not None:
        spans.tree.interrupted = journal.interrupted
    telemetry = Telemetry(
        metrics=metrics,
        redactor=redactor,
        provider=active,
        span_handler=spans,
        event_handler=events,
        owns_provider=given is None,
        processors=processors,
        sender=_metrics_sender(metrics, about, chosen, redactor),
        log_events=log_events(chosen, about, metrics, redactor),
        content=spans.tree.content,
        journal=journal,
    )
    atexit.register(telemetry.shutdown, AT_EXIT_S)
    return telemetry


def _journal(path: Path | None, settings: OTelSettings, namespace: str) -> SpanJournal | None:
    if path is None or settings.disabled or settings.exporter != "otlp":
        return None
    return SpanJournal(path, namespace)


def _redacting(
    provider: trace.TracerProvider, settings: OTelSettings, redactor: Redactor
) -> OTelSettings:
    """Redact what the processors of the program's own `provider` see; no content if that fails."""
    leaving = SpanRedactor(redactor, content=settings.capture_content)
    return (
        settings if redact_provider(provider, leaving) else replace(settings, capture_content=False)
    )


def warn_of_two_versions() -> None:
    """Say so where this package's distribution and the service's are there in different versions.

    Both bring it, and the one that was installed last has replaced the other's files.
    """
    found = {}
    alone = __name__.partition(".")[0].replace("_", "-")
    for name in (alone, alone.rpartition("-")[0]):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    if len(set(found.values())) > 1:
        _log.warning("telemetry.two_versions", extra={"installed": found})


def _metrics_sender(
    metrics: Metrics, resource: Resource, settings: OTelSettings, redactor: Redactor
) -> "MetricsSender | None":
    if settings.metrics_exporter != "otlp" or settings.disabled:
        return None
    from foliotrace_otel.metrics.otlp import metrics_sender

    return metrics_sender(
        metrics, resource, settings, SpanRedactor(redactor, content=False)
    ).start()


def _handlers(
    settings: OTelSettings, provider: trace.TracerProvider, metrics: Metrics, redactor: Redactor
) -> tuple[OTelSpanHandler, OTelEventHandler]:
    policy = settings.content
    content = (
        ContentCapture(policy, redactor.pseudonym, redactor.learn_person)
        if policy.capture
        else None
    )
    tree = SpanTree(
        provider.get_tracer(SCOPE),
        namespace=metrics.namespace,
        version=settings.semconv,
        detail=settings.detail,
        exception_messages=settings.capture_content,
        on_fault=lambda: metrics.count(metrics.own.handler_errors.name),
        back_ends=settings.back_ends,
        content=content,
    )
    spans = OTelSpanHandler(tree)
    events = event_handler(
        tree,
        metrics,
        openinference=settings.openinference,
    )
    if not settings.disabled:
        root = get_dispatcher()
        root.add_span_handler(spans)
        root.add_event_handler(events)
    return spans, events


def _already_set() -> trace.TracerProvider | None:
    current = trace.get_tracer_provider()
    return current if isinstance(current, TracerProvider) else None
