"""Session, user, tags and metadata of what runs inside a `with`, on every span there."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import ClassVar, Final

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span, SpanProcessor

from foliotrace_otel.export.span_redaction import Redactor
from foliotrace_otel.semconv import Attribute

_KEY: Final = "foliotrace_otel.run_attributes"
_USER: Final = "user.id"


@contextmanager
def using_attributes(
    *,
    session_id: str | None = None,
    user_id: str | None = None,
    tags: Sequence[str] = (),
    metadata: Mapping[str, str] | None = None,
) -> Iterator[None]:
    """Put these on each span that starts inside; what an outer `with` gave stays.

    A user's id leaves as a pseudonym, which is the same under the same `redaction_key`.
    """
    attributes_of_run: dict[str, Attribute] = dict(_current(otel_context.get_current()))
    if session_id is not None:
        attributes_of_run |= {
            "session.id": session_id,
            "gen_ai.conversation.id": session_id,
            "langsmith.trace.session_id": session_id,
        }
    if user_id is not None:
        attributes_of_run[_USER] = user_id
    if tags:
        attributes_of_run |= {"tag.tags": tuple(tags), "langsmith.span.tags": ",".join(tags)}
    for name, value in (metadata or {}).items():
        attributes_of_run[f"langsmith.metadata.{name}"] = value
    token = otel_context.attach(otel_context.set_value(_KEY, attributes_of_run))
    try:
        yield
    finally:
        otel_context.detach(token)


def _current(context: Context) -> Mapping[str, Attribute]:
    attributes_of_run = context.get(_KEY)
    return attributes_of_run if isinstance(attributes_of_run, Mapping) else {}


class RunAttributes(SpanProcessor):
    """Sets them when a span starts."""

    starts_with: ClassVar = _KEY

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Set what the context around the span holds."""
        context = otel_context.get_current() if parent_context is None else parent_context
        if _KEY not in context:
            return
        for name, value in _current(context).items():
            exported = value
            if name == _USER:
                self._redactor.learn_person(str(value))
                exported = self._redactor.pseudonym(str(value))
            span.set_attribute(name, exported)
