"""Telemetry of one engine: set up at its start, flushed with a limit at its end."""

import asyncio
from dataclasses import dataclass, replace
from typing import Final

from opentelemetry.trace import Tracer
from prometheus_client import PlatformCollector, ProcessCollector

from foliotrace.errors import Misconfigured
from foliotrace.events import INSTRUMENTS, NAMESPACE
from foliotrace_otel import (
    Metrics,
    OTelSettings,
    Redactor,
    Telemetry,
    TelemetrySettingInvalid,
    configure,
    read_environment,
)
from foliotrace_otel.export.trace_ascii import RecentTraces, draw_trace
from foliotrace_server.observing.trace_context import TraceLinks
from foliotrace_server.sections import TracingSettings

_SCOPE = "foliotrace_server"
DRAWN: Final = (
    "foliotrace.retrieval.mode",
    "foliotrace.answer.mode",
    "foliotrace.degradation.level",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observing:
    """What one engine observes with. `recent` is there where traces are drawn, in the CLI."""

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
        """What keeps personal numbers and keys out of spans, for the log."""
        return self.telemetry.redactor

    def trace_tree(self, trace_id: str) -> str:
        """A recent trace (32 hex digits) drawn as a tree; "" where it is not known."""
        return draw_trace(self.recent.trace(trace_id), DRAWN) if self.recent is not None else ""

    def stop(self) -> None:
        """Take the handlers off and send what is left, waiting `shutdown_s` at most."""
        self.telemetry.shutdown(self.shutdown_s)

    async def close(self) -> None:
        """See `stop`."""
        await asyncio.to_thread(self.stop)


def observe(settings: TracingSettings, *, serving: bool, draws: bool = False) -> Observing:
    """Watch this process until `close`. Raises Misconfigured.

    `serving`: a service, which exports as the standard variables say, to `localhost:4317` if they
    say nothing, and whose provider others in the process find. Anything else exports only where a
    variable names an endpoint. `draws`: keep the last traces for `trace_tree`.
    """
    chosen = _chosen(settings, serving=serving)
    recent = RecentTraces() if draws and settings.enabled else None
    telemetry = configure(
        chosen,
        service_name=settings.service_name,
        instruments=INSTRUMENTS,
        namespace=NAMESPACE,
        span_processors=(recent,) if recent is not None else (),
        set_global=serving and settings.enabled,
    )
    for collector in (ProcessCollector, PlatformCollector):
        collector(registry=telemetry.metrics.registry)
    return Observing(
        telemetry=telemetry,
        links=TraceLinks.of_settings(settings),
        tracer=None if chosen.disabled else telemetry.provider.get_tracer(_SCOPE),
        recent=recent,
        shutdown_s=settings.shutdown_s,
    )


def _chosen(settings: TracingSettings, *, serving: bool) -> OTelSettings:
    """What the standard variables say, below what our settings say."""
    try:
        found = read_environment()
    except TelemetrySettingInvalid as error:
        raise Misconfigured(str(error)) from error
    if not (serving or found.endpoint_named):
        found = replace(found, exporter="none", metrics_exporter="none")
    if not (serving or found.logs_endpoint_named):
        found = replace(found, logs_exporter="none")
    return replace(
        found,
        disabled=found.disabled or not settings.enabled,
        detail="all" if "all" in (settings.detail, found.detail) else "semantic",
    )
