"""Which ends of a span are failures, and how a failure is recorded without content.

The spans of a repeated call are linked to the one of its first attempt. Code that repeats calls
sets two instrument tags around each attempt: the name of the call (`<namespace>.call`) and the
number of the attempt. The outermost span of a failed attempt is remembered by the span above it.
"""

from pathlib import PurePath
from traceback import walk_tb
from typing import Final

from opentelemetry.trace import Link, Span, Status, StatusCode

from foliotrace_otel import semconv
from foliotrace_otel.spans.open_span import OpenSpan

EXCEPTION_EVENT: Final = "exception"
_FRAMES: Final = 6
# By class name, so that asyncio, workflows and their exceptions need not be imported.
_OUTCOMES: Final = {
    "CancelledError": "cancelled",
    "WorkflowCancelledByUser": "cancelled",
    "WaitingForEvent": "waiting",
    "WorkflowDone": "done",
    "GeneratorExit": "closed",
    "StopIteration": "closed",
    "StopAsyncIteration": "closed",
}


def outcome_of(error: BaseException) -> str:
    """The outcome of an end that is no failure (cancelled, waiting, closed, done), else "".

    "refused": the program says of its error, by `callers_fault`, that the caller made it.
    """
    if getattr(error, "callers_fault", False) is True:
        return "refused"
    for cls in type(error).__mro__:
        if cls.__name__ in _OUTCOMES:
            return _OUTCOMES[cls.__name__]
    # What Dispatcher.shutdown() of llama-index-instrumentation drops open spans with.
    if isinstance(error, RuntimeError) and error.args == ("dispatcher shutdown",):
        return "abandoned"
    return ""


def error_type(error: BaseException) -> str:
    """The stable `code` of an error that has one, else its qualified class name."""
    code = getattr(error, "code", None)
    if isinstance(code, str) and code.replace("_", "").isalnum():
        return code
    cls = type(error)
    return (
        cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
    )


def mark_failed(span: Span, error: BaseException) -> None:
    """Status ERROR and `error.type`; the description never repeats the exception's text."""
    kind = error_type(error)
    span.set_attribute(semconv.ERROR_TYPE, kind)
    span.set_status(Status(StatusCode.ERROR, kind))


def add_exception_event(
    host: OpenSpan, error: BaseException, *, message: bool, call_tag: str
) -> None:
    """The one exception event, at the origin: type, where it happened, text only if `message`.

    An exception's text often holds the query or a passage, so it counts as content. Of a
    call's attempts that fail at the same place, the later ones have their `error.type` alone.
    """
    span, where = host.span, _where(error)
    if span is None:
        return
    above = host.parent.visible if host.parent is not None else None
    if above is not None and attempted_call(host, call_tag) and not message:
        if where in above.shown_failures:
            return
        above.shown_failures += (where,)
    attributes = {
        "exception.type": f"{type(error).__module__}.{type(error).__qualname__}",
        "exception.stacktrace": where,
    }
    if message:
        attributes["exception.message"] = str(error)
    elif isinstance(hint := getattr(error, "hint", None), str):
        attributes["exception.message"] = hint
    span.add_event(EXCEPTION_EVENT, attributes)


def _where(error: BaseException) -> str:
    """The innermost frames, outermost first: package/module.py:line function."""
    frames = list(walk_tb(error.__traceback__))[-_FRAMES:]
    return "\n".join(
        f"{'/'.join(PurePath(frame.f_code.co_filename).parts[-2:])}:{line} {frame.f_code.co_name}"
        for frame, line in frames
    )


def attempted_call(record: OpenSpan, call_tag: str) -> str:
    """The call that `record` is the outermost span of an attempt of; "" for a part of one."""
    call = record.tags.get(call_tag)
    within = record.parent.tags.get(call_tag) if record.parent is not None else None
    return call if isinstance(call, str) and call != within else ""


def note_attempt(record: OpenSpan, call_tag: str) -> None:
    """`record` failed: remember it if it was a call's first attempt."""
    above = record.parent.visible if record.parent is not None else None
    if above is None or record.span is None or record.unsampled:
        return
    call = attempted_call(record, call_tag)
    if not call:
        return
    if above.failed_calls is None:
        above.failed_calls = {}
    above.failed_calls.setdefault(call, record.span.get_span_context())


def first_attempt(record: OpenSpan, call: str) -> tuple[Link, ...]:
    """The link from a later attempt to the first; none where that had no span."""
    above = record.parent.visible if record.parent is not None else None
    failed = above.failed_calls if above is not None else None
    first = failed.get(call) if failed is not None else None
    return (Link(first),) if first is not None else ()
