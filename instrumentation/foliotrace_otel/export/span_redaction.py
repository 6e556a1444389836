"""Redacting finished spans where they leave the process, in the export thread."""

import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Final

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Link, Status
from opentelemetry.util.types import AnyValue

from foliotrace_detect import Detector, SensitiveKind
from foliotrace_otel import semconv

_MOST_REMEMBERED: Final = 4096
_LONGEST_REMEMBERED: Final = 256
_SENSITIVE_NAME: Final = re.compile(
    r"(?i)(?:^|[._-])(?:authorization|cookie|set-cookie|passw(?:or)?d|secret|api[_-]?key|x-api-key"
    r"|access[_-]?token|refresh[_-]?token|private[_-]?key|credentials?)$"
)


def is_sensitive_name(name: str) -> bool:
    """Whether an attribute or header of this name holds a secret, whatever its value."""
    return _SENSITIVE_NAME.search(name) is not None


class Redactor:
    """Replaces what the rules find by `<KIND:token>`.

    The same value gets the same token under the same key, so traces stay searchable; the token is a
    keyed hash, so it cannot be turned back by trying values. Without a key, one is drawn per
    process. Texts seen before are remembered up to a bound. Safe to use from several threads.
    """

    __slots__ = ("_detector", "_key", "_remembered")

    def __init__(self, key: bytes | None = None, *, any_sixteen_digits: bool = False) -> None:
        self._detector = Detector(any_sixteen_digits=any_sixteen_digits)
        self._key = key or secrets.token_bytes(32)
        self._remembered: dict[str, str] = {}

    def redact(self, text: str) -> str:
        """`text` with every find replaced."""
        known = self._remembered.get(text)
        if known is not None:
            return known
        redacted = self._detector.replace(text, self._token)
        if len(text) <= _LONGEST_REMEMBERED:
            if len(self._remembered) >= _MOST_REMEMBERED:  # cheaper than evicting one by one
                self._remembered.clear()
            self._remembered[text] = redacted
        return redacted

    def secret(self, value: str) -> str:
        """The token for a value that is secret by its name."""
        return self._token(SensitiveKind.SECRET, value)

    def pseudonym(self, name: str) -> str:
        """A name that stands for `name` and does not tell it: the same under the same key."""
        return hmac.digest(self._key, f"user|{name}".encode("utf-8", "replace"), "sha256")[:8].hex()

    def _token(self, kind: str, value: str) -> str:
        digest = hmac.digest(self._key, f"{kind}|{value}".encode("utf-8", "replace"), "sha256")
        return f"<{kind}:{digest[:6].hex()}>"


class SpanRedactor:
    """Redacts names, attributes, events, links, status and resource of a span.

    Content attributes are removed unless `content`, which leaves them in, redacted. Our own spans
    carry none without capture; this is for spans of other instrumentations.
    """

    def __init__(self, redactor: Redactor, *, content: bool) -> None:
        self._redactor = redactor
        self._content = content

    def text(self, text: str) -> str:
        """A name or description."""
        return self._redactor.redact(text)

    def may_leave(self, key: str) -> bool:
        """Whether an attribute of this name may leave at all."""
        return self._content or not semconv.is_content(key)

    def attributes(self, attributes: Mapping[str, AnyValue] | None) -> dict[str, AnyValue]:
        """Attributes without secrets, personal data or (by default) content."""
        if not attributes:
            return {}
        return {
            self._redactor.redact(key): self.value(key, value)
            for key, value in attributes.items()
            if self.may_leave(key)
        }

    def value(self, key: str, value: AnyValue) -> AnyValue:
        """One attribute's value, by its own look and by its name's."""
        if isinstance(value, bool | float) or value is None:
            return value
        if is_sensitive_name(key):
            return self._redactor.secret(str(value))
        return self._inner(value)

    def _inner(self, value: AnyValue) -> AnyValue:
        if isinstance(value, str):
            return self._redactor.redact(value)
        if isinstance(value, int) and not isinstance(value, bool):
            redacted = self._redactor.redact(str(value)) if abs(value) > 10**11 else None
            return value if redacted in (None, str(value)) else redacted
        if isinstance(value, Mapping):
            return {self._redactor.redact(str(k)): self.value(str(k), v) for k, v in value.items()}
        if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
            return [self._inner(item) for item in value]
        if isinstance(value, bytes | bytearray):
            return self._redactor.redact(bytes(value).decode("utf-8", "replace"))
        return value

    def span(self, span: ReadableSpan) -> ReadableSpan:
        """A redacted copy; the original stays as it is for other processors."""
        return ReadableSpan(
            name=self.text(span.name),
            context=span.get_span_context(),
            parent=span.parent,
            resource=span.resource.__class__(
                dict(self.attributes(span.resource.attributes)),
                span.resource.schema_url,
            ),
            attributes=self.attributes(span.attributes),
            events=[
                Event(self.text(e.name), self.attributes(e.attributes), e.timestamp)
                for e in span.events
            ],
            links=[Link(k.context, self.attributes(k.attributes)) for k in span.links],
            kind=span.kind,
            status=self.status(span.status),
            start_time=span.start_time,
            end_time=span.end_time,
            instrumentation_scope=span.instrumentation_scope,
        )

    def status(self, status: Status) -> Status:
        """The same status with a redacted description."""
        if not status.description:
            return status
        return Status(status.status_code, self.text(status.description))


class WrappedExporter(SpanExporter):
    """A span exporter around another; subclasses change `export`."""

    def __init__(self, exporter: SpanExporter) -> None:
        self.exporter = exporter

    def shutdown(self) -> None:
        """Shut the inner exporter down."""
        self.exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flush the inner exporter."""
        return self.exporter.force_flush(timeout_millis)


class RedactingExporter(WrappedExporter):
    """Any span exporter, fed with redacted copies."""

    def __init__(self, exporter: SpanExporter, redactor: SpanRedactor) -> None:
        super().__init__(exporter)
        self._redactor = redactor

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export redacted copies of `spans`."""
        return self.exporter.export([self._redactor.span(span) for span in spans])
