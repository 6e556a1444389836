"""Finished spans to OTLP bytes, redacted on the way; about a quarter of the SDK encoder's CPU.

The Python cost of a span is mostly its encoding (reference: 46 us with the SDK's encoder). Most
attributes repeat from span to span, so an encoded (key, value) pair is remembered, redaction
included, and a known span is little more than joining bytes. Equality with the SDK's encoder is a
property test. Wire format: opentelemetry/proto/trace/v1/trace.proto, version 1.
"""

from collections.abc import Mapping, Sequence
from struct import Struct
from typing import Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode
from opentelemetry.util.types import AnyValue

from foliotrace_otel.export.span_redaction import SpanRedactor
from foliotrace_otel.sdk_internals.fast_span import (
    FastSpan,
    PlainParts,
    origin_of,
    plain_parts,
)

_MOST_REMEMBERED: Final = 8192
_LONGEST_REMEMBERED: Final = 128
_TIMES: Final = Struct("<BQBQ")  # fields 7 and 8, fixed64
_FIXED32: Final = Struct("<I")
_DOUBLE: Final = Struct("<d")
# Span.flags (field 16, fixed32): bit 8 says that bit 9, whether the parent is remote, is known.
_FLAGS_LOCAL: Final = b"\x85\x01" + _FIXED32.pack(0x100)
_FLAGS_REMOTE: Final = b"\x85\x01" + _FIXED32.pack(0x300)
_NO_STATUS: Final = b"\x7a\x00"
_ONE_BYTE: Final = tuple(bytes((number,)) for number in range(0x80))
# Fields 1 and 2 (ids of trace and span) with their tags and lengths, and field 4 (the parent's id).
_OWN_IDS: Final = (0x0A10 << 208) | (0x1208 << 64)
_PARENT_ID: Final = 0x2208 << 64
# By identity, because hashing a member of an enumeration, or reading its value, calls a function.
# Field 6; OTLP counts kinds from 1, the SDK from 0.
_KINDS: Final = {id(kind): bytes((0x30, kind.value + 1)) for kind in SpanKind}


def varint(number: int) -> bytes:
    """A protobuf varint of a number that is not negative."""
    if number < 0x80:
        return _ONE_BYTE[number]
    if number < 0x4000:
        return bytes((number & 0x7F | 0x80, number >> 7))
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def framed(tag: bytes, body: bytes) -> bytes:
    """A length-delimited field."""
    return b"".join((tag, varint(len(body)), body))


