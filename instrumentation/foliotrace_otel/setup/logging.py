"""One log format for structlog and the standard library: JSON lines with trace ids, redacted.

A log line has a fixed event name and fields; it never holds query or document text. Ours go through
the redactor all the same, because libraries log what they like.
"""

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final, TextIO

import orjson
import structlog
from opentelemetry import trace
from structlog.typing import Processor

from foliotrace_otel.export.span_redaction import Redactor, is_sensitive_name

_QUIET: Final = (
    "httpx",
    "httpcore",
    "urllib3",
    "openai",
    "anthropic",
    "grpc",
    "asyncio",
    "h11",
    "hpack",
    "llama_cloud",
    "uvicorn.access",
)
_SILENCED: Final = ("opentelemetry.trace.span", "opentelemetry.baggage")
"""They quote the headers of a request that they cannot read (`tracestate`, `baggage`)."""


def configure_logging(
    redactor: Redactor, *, level: str = "INFO", stream: TextIO | None = None
) -> None:
    """Send every log line of the process, from structlog or the standard library, to `stream`.

    `stream` is standard error by default. HTTP clients log from WARNING on, whatever `level` says:
    their INFO lines hold URLs. Raises ValueError for an unknown level.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_trace_ids,
        error_places,
        LogRedaction(redactor),  # last: tracebacks quote values, too
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(serializer=_json),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    for name in _SILENCED:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # uvicorn brings handlers of its own, which would print each line twice and unredacted.
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = True


error_places: Final = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)
"""Tracebacks as data, without locals: they hold the questions and passages that were worked on."""


def add_trace_ids(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Add `trace_id` and `span_id` in hex while a span is current."""
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = f"{context.trace_id:032x}"
        event["span_id"] = f"{context.span_id:016x}"
    return event


class LogRedaction:
    """A structlog processor that redacts every text, at any depth."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def __call__(
        self, _logger: object, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """Redact the values of `event`."""
        for key, value in list(event.items()):
            if key not in _OURS:
                event[key] = self._value(key, value)
        return event

    def _value(self, key: str, value: object) -> object:
        if isinstance(value, str):
            if is_sensitive_name(key):
                return self._redactor.secret(value)
            return self._redactor.redact(value)
        if isinstance(value, Mapping):
            return {str(k): self._value(str(k), v) for k, v in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._value(key, item) for item in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        return self._redactor.redact(str(value))


_OURS: Final = frozenset(
    {"trace_id", "span_id", "timestamp", "level", "_record", "_from_structlog"}
)


def _json(event: object, **_: object) -> str:
    return orjson.dumps(event, default=str).decode()
