"""The log on standard error: an event name and fields on each line, with the trace id."""

import logging
import sys
from contextlib import suppress
from typing import Final, TextIO, cast

import structlog
from opentelemetry import trace
from structlog.typing import EventDict, Processor, WrappedLogger

CHECKPOINT: Final = "audit.checkpoint"
"""The event with a signed checkpoint of the audit log: 900 characters, for log stores."""
_MINUTE_S: Final = 60.0
_SILENCED: Final = (
    "llama_agents",
    "workflows",
    "opentelemetry.trace.span",
    "opentelemetry.baggage",
)
"""They log the text of exceptions, which quotes documents (`job.failed` replaces it), or the
headers of a request that they cannot read (`tracestate`, `baggage`)."""


def set_up_logging(level: str, output_format: str, *, redact: Processor | None = None) -> None:
    """Send our log and the libraries' to standard error.

    `output_format` is json, console, or auto: console on a terminal, else json. `redact` removes
    personal numbers and keys from every value.
    """
    least = logging.getLevelNamesMapping()[level.upper()]
    is_terminal = sys.stderr.isatty()
    for_people = output_format == "console" or (output_format == "auto" and is_terminal)
    render: list[Processor] = (
        [_drop_checkpoints, structlog.dev.ConsoleRenderer(colors=is_terminal)]
        if for_people
        else [_standard_fields_first, structlog.processors.JSONRenderer()]
    )
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_trace,
        *([redact] if redact is not None else []),
    ]
    structlog.configure(
        processors=[_error_type_only, *shared, *render],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _SafeStream(sys.stderr))),
        cache_logger_on_first_use=False,
    )
    _set_up_libraries(least, shared, render)


def _set_up_libraries(least: int, shared: list[Processor], render: list[Processor]) -> None:
    """Send the standard library's log through the same processors."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_OncePerMinute())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _error_type_only,
                *render,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(least, logging.WARNING))
    for library in _SILENCED:
        logging.getLogger(library).setLevel(logging.CRITICAL)


class _SafeStream:
    """Drops log lines that cannot be written: no request may fail because the log is full."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, or drop the text when the disk is full or the reader has gone."""
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush; failures are ignored as in `write`."""
        with suppress(OSError):
            self._stream.flush()


class _OncePerMinute(logging.Filter):
    """Passes each message of the OTel exporters once a minute; a missing collector repeats them."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to log the record."""
        if not record.name.startswith("opentelemetry."):
            return True
        kind = (record.name, str(record.msg))
        if record.created - self._last.get(kind, 0.0) < _MINUTE_S:
            return False
        self._last[kind] = record.created
        return True


def _drop_checkpoints(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    if event.get("event") == CHECKPOINT:
        raise structlog.DropEvent
    return event


def _standard_fields_first(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    first = {name: event[name] for name in ("timestamp", "level", "event") if name in event}
    return {**first, **event}


def _add_trace(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = f"{context.trace_id:032x}"
        event["span_id"] = f"{context.span_id:016x}"
    return event


def _error_type_only(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Replace a traceback by the error's type: its text and locals quote what was sent."""
    error = event.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()
    elif isinstance(error, BaseException):
        error = (type(error), error, None)
    if error and error[0] is not None:
        event["error_type"] = error[0].__name__
    return event