class SpanEncoder:
    """Encodes batches into `ExportTraceServiceRequest` bytes. Used by one export thread."""

    def __init__(self, redactor: SpanRedactor) -> None:
        self.redactor = redactor
        self._generation = redactor.generation
        self._pairs: dict[tuple[str, type, object], bytes] = {}
        self._names: dict[str, bytes] = {}
        self._keys: dict[str, bytes] = {}

    def request(self, spans: Sequence[ReadableSpan]) -> bytes:
        """The request's bytes: spans grouped by resource and scope."""
        if self._generation != self.redactor.generation:  # what is remembered may be redacted now
            self._generation = self.redactor.generation
            for remembered in (self._pairs, self._names, self._keys):
                remembered.clear()
        groups: dict[
            int, tuple[Resource, dict[int, tuple[InstrumentationScope | None, list[bytes]]]]
        ]
        groups = {}  # by identity: hashing a Resource costs more than encoding a span
        before: tuple[object, object] = (None, None)
        encoded: list[bytes] = []
        for span in spans:
            origin = origin_of(span) if type(span) is FastSpan else _origin_of(span)
            resource, scope = origin
            if resource is not before[0] or scope is not before[1]:
                before = origin
                _, scopes = groups.setdefault(id(resource), (resource, {}))
                encoded = scopes.setdefault(id(scope), (scope, []))[1]
            body = self.span(span)
            encoded += (b"\x12", varint(len(body)), body)
        return b"".join(
            framed(b"\x0a", self._resource_spans(resource, list(scopes.values())))
            for resource, scopes in groups.values()
        )

    def span(self, span: ReadableSpan) -> bytes:
        """One `Span` message."""
        plain = plain_parts(span) if type(span) is FastSpan else None
        if plain is not None:
            return self._plain(plain)
        context = span.get_span_context()
        if context is None:
            return b""
        parent = span.parent
        parts = [(_OWN_IDS | context.trace_id << 80 | context.span_id).to_bytes(28, "big")]
        if context.trace_state and (state := self.redactor.trace_state(context.trace_state)):
            parts.append(framed(b"\x1a", state.encode()))
        if parent is not None:
            parts.append((_PARENT_ID | parent.span_id).to_bytes(10, "big"))
        parts.append(self._name(span.name))
        parts.append(_KINDS[id(span.kind)])
        parts.append(_TIMES.pack(0x39, span.start_time or 0, 0x41, span.end_time or 0))
        if attributes := span.attributes:
            parts += self._framed_pairs(attributes)
        if span.dropped_attributes:
            parts.append(b"\x50" + varint(span.dropped_attributes))
        for event in span.events:
            body = b"".join(
                (
                    b"\x09",
                    event.timestamp.to_bytes(8, "little"),
                    framed(b"\x12", self.redactor.text(event.name).encode("utf-8", "replace")),
                    self._attributes(b"\x1a", event.attributes or {}),
                    b"\x20" + varint(event.dropped_attributes) if event.dropped_attributes else b"",
                )
            )
            parts.append(framed(b"\x5a", body))
        if span.dropped_events:
            parts.append(b"\x60" + varint(span.dropped_events))
        for link in span.links:
            parts.append(framed(b"\x6a", self._link(link.context, link.attributes or {})))
        if span.dropped_links:
            parts.append(b"\x70" + varint(span.dropped_links))
        status = span.status
        if status.status_code is StatusCode.UNSET and not status.description:
            parts.append(_NO_STATUS)
        else:
            parts.append(self._status(status))
        remote = parent is not None and parent.is_remote
        parts.append(_FLAGS_REMOTE if remote else _FLAGS_LOCAL)
        return b"".join(parts)

    def _plain(self, span: PlainParts) -> bytes:
        trace_id, span_id, parent, name, kind, start_ns, end_ns, attributes = span
        parts = [(_OWN_IDS | trace_id << 80 | span_id).to_bytes(28, "big")]
        flags = _FLAGS_LOCAL
        if parent is not None:
            parts.append((_PARENT_ID | parent[1]).to_bytes(10, "big"))
            if parent[2]:
                flags = _FLAGS_REMOTE
        parts += (
            self._names.get(name) or self._name(name),
            _KINDS[id(kind)],
            _TIMES.pack(0x39, start_ns, 0x41, end_ns),
            *self._framed_pairs(attributes),
            _NO_STATUS,
            flags,
        )
        return b"".join(parts)

    def _resource_spans(
        self,
        resource: Resource,
        scopes: Sequence[tuple[InstrumentationScope | None, Sequence[bytes]]],
    ) -> bytes:
        parts = [framed(b"\x0a", self._attributes(b"\x0a", resource.attributes))]
        for scope, spans in scopes:
            head = schema = b""
            if scope is not None:
                head = framed(b"\x0a", self._text(scope.name))
                if scope.version:
                    head += framed(b"\x12", self._text(scope.version))
                head += self._attributes(b"\x1a", scope.attributes or {})
                schema = self._text(scope.schema_url or "")
            tail = framed(b"\x1a", schema) if schema else b""
            parts.append(framed(b"\x12", b"".join((framed(b"\x0a", head), *spans, tail))))
        if resource.schema_url:
            parts.append(framed(b"\x1a", self._text(resource.schema_url)))
        return b"".join(parts)

    def _link(self, context: SpanContext, attributes: Mapping[str, AnyValue]) -> bytes:
        state = self.redactor.trace_state(context.trace_state).encode()
        return b"".join(
            (
                b"\x0a\x10",
                context.trace_id.to_bytes(16, "big"),
                b"\x12\x08",
                context.span_id.to_bytes(8, "big"),
                framed(b"\x1a", state) if state else b"",
                self._attributes(b"\x22", attributes),
                b"\x35" + _FIXED32.pack(0x300 if context.is_remote else 0x100),
            )
        )

    def _status(self, status: Status) -> bytes:
        body = b""
        if status.description:
            text = self.redactor.text(status.description)
            body = framed(b"\x12", text.encode("utf-8", "replace"))
        if status.status_code.value:
            body += bytes((0x18, status.status_code.value))
        return framed(b"\x7a", body)

    def _text(self, text: str) -> bytes:
        return self.redactor.text(text).encode("utf-8", "replace")

    def _name(self, name: str) -> bytes:
        known = self._names.get(name)
        if known is None:
            if len(self._names) >= _MOST_REMEMBERED:
                self._names.clear()
            text = self.redactor.text(name)
            known = self._names[name] = framed(b"\x2a", text.encode("utf-8", "replace"))
        return known

    def _framed_pairs(self, attributes: Mapping[str, AnyValue]) -> list[bytes]:
        """The attributes of a span, each as field 9 of its message."""
        parts: list[bytes] = []
        known = self._pairs
        for key, value in attributes.items():
            # The type is part of the key because 1, 1.0 and True are equal. Floats and tuples
            # (times, scores, ids) hardly ever repeat and would only push out what does.
            kind = type(value)
            if kind is float or kind is tuple:
                parts.append(_field_9(self._pair(key, value)))
                continue
            try:
                parts.append(known[key, kind, value])
            except KeyError:
                parts.append(self._new_pair(key, kind, value))
            except TypeError:  # a value that cannot be a dictionary key
                parts.append(_field_9(self._pair(key, value)))
        return parts

    def _attributes(self, tag: bytes, attributes: Mapping[str, AnyValue]) -> bytes:
        """The attributes of something else: a resource, a scope, an event, a link."""
        pairs = (self._pair(key, value) for key, value in attributes.items())
        return b"".join(framed(tag, pair) for pair in pairs if pair)

    def _new_pair(self, key: str, kind: type, value: AnyValue) -> bytes:
        body = _field_9(self._pair(key, value))
        if len(body) <= _LONGEST_REMEMBERED:
            if len(self._pairs) >= _MOST_REMEMBERED:
                self._pairs.clear()
            self._pairs[key, kind, value] = body
        return body

    def _pair(self, key: str, value: AnyValue) -> bytes:
        name = self._keys.get(key)
        if name is None:
            name = self._new_key(key)
        if not name:
            return b""
        if type(value) is float:
            return b"".join((name, b"\x12\x09\x21", _DOUBLE.pack(value)))
        return name + framed(b"\x12", any_value(self.redactor.value(key, value)))

    def _new_key(self, key: str) -> bytes:
        """The encoded key, or nothing for an attribute that must not leave."""
        name = b""
        if self.redactor.may_leave(key):
            name = framed(b"\x0a", self.redactor.text(key).encode("utf-8", "replace"))
        if len(self._keys) >= _MOST_REMEMBERED:
            self._keys.clear()
        self._keys[key] = name
        return name


def _origin_of(span: ReadableSpan) -> tuple[Resource, InstrumentationScope | None]:
    return span.resource, span.instrumentation_scope


def _field_9(pair: bytes) -> bytes:
    return framed(b"\x4a", pair) if pair else b""


def any_value(value: AnyValue) -> bytes:
    """The body of an `AnyValue` message; empty for None."""
    if isinstance(value, str):
        return framed(b"\x0a", value.encode("utf-8", "replace"))
    if isinstance(value, bool):
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, int):
        return b"\x18" + varint(value & 0xFFFFFFFFFFFFFFFF)
    if isinstance(value, float):
        return b"\x21" + _DOUBLE.pack(value)
    if isinstance(value, bytes | bytearray):
        return framed(b"\x3a", bytes(value))
    if isinstance(value, Mapping):
        pairs = (
            framed(b"\x0a", framed(b"\x0a", str(k).encode()) + framed(b"\x12", any_value(v)))
            for k, v in value.items()
        )
        return framed(b"\x32", b"".join(pairs))
    if isinstance(value, Sequence):
        return framed(b"\x2a", b"".join(framed(b"\x0a", any_value(item)) for item in value))
    return b""
