"""Lines of a mail's or memo's header that answer a question by their label. Pure; English."""

import re
from collections.abc import Callable, Sequence
from typing import Final

from foliotrace.model import Passage
from foliotrace.query.answer.quotes import Quote
from foliotrace.query.answer.quoting.passage_terms import PassageTerms, QuoteSpan
from foliotrace.query.subjects.asked_names import asked_names

_ABOUT_MAIL: Final = re.compile(
    r"\b(?:e-?)?mails?\b|\bmessages?\b|\bmemo(?:s|randum)?\b|\bletter\b", re.I
)
_ASKED: Final = (
    (re.compile(r"\bbcc\b|\bblind\b", re.I), ("bcc",)),
    (re.compile(r"\bcc(?:'?ed|'d)?\b|\bcopied\b|\bin copy\b", re.I), ("cc",)),
    (
        re.compile(
            r"\bto (?:whom|who|which|what)\b|\bwho (?:received|got)\b|\b(?:recipient|addressee)s?\b"
            r"|\b(?:sent|addressed|go|went|written) to\W*$",
            re.I,
        ),
        ("to",),
    ),
    (
        re.compile(
            r"\bfrom (?:whom|who|which|what|whose)\b|\bwho (?:sent|wrote|mailed|e-?mailed)\b"
            r"|\bsenders?\b|\b(?:by whom|come from|came from|sent from|is it from)\b"
            r"|\bwho(?:se|m)?\b.*\bfrom\W*$",
            re.I,
        ),
        ("from", "sender"),
    ),
    (re.compile(r"\bwhen\b|\b(?:what|which) (?:date|day|time)\b", re.I), ("date", "sent")),
    (re.compile(r"\bsubject(?: line)?\b", re.I), ("subject", "re")),
)
_LINE: Final = re.compile(
    r"^[ \t]*(?P<label>from|sender|to|cc|bcc|date|sent|subject|re):[ \t]*\S[^\n]*", re.I | re.M
)
_LEAST_LABELS: Final = 2  # lines that make a header
_CONFIDENCE: Final = 0.95
_WORDS_OF_MAIL: Final = (
    "e-mail email mail message memo memorandum letter address send sends sent receive received get"
    " got write wrote written mailed emailed addressed copied copy cc bcc blind recipient sender"
    " subject line come came date day time person body title"
)


def header_lines(
    question: str,
    weights: frozenset[str],
    sources: Sequence[tuple[Passage, PassageTerms]],
    terms: Callable[[str], Sequence[str]],
) -> list[Quote] | None:
    """The header lines that the question asks for; None where it asks for none.

    Of mails that hold every name of the question, and most of the other words it is about.
    """
    labels = _labels(question)
    if not labels:
        return None
    names = frozenset(
        t
        for name in asked_names(question)
        if name.capitalised or name.possessive
        for t in terms(" ".join(name.words))
    )
    about = weights - names - frozenset(terms(_WORDS_OF_MAIL))
    found: list[Quote] = []
    headers = 0
    for passage, own in sources:
        lines = list(_LINE.finditer(passage.text))
        if len({line["label"].casefold() for line in lines}) < _LEAST_LABELS:
            continue
        headers += 1
        held = own.terms | own.identity
        if not names <= held or 2 * len(about & held) < len(about):
            continue
        found += [_quote(passage, line) for line in lines if line["label"].casefold() in labels][:1]
    return found if headers else None


def _labels(question: str) -> tuple[str, ...]:
    if not _ABOUT_MAIL.search(question):
        return ()
    return next((labels for asks, labels in _ASKED if asks.search(question)), ())


def _quote(passage: Passage, line: "re.Match[str]") -> Quote:
    text = line.group()
    start = passage.start + line.start() + len(text) - len(text.lstrip())
    span = QuoteSpan(start, passage.start + line.start() + len(text.rstrip()), frozenset())
    return Quote(passage, span, _CONFIDENCE, text.strip())
