"""The log: one event name and its fields on a line, with the trace id, on standard error."""

import logging
import sys
from contextlib import suppress
from typing import TextIO, cast

import structlog
from opentelemetry import trace
from structlog.typing import EventDict, Processor, WrappedLogger

_MINUTE_S = 60.0
_QUOTING = ("llama_agents", "workflows")
"""They log the text of exceptions, which quotes documents; `run.ended` says what is needed."""


def set_up_logging(level: str, shape: str, *, redact: Processor | None = None) -> None:
    """Send our log and the libraries' to standard error. `shape`: json, console or auto.

    `redact` takes personal numbers and keys out of every value, if libraries log any.
    """
    least = logging.getLevelNamesMapping()[level.upper()]
    for_people = shape == "console" or (shape == "auto" and sys.stderr.isatty())
    render: list[Processor] = (
        [structlog.dev.ConsoleRenderer()]
        if for_people
        else [_in_order, structlog.processors.JSONRenderer()]
    )
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_trace,
        *([redact] if redact is not None else []),
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.dict_tracebacks, *render],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _Unfailing(sys.stderr))),
        cache_logger_on_first_use=False,
    )
    _set_up_libraries(least, shared, render)


def _set_up_libraries(least: int, shared: list[Processor], render: list[Processor]) -> None:
    """The standard library's log in the same form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_OncePerMinute())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _only_where,
                *render,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(least, logging.WARNING))
    for library in _QUOTING:
        logging.getLogger(library).setLevel(logging.CRITICAL)


class _Unfailing:
    """A stream for log lines that drops what cannot be written: a request must not fail of it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, or drop when the disk is full or nobody reads any more."""
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """See `write`."""
        with suppress(OSError):
            self._stream.flush()


class _OncePerMinute(logging.Filter):
    """Lets an exporter without a collector complain once a minute, and not at every batch."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is the first of its kind in a minute."""
        if not record.name.startswith("opentelemetry."):
            return True
        kind = (record.name, str(record.msg))
        if record.created - self._last.get(kind, 0.0) < _MINUTE_S:
            return False
        self._last[kind] = record.created
        return True


def _in_order(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """When, how bad and what before everything else."""
    first = {name: event[name] for name in ("timestamp", "level", "event") if name in event}
    return {**first, **event}


def _add_trace(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = f"{context.trace_id:032x}"
        event["span_id"] = f"{context.span_id:016x}"
    return event


def _only_where(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Keep no traceback of a library: its text quotes what was sent."""
    error = event.pop("exc_info", None)
    if error and error is not True and error[0] is not None:
        event["error_type"] = error[0].__name__
    return event
