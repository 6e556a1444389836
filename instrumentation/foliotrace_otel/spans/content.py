"""Whether and how much content (queries, prompts, passages, answers) may go on spans.

Default: none. Switched on by `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`; what then goes
is cut to a length here and redacted at the export boundary, always under a name of
`semconv.CONTENT_ATTRIBUTES`, so that a collector can keep it from a back end.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

_ON = frozenset({"true", "1", "span_only", "span_and_event"})
_OFF = frozenset({"", "false", "0", "no_content", "event_only"})


@dataclass(frozen=True, slots=True)
class ContentPolicy:
    """`capture`: put content on spans. `most_chars`: the length each text is cut to."""

    capture: bool = False
    most_chars: int = 4096

    @staticmethod
    def parse(value: str) -> "bool | None":
        """The standard variable's value as a switch; None if it is no known value.

        `EVENT_ONLY` puts nothing on spans, and this package sends no content events.
        """
        lowered = value.strip().lower()
        if lowered in _ON:
            return True
        return False if lowered in _OFF else None

    def cut(self, text: str) -> str:
        """`text`, cut to the length, with a mark where something was left out."""
        return text if len(text) <= self.most_chars else text[: self.most_chars - 1] + "…"

    def messages(self, messages: Iterable[tuple[str, str]]) -> str:
        """(role, text) pairs in the conventions' JSON form for messages."""
        return orjson.dumps(
            [
                {"role": role, "parts": [{"type": "text", "content": self.cut(text)}]}
                for role, text in messages
            ]
        ).decode()

    def documents(self, passages: Iterable[Mapping[str, Any]]) -> str:
        """Retrieved passages (`id`, `score`, `content`) as JSON."""
        return orjson.dumps(
            [{**p, "content": self.cut(str(p["content"]))} for p in passages]
        ).decode()
