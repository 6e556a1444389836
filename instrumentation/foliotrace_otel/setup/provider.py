"""The tracer provider of a program that has none: sampler, resource, processors, exporters."""

import logging
from collections.abc import Mapping
from importlib.metadata import entry_points, version
from itertools import product
from typing import Final
from uuid import uuid4

from opentelemetry.sdk.resources import OTELResourceDetector, Resource, get_aggregated_resources
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    ParentBased,
    Sampler,
    TraceIdRatioBased,
)

from foliotrace_otel.export.batch import CountedExporter, quiet_exporters
from foliotrace_otel.export.span_journal import JournalledExporter, SpanJournal
from foliotrace_otel.export.span_redaction import Redactor
from foliotrace_otel.metrics.registry import Metrics
from foliotrace_otel.sdk_internals.batch_processor import CountedBatchProcessor, SpanProcessors
from foliotrace_otel.setup.environment import SAMPLER_GROUP, SAMPLERS, OTelSettings
from foliotrace_otel.setup.exporters import span_exporters
from foliotrace_otel.setup.sdk_variables import IgnoredVariable, warn_of

SERVICE: Final = "service.name"
_log = logging.getLogger(__name__)


def own_provider(
    settings: OTelSettings,
    resource: Resource,
    metrics: Metrics,
    redactor: Redactor,
    journal: SpanJournal | None,
) -> tuple[TracerProvider, tuple[CountedBatchProcessor, ...]]:
    """A provider that exports as `settings` say, and its batch processors."""
    quiet_exporters()
    # On exit the SDK would wait for up to 30 s; `configure` registers an end with a limit.
    provider = TracerProvider(
        sampler=_sampler(settings),
        resource=resource,
        shutdown_on_exit=False,
        active_span_processor=SpanProcessors(),
    )
    exporters = [CountedExporter(each, metrics) for each in span_exporters(settings, redactor)]
    journalled = [JournalledExporter(each, journal) for each in exporters] if journal else exporters
    processors = tuple(
        CountedBatchProcessor(
            exporter,
            metrics,
            max_queue_size=settings.queue_size,
            schedule_delay_millis=settings.delay_ms,
            max_export_batch_size=min(settings.batch_size, settings.queue_size),
        )
        for exporter in journalled
    )
    if journal is not None:  # first: a span that has ended is in the file before it is exported
        left = journal.recover(resource)
        provider.add_span_processor(journal)
        for processor, span in product(processors, left):
            processor.on_end(span)
    for processor in processors:
        provider.add_span_processor(processor)
    return provider, processors


def _sampler(settings: OTelSettings) -> Sampler:
    if settings.sampler not in SAMPLERS:
        return _samplers_of_others(settings.sampler, settings.sampler_arg)
    name = settings.sampler.removeprefix("parentbased_")
    root: Sampler = {
        "always_on": ALWAYS_ON,
        "always_off": ALWAYS_OFF,
        "traceidratio": TraceIdRatioBased(settings.sample_ratio),
    }[name]
    return ParentBased(root) if settings.sampler.startswith("parentbased_") else root


def _samplers_of_others(name: str, argument: str) -> Sampler:
    """The sampler that another package offers as `name`; if it cannot be made, the default."""
    try:
        [entry_point] = entry_points(group=SAMPLER_GROUP, name=name)
        made = entry_point.load()(argument)
    except Exception:  # noqa: BLE001 - whatever another package does here, the program must start
        _log.warning("telemetry.sampler_failed", exc_info=True)
        made = None
    if isinstance(made, Sampler):
        return made
    warn_of(IgnoredVariable("OTEL_TRACES_SAMPLER", name, "a sampler that can be made"))
    return ParentBased(ALWAYS_ON)


def resource_of(service_name: str, more: Mapping[str, str], *, detect: bool) -> Resource:
    """What made the telemetry. `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` go before.

    Detectors named in `OTEL_EXPERIMENTAL_RESOURCE_DETECTORS` are asked as well.
    """
    ours = {
        "telemetry.sdk.language": "python",
        "telemetry.sdk.name": "opentelemetry",
        "telemetry.sdk.version": version("opentelemetry-sdk"),
        SERVICE: service_name,
        "service.instance.id": str(uuid4()),
        **more,
    }
    named = get_aggregated_resources([OTELResourceDetector()], initial_resource=Resource(ours))
    return Resource.create().merge(named) if detect else named
