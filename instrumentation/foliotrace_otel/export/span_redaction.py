"""Redacting finished spans where they leave the process, in the export thread."""

import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Any, Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, Status, TraceState
from opentelemetry.util.types import AnyValue

from foliotrace_detect import Detector, NameRule, Rule, SensitiveKind
from foliotrace_otel import semconv
from foliotrace_otel.sdk_internals.fast_span import FastSpan, plain_parts

_MOST_REMEMBERED: Final = 4096
_LONGEST_REMEMBERED: Final = 256
_MOST_PEOPLE: Final = 10_000
_MOST_WORDS: Final = 6
_WORDS: Final = re.compile(r"[^\W\d_]{2,}")
UNREDACTABLE: Final = "<REDACTION_FAILED>"
"""In place of a text on which a rule of the program failed."""
_SAMPLING_STATE: Final = re.compile(r"(?:(?:th|rv):[0-9a-f]{1,14};?){1,2}")
_OWN_ADDRESS: Final = frozenset(
    {"server.address", "network.peer.address", "network.local.address", "host.ip", "host.mac"}
)
"""Addresses of servers, which are nobody's."""
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
    `rules` are the program's own, and run before ours. `generation` grows whenever the same text
    may be redacted in another way than before.
    """

    __slots__ = ("_detector", "_key", "_people", "_remembered", "generation")

    def __init__(
        self,
        key: bytes | None = None,
        *,
        any_sixteen_digits: bool = False,
        rules: Sequence[Rule] = (),
    ) -> None:
        self._people = NameRule()
        everything = (*rules, self._people)
        self._detector = Detector(any_sixteen_digits=any_sixteen_digits, more=everything)
        self.generation = 0
        self._key = key or secrets.token_bytes(32)
        self._remembered: dict[str, str] = {}

    def use_key(self, key: bytes) -> None:
        """Make tokens with `key` from now on; for a program that opens its keys after tracing."""
        self._key = key
        self._forget()

    def learn_person(self, name: str) -> None:
        """Replace `name` from now on: of a user, or of a party of a document.

        Two words or more: an id or a role ("support") would take common words out of every text.
        """
        words = _WORDS.findall(name) if "@" not in name else ()  # an address has a rule
        if 2 <= len(words) <= _MOST_WORDS and self._people.learn(
            " ".join(words), most=_MOST_PEOPLE
        ):
            self._forget()

    def _forget(self) -> None:
        self._remembered = {}
        self.generation += 1

    def redact(self, text: str) -> str:
        """`text` with every find replaced."""
        known = self._remembered.get(text)
        if known is not None:
            return known
        try:
            redacted = self._detector.replace(text, self._token)
        except Exception:  # noqa: BLE001 - a rule of the program's own failed: nothing may pass
            return UNREDACTABLE
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
        self._generation = redactor.generation
        # By identity, with what the id stands for, so that no other object can come to have it.
        self._resources: dict[int, tuple[Resource, Resource]] = {}
        self._scopes: dict[int, tuple[InstrumentationScope, InstrumentationScope]] = {}
        self._unchanged: set[tuple[str, type, object]] = set()

    @property
    def generation(self) -> int:
        """Changes when the same text may be redacted in another way than before."""
        return self._redactor.generation

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
        if key in _OWN_ADDRESS and isinstance(value, str) and _is_ip(value):
            return value
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

    def trace_state(self, state: TraceState) -> str:
        """What may leave of `tracestate`: how OpenTelemetry sampled. Vendors put anything there."""
        sampling = state.get("ot") if state else None
        if sampling is None or not _SAMPLING_STATE.fullmatch(sampling):
            return ""
        return f"ot={sampling}"

    def scope(self, scope: InstrumentationScope) -> InstrumentationScope:
        """The same scope, redacted."""
        return InstrumentationScope(
            self.text(scope.name),
            self.text(scope.version) if scope.version else scope.version,
            self.text(scope.schema_url) if scope.schema_url else scope.schema_url,
            dict(self.attributes(scope.attributes)),
        )

    def resource(self, resource: Resource) -> Resource:
        """The same resource, redacted."""
        return Resource(dict(self.attributes(resource.attributes)), self.text(resource.schema_url))

    def span(self, span: ReadableSpan) -> ReadableSpan:
        """`span` itself if nothing in it is to be replaced, else a redacted copy.

        The original stays as it is for other processors.
        """
        if self._generation != self.generation:
            self._generation = self.generation
            self._resources.clear()
            self._scopes.clear()
            self._unchanged.clear()
        if type(span) is FastSpan and self._stays(span):
            return span
        return ReadableSpan(
            name=self.text(span.name),
            context=self._context(span.get_span_context()),
            parent=self._context(span.parent),
            resource=self._resource_of(span.resource),
            attributes=self.attributes(span.attributes),
            events=[
                Event(self.text(e.name), self.attributes(e.attributes), e.timestamp)
                for e in span.events
            ],
            links=[
                Link(self._context(k.context) or k.context, self.attributes(k.attributes))
                for k in span.links
            ],
            kind=span.kind,
            status=self.status(span.status),
            start_time=span.start_time,
            end_time=span.end_time,
            instrumentation_scope=self._scope_of(span.instrumentation_scope),
        )

    def _stays(self, span: FastSpan) -> bool:
        """Whether a copy of `span` would be its equal; a seventh of the CPU of making one."""
        plain = plain_parts(span)
        scope = span.instrumentation_scope
        if plain is None or self._resource_of(span.resource) is not span.resource:
            return False
        if self._scope_of(scope) is not scope or not self._keeps("", span.name):
            return False
        return all(self._keeps(key, value) for key, value in plain[-1].items())

    def _keeps(self, key: str, value: AnyValue) -> bool:
        """Whether this attribute leaves as it is; a key of "" stands for a name."""
        kind = type(value)
        if kind is not str and kind is not int and kind is not bool and kind is not float:
            return False
        known = (key, kind, None if kind is float else value)
        if known in self._unchanged:
            return True
        kept = self.may_leave(key) and self.text(key) == key and self.value(key, value) == value
        if kept:
            if len(self._unchanged) >= _MOST_REMEMBERED:
                self._unchanged.clear()
            self._unchanged.add(known)
        return kept

    def _resource_of(self, resource: Resource) -> Resource:
        """Redacted once: it is the same object for all spans of a provider."""
        known = self._resources.get(id(resource))
        if known is None:
            self._bound(self._resources)
            redacted = self.resource(resource)
            kept = resource if redacted == resource else redacted
            known = self._resources[id(resource)] = (resource, kept)
        return known[1]

    def _scope_of(self, scope: InstrumentationScope | None) -> InstrumentationScope | None:
        if scope is None:
            return None
        known = self._scopes.get(id(scope))
        if known is None:
            self._bound(self._scopes)
            redacted = self.scope(scope)
            known = self._scopes[id(scope)] = (scope, scope if redacted == scope else redacted)
        return known[1]

    @staticmethod
    def _bound(remembered: dict[int, Any]) -> None:
        if len(remembered) >= _MOST_REMEMBERED:
            remembered.clear()

    def _context(self, context: SpanContext | None) -> SpanContext | None:
        if context is None or not context.trace_state:
            return context
        return SpanContext(
            context.trace_id,
            context.span_id,
            context.is_remote,
            context.trace_flags,
            TraceState.from_header([self.trace_state(context.trace_state)]),
        )

    def status(self, status: Status) -> Status:
        """The same status with a redacted description."""
        if not status.description:
            return status
        return Status(status.status_code, self.text(status.description))


def _is_ip(text: str) -> bool:
    try:
        return bool(ip_address(text))
    except ValueError:
        return False
