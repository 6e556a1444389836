"""Sets up tracing, metrics and log events of one engine, and flushes them at its end."""

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from opentelemetry.trace import Tracer
from prometheus_client import PlatformCollector, ProcessCollector

from foliotrace import __version__
from foliotrace.events import INSTRUMENTS, NAMESPACE, DomainEvent, QueryAnswered
from foliotrace.ports import HashQuery
from foliotrace_detect import NameRule, Rule
from foliotrace_otel import (
    HasMeasurements,
    HasSpanAttributes,
    Metrics,
    OTelSettings,
    Redactor,
    Telemetry,
    configure,
    read_environment,
)
from foliotrace_otel.export.trace_ascii import RecentTraces, draw_trace
from foliotrace_server.external.own_parts import load_object
from foliotrace_server.observing.trace_context import TraceLinks
from foliotrace_server.sections import TracingSettings

_SCOPE = "foliotrace_server"
_ENVIRONMENT: Final = "deployment.environment.name"
DRAWN: Final = tuple(
    QueryAnswered.span_attributes[field] for field in ("retrieval_mode", "answer_mode", "level")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observability:
    """Tracing and metrics of one engine. `recent` holds the last traces, for the CLI to draw."""

    telemetry: Telemetry
    links: TraceLinks
    tracer: Tracer | None
    recent: RecentTraces | None
    shutdown_s: float

    @property
    def metrics(self) -> Metrics:
        """The instruments."""
        return self.telemetry.metrics

    @property
    def redactor(self) -> Redactor:
        """Removes personal numbers and keys from spans; reused for the log."""
        return self.telemetry.redactor

    def share_tokens(self, settings: TracingSettings, hash_query: HashQuery) -> None:
        """Make tokens that are the same after a restart and in replicas with the same keys."""
        if settings.redaction_key is None:
            self.redactor.use_key(hash_query("", "redaction of telemetry")[1].encode())

    def trace_tree(self, trace_id: str) -> str:
        """A recent trace (32 hex digits) as a text tree; "" if it is unknown."""
        return draw_trace(self.recent.trace(trace_id), DRAWN) if self.recent is not None else ""

    def stop(self) -> None:
        """Detach from LlamaIndex and send the remaining spans, within `shutdown_s`."""
        self.telemetry.shutdown(self.shutdown_s)

    async def close(self) -> None:
        """Stop without blocking the event loop."""
        await asyncio.to_thread(self.stop)


def observe(
    settings: TracingSettings,
    *,
    serving: bool,
    keep_recent_traces: bool = False,
    any_sixteen_digits: bool = False,
    journal: Path | None = None,
) -> Observability:
    """Set up telemetry of this process until `close`. Raises Misconfigured.

    With `serving`, spans are exported as the OTEL_* variables say, by default to `localhost:4317`,
    and the tracer provider becomes the process's global one. Otherwise they are exported only if a
    variable names an endpoint. With `keep_recent_traces`, `trace_tree` knows the
    last ones.
    `any_sixteen_digits`: treat them as a card in telemetry, as answers do. `journal`: the file of
    the spans that are open, which a killed process leaves to the next one.
    """
    effective = _effective_settings(settings, serving=serving)
    recent = RecentTraces() if keep_recent_traces and settings.enabled else None
    telemetry = configure(
        effective,
        service_name=settings.service_name,
        resource={
            "service.version": __version__,
            **({_ENVIRONMENT: settings.environment} if settings.environment else {}),
        },
        instruments=INSTRUMENTS,
        namespace=NAMESPACE,
        any_sixteen_digits=any_sixteen_digits,
        redaction_key=_redaction_key(settings),
        redaction_rules=_redaction_rules(settings),
        span_processors=(recent,) if recent is not None else (),
        set_global=serving and settings.enabled,
        span_journal=journal,
    )
    for collector in (ProcessCollector, PlatformCollector):
        collector(registry=telemetry.metrics.registry)
    return Observability(
        telemetry=telemetry,
        links=TraceLinks.of_settings(settings),
        tracer=None if effective.disabled else telemetry.provider.get_tracer(_SCOPE),
        recent=recent,
        shutdown_s=settings.shutdown_s,
    )


def _effective_settings(settings: TracingSettings, *, serving: bool) -> OTelSettings:
    """The OTEL_* variables, overridden by our settings."""
    environment = read_environment()
    if not (serving or environment.endpoint_named):
        environment = replace(environment, exporter="none", metrics_exporter="none")
    if not (serving or environment.logs_endpoint_named):
        environment = replace(environment, logs_exporter="none")
    return replace(
        environment,
        disabled=environment.disabled or not settings.enabled,
        detail="all" if "all" in (settings.detail, environment.detail) else "semantic",
        capture_content=environment.capture_content
        if settings.content == "environment"
        else settings.content == "redacted",
        content_share=settings.content_share,
        content_tenants=frozenset(settings.content_tenants),
        content_people=frozenset(settings.redact_fields),
    )


def _redaction_key(settings: TracingSettings) -> bytes | None:
    key = settings.redaction_key
    return None if key is None else key.get_secret_value().encode()


def _redaction_rules(settings: TracingSettings) -> tuple[Rule, ...]:
    loaded = [
        load_object("telemetry.redaction_rules", name, Rule)  # type: ignore[type-abstract] # a shape
        for name in settings.redaction_rules
    ]
    own = [rule() if isinstance(rule, type) else rule for rule in loaded]
    return (*own, NameRule(settings.redact_names)) if settings.redact_names else tuple(own)


def _shapes(event: DomainEvent) -> tuple[HasSpanAttributes, HasMeasurements]:
    """For mypy alone: the core's events have the shapes that `foliotrace_otel` looks for."""
    return event, event
