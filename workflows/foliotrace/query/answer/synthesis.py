"""A synthesised answer before redaction, the stream it goes to, and its notices."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, TypeVar

from foliotrace.model import AnswerContent, AnswerMode, Level
from foliotrace.query.answer.grounding.sentences import Grounder
from foliotrace.query.answer.quotes import Quote
from foliotrace.query.answer.quoting.pieces import joined_lines
from foliotrace.query.subjects.subject_check import Subjects

Noted = TypeVar("Noted", bound=AnswerContent)

NOTICE_QUOTES: Final = "No language model is configured: these passages are quoted word for word."
NOTICE_FALLBACK: Final = "No language model could answer: these passages are quoted word for word."
NOTICE_BUDGET: Final = (
    "The budget does not allow asking a language model: these passages are quoted word for word."
)
NOTICE_UNVERIFIED: Final = (
    "The passages do not verify what the language model answered: they are quoted word for word."
)
NOTICE_CUT: Final = "The answer was cut short: it reached its limit of length or of cost."
ABSTAINED: Final = (
    "The documents do not answer this question: no passage covers enough of what was asked."
)
ABSTAINED_EMPTY: Final = "The documents do not answer this question: no passage was found."
ABSTAINED_MISSING: Final = (
    "The documents do not answer this question: they hold nothing about {missing}."
)
NOTICE_MISSING: Final = "The question names {missing}, which the documents do not cover."
ABSTAINED_LLM: Final = "The documents do not answer this question."


class AnswerStream(Protocol):
    """Receives an answer while it is being made."""

    @property
    def started(self) -> bool:
        """Whether text has left: then no other text may replace it."""
        ...

    def send(self, text: str) -> None:
        """Send whole sentences, now or as soon as redaction can decide about them."""
        ...

    def discard_unsent(self) -> None:
        """Drop text that has not left yet, because another text replaces it."""
        ...

    def degraded(self, level: Level, reasons: Sequence[str]) -> None:
        """Emit that the answer is at `level` or worse, before more of its text."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Synthesis(AnswerContent):
    """The answer before redaction. `generator` is the LLM's place in the order, None for none.

    `reasons` say why it is not a better one; `age_s` and `origin` belong to a stale answer.
    """

    text: str
    mode: AnswerMode
    generator: int | None = None
    reasons: tuple[str, ...] = ()
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class Degradations:
    """Why the answer is not the best one; each reason is sent to the stream at once."""

    stream: AnswerStream | None = None
    reasons: list[str] = field(default_factory=list)

    def add(self, reason: str, level: Level) -> None:
        """Add a reason, and the level that it leads to at least."""
        self.reasons.append(reason)
        if self.stream is not None:
            self.stream.degraded(level, (reason,))


class GroundedText:
    """The supported sentences of an LLM's text, which also go to the stream."""

    def __init__(self, grounder: Grounder, stream: AnswerStream | None) -> None:
        self.grounder = grounder
        self.stream = stream
        self.text = ""

    def add(self, text: str) -> None:
        """Check the next piece of the text."""
        self._append(self.grounder.feed(text))

    def finish(self) -> None:
        """Check what is left at the end of the text."""
        self._append(self.grounder.finish())

    def _append(self, supported: str) -> None:
        if supported:
            self.text += supported
            if self.stream is not None:
                self.stream.send(supported)

    def discard(self) -> bool:
        """Drop the text; False when some of it has left already."""
        if self.stream is None:
            return True
        if self.stream.started:
            return False
        self.stream.discard_unsent()
        return True


def abstained(
    text: str,
    subjects: Subjects,
    *,
    generator: int | None = None,
    reasons: tuple[str, ...] = (),
) -> Synthesis:
    """An abstention, which names what is missing where that is the cause, else says `text`."""
    missing = listed(subjects.missing)
    return Synthesis(
        text=ABSTAINED_MISSING.format(missing=missing) if missing else text,
        mode=AnswerMode.ABSTAINED,
        generator=generator,
        notice=NOTICE_MISSING.format(missing=missing) if missing else None,
        reasons=reasons,
    )


def with_notice(noted: Noted, text: str | None) -> Noted:
    """The same answer with `text` before what its notice says already."""
    if not text:
        return noted
    return replace(noted, notice=" ".join(filter(None, (text, noted.notice))))


def listed(missing: Sequence[str]) -> str:
    """The names in quotation marks, as a list in a sentence."""
    return ", ".join(f"\u201c{name}\u201d" for name in missing)


def rendered(quote: Quote, marker: int, *, labelled: bool = False) -> str:
    """A quote in the answer's text: a row below its header, a sentence in quotation marks.

    With `labelled`, the name of its document stands in front.
    """
    label = f"{quote.passage.document_name}: " if labelled else ""
    if quote.span.header:
        return f"{label}{quote.span.header}\n{quote.text} [{marker}]"
    return f"{label}\u201c{joined_lines(quote.text)}\u201d [{marker}]"
