"""A call that is repeated: the spans of later attempts are linked to the first one's.

Whoever repeats calls says so by two instrument tags around each attempt: a name for the call and
the attempt's number. The outermost span of an attempt that failed is remembered by the span above
it, and forgotten with that.
"""

from typing import Final

from opentelemetry.trace import Link

from foliotrace_otel.open_span import OpenSpan

CALL_TAG: Final = "foliotrace.call"
ATTEMPT_TAG: Final = "foliotrace.attempt"


def is_attempt(record: OpenSpan) -> bool:
    """Whether `record` is the outermost span of an attempt, and not only a part of one."""
    call = record.tags.get(CALL_TAG)
    within = record.parent.tags.get(CALL_TAG) if record.parent is not None else None
    return isinstance(call, str) and call != within


def note_attempt(record: OpenSpan) -> None:
    """`record` failed: remember it if it was a call's first attempt."""
    above = record.parent.shown if record.parent is not None else None
    if above is None or record.span is None or record.unsampled or not is_attempt(record):
        return
    if above.failed_calls is None:
        above.failed_calls = {}
    above.failed_calls.setdefault(record.tags[CALL_TAG], record.span.get_span_context())


def first_attempt(record: OpenSpan) -> tuple[Link, ...]:
    """The link from a later attempt to the first; none where that had no span."""
    above = record.parent.shown if record.parent is not None else None
    failed = above.failed_calls if above is not None else None
    found = failed.get(record.tags[CALL_TAG]) if failed is not None else None
    return (Link(found),) if found is not None else ()
