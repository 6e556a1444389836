"""A call that is repeated: the spans of later attempts are linked to the first one's.

Whoever repeats calls says so by two instrument tags around each attempt: a name for the call
(`<namespace>.call`) and the attempt's number. The outermost span of an attempt that failed is
remembered by the span above it, and forgotten with that.
"""

from opentelemetry.trace import Link

from foliotrace_otel.open_span import OpenSpan


def attempted_call(record: OpenSpan, call_tag: str) -> str:
    """The call that `record` is the outermost span of an attempt of; "" for a part of one."""
    call = record.tags.get(call_tag)
    within = record.parent.tags.get(call_tag) if record.parent is not None else None
    return call if isinstance(call, str) and call != within else ""


def note_attempt(record: OpenSpan, call_tag: str) -> None:
    """`record` failed: remember it if it was a call's first attempt."""
    above = record.parent.shown if record.parent is not None else None
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
    above = record.parent.shown if record.parent is not None else None
    failed = above.failed_calls if above is not None else None
    found = failed.get(call) if failed is not None else None
    return (Link(found),) if found is not None else ()
