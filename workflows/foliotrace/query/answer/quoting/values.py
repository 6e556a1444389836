"""The values that forms of questions ask for: counts of a thing, persons, places. Pure; English."""

import re
from collections.abc import Callable, Sequence
from typing import Final

_NUMBER: Final = re.compile(
    r"(?<![\w.,/-])(?!(?:19|20)\d\d\b)\d[\d,]*(?:\.\d+)?(?![\d.,]*\s?%)(?![\w-])"
    r"|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|no(?!\.)|none"
    r"|thousands?|millions?|billions?)\b",
    re.I,
)
_LISTED: Final = r"\d[\w-]*(?:(?:,\s*|,?\s+(?:and|or)\s+)(?:the\s+)?\d[\w-]*)*"
_IDENTIFIER: Final = re.compile(
    rf"\b(?:the|our|its|an?|this|each|model|note|item|no\.?|number|section|rule|form|page|part|class"
    rf"|type|series|version|chapter|article|exhibit|table|figure|phase|level|grade|route|flight"
    rf"|runway)s?\s+(?!(?:one|two)\b){_LISTED}"
    rf"|(?<![.!?]\s)(?<!^)\b(?!(?:Approximately|About|Over|Nearly|Some|Only|Total|Employed)\b)"
    rf"[A-Z][a-z]+[ -]{_LISTED}",
)
"""Numbers that name something: "the 737", "Note 12", "Boeing 787"."""
_LINK: Final = re.compile(
    r"(?:\b(?:was|were|is|are|of|to|at|totall?(?:ed|ing)|numbered|numbering|reached|had|by)|[:=\u2013(])"
    r"\s*(?:(?:approximately|about|around|nearly|over|more than|roughly|some|only|just|a|total|of)"
    r"\s+)*$",
    re.I,
)
_VERB: Final = re.compile(
    r"\b(?P<verb>\w+ed)\s+(?:(?:approximately|about|around|nearly|over|more than|roughly|some|only"
    r"|just|a|total|of)\s+)*$",
    re.I,
)
"""A past form in front of a number: "employed approximately 798,000"."""
_ENDS: Final = re.compile(
    r"\s*(?:$|[.,;:()\u2014]|(?:in|as|at|for|during|and|or|compared|by|of|on|from|versus|worldwide"
    r"|globally|people|persons|respectively)\b)",
    re.I,
)
_CLAUSE: Final = re.compile(r"[.;:\u2022](?=\s|$)")
_BETWEEN: Final = 5  # words from a number to the end of what it counts
_BEHIND: Final = 60  # characters from a number to what it counts
_BEFORE: Final = 110  # from what is counted to a number that follows it

_WORD: Final = re.compile(r"[^\W\d_][\w&'\u2019.-]*")
_NAME: Final = re.compile(r"(?<![\w.])[A-Z][\w&'\u2019.-]+")
_AGENT: Final = re.compile(
    r"\b(?:\w{2,}(?:er|or|ee|ant|ist|ian|man|woman)s?|people|persons?|company|board|committee|court"
    r"|bank|firm|agency|department|government|staff|I|we|he|she|they)\b",
)
_PLACE: Final = re.compile(
    r"\b(?:in|at|on|near|outside|inside|within|from|to|located|under|behind|beside|across|between)\b"
    r"\W+\w",
    re.I,
)


def says_count(text: str, counted: frozenset[str], terms: Callable[[str], Sequence[str]]) -> bool:
    """Whether a number counts one of the `counted` terms: it stands in front, or behind "was".

    Numbers that name a model, a note or a section count nothing.
    """
    bare = _IDENTIFIER.sub(" ", text)
    for found in _NUMBER.finditer(bare):
        behind = _CLAUSE.split(bare[found.end() : found.end() + _BEHIND])[0]
        near = " ".join(_NUMBER.split(behind)[0].split()[:_BETWEEN])
        if not counted.isdisjoint(terms(near)):
            return True
        before = bare[max(0, found.start() - _BEFORE) : found.start()]
        verb = _VERB.search(before)
        if verb and not counted.isdisjoint(terms(verb["verb"])):
            return True
        if not (_LINK.search(before) and _ENDS.match(bare, found.end())):
            continue
        if not counted.isdisjoint(terms(_CLAUSE.split(before)[-1])):
            return True
    return False


def says_who(question: str, text: str) -> bool:
    """Whether a text names a person, body or role that the question does not."""
    asked = {word.casefold().rstrip(".'s\u2019") for word in _WORD.findall(question)}
    named = (*_NAME.findall(text), *_AGENT.findall(text))
    return any(word.casefold().rstrip(".'s\u2019") not in asked for word in named)


def says_where(question: str, text: str) -> bool:
    """Whether a text says a place: a preposition of place and what follows it."""
    return _PLACE.search(text) is not None
