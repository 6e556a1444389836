"""Whether a question goes on with an earlier one, and what it then means. Pure.

Rules for English, with the openings of a few other languages. A follow-up names a new period, a new
name or a new attribute; the rest of the question is that of the one before.
"""

import re
from collections.abc import Sequence
from typing import Final

from foliotrace.query.subjects.asked_names import AskedName, asked_names

LONGEST: Final = 12  # words of a follow-up without a pronoun
_OPENS: Final = re.compile(
    r"^(?:and|but|also|what about|how about|and what about|und|et|y|e)\b[\s,]*", re.IGNORECASE
)
_PRONOUN: Final = re.compile(
    r"\b(?P<possessive>its|their|his|her)\b"
    r"|\b(?P<plain>it|they|them|he|she|the company|that company|this company)\b",
    re.IGNORECASE,
)
_SAME: Final = re.compile(
    r"\b(?:that|the same) (?P<what>period|quarter|year|date)\b|\b(?P<then>then)\b", re.IGNORECASE
)
_MONTH: Final = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*\.?"
_PERIOD: Final = re.compile(
    r"(?:\b(?:in|for|at|during|as of|of)\s+)?(?:\bthe\s+)?"
    r"(?:(?:fiscal\s+)?(?:year|quarter|(?:three|six|nine|twelve)\s+months)\s+(?:ended|ending)\s+)?"
    rf"(?:\b{_MONTH}\s+\d{{1,2}},?\s+\d{{4}}\b|\b\d{{1,2}}\.?\s+{_MONTH}\s+\d{{4}}\b"
    r"|\b(?:Q[1-4]|(?:first|second|third|fourth)\s+quarter)(?:\s+(?:of\s+)?(?:fiscal\s+)?(?:FY)?\s*\d{2,4})?\b"
    r"|\b(?:fiscal\s+(?:year\s+)?|FY\s?)?(?:19|20)\d\d\b|\bFY\s?\d\d\b)",
    re.IGNORECASE,
)  # fmt: skip
_AT_END: Final = re.compile(r"[\s?.!]*$")
_INTERROGATIVE: Final = re.compile(
    r"^(?:what|which|who|whom|whose|when|where|why|how|is|are|was|were|do|does|did|has|have|can)\b",
    re.IGNORECASE,
)


def is_follow_up(question: str) -> bool:
    """Whether the question cannot stand alone: it opens like one, or a pronoun needs a name."""
    if _OPENS.match(question):
        return len(question.split()) <= LONGEST
    return not _names(question) and bool(_PRONOUN.search(question) or _SAME.search(question))


def stands_alone(question: str, earlier: Sequence[str]) -> str:
    """The question as it is meant after the `earlier` ones, the oldest first."""
    before = ""
    for text in (*earlier, question):
        before = _rewritten(text, before) if before and is_follow_up(text) else text
    return before


def _rewritten(question: str, before: str) -> str:
    rest = _AT_END.sub("", _OPENS.sub("", question, count=1))
    period = _PERIOD.search(rest)
    names = _names(f"of {rest}")  # its first word does not open a sentence
    remaining = _PERIOD.sub(" ", rest)
    for name in names:
        remaining = remaining.replace(name.text, " ")
    words = re.sub(r"['\u2019]s\b|\b(?:for|in|of|the|at)\b|[^\w\s]", " ", remaining).split()
    if not words:
        changed = _with_period(before, period.group().strip()) if period else before
        return _with_name(changed, names[-1].text) if names else changed
    return _of_the_same(rest, before, names=bool(names), period=bool(period))


def _of_the_same(rest: str, before: str, *, names: bool, period: bool) -> str:
    """Another attribute of what the question before named, in its period."""
    known = _names(before)
    about = known[-1].text if known else ""
    replaced = False
    if about and not names:

        def name(found: "re.Match[str]") -> str:
            nonlocal replaced
            replaced = True
            return f"{about}'s" if found["possessive"] else about

        rest = _PRONOUN.sub(name, rest)
    when = _PERIOD.search(before)
    if when and not period:
        rest = (
            _SAME.sub(when.group().strip(), rest) if _SAME.search(rest) else f"{rest} {_in(when)}"
        )
    if about and not names and not replaced:
        asks = _INTERROGATIVE.match(rest)
        rest = f"{rest} of {about}" if asks else f"{about}'s {rest.removeprefix('the ')}"
    text = rest if _INTERROGATIVE.match(rest) else f"What about {rest}"
    return f"{text}?"


def _in(when: "re.Match[str]") -> str:
    text = when.group().strip()
    return text if re.match(r"(?:in|for|at|during|as of|of)\b", text, re.I) else f"in {text}"


def _with_period(before: str, period: str) -> str:
    found = list(_PERIOD.finditer(before))
    if not found:
        return f"{_AT_END.sub('', before)} {period}?"
    lead = "" if re.match(r"(?:in|for|at|during|as of|of)\b", period, re.I) else "in "
    start, end = found[0].start(), found[-1].end()
    own = re.match(r"(?:in|for|at|during|as of|of)\s", found[0].group(), re.I)
    return f"{before[:start]}{lead if own else ''}{period}{before[end:]}"


def _with_name(before: str, name: str) -> str:
    known = _names(before)
    if not known:
        return f"{_AT_END.sub('', before)} of {name}?"
    return before.replace(known[-1].text, name)


def _names(text: str) -> list[AskedName]:
    return [
        name
        for name in asked_names(_PERIOD.sub(lambda found: " " * len(found.group()), text))
        if name.capitalised or name.possessive or (name.acronym and not name.defined)
    ]
