"""Questions about two things and how they relate: each needs a quote of its own. Pure; English."""

import re
from typing import Final

_WITH: Final = r"(?:with|to|against|and)"
_VERB: Final = r"(?:compar|relat|correlat|align|correspond|connect|link|tie)\w*"
_FORMS: Final = (
    re.compile(
        r"\b(?:relationship|correlation|relation|connection|link)\s+between\s+(?P<one>.+?)\s+and\s+(?P<other>.+)",
        re.I | re.S,
    ),
    re.compile(
        rf"\bhow\s+(?:do(?:es)?\s+|did\s+|is\s+|are\s+)?(?P<one>.+?)\s+{_VERB}\s+{_WITH}\s+(?P<other>.+)",
        re.I | re.S,
    ),
    re.compile(
        rf"\b(?:compare|combine|contrast|correlate|relate)\s+(?P<one>.+?)\s+{_WITH}\s+(?P<other>.+)",
        re.I | re.S,
    ),
)
_NEXT_QUESTION: Final = re.compile(
    r"(?<=[?;])\s+|,?\s+(?:and|und|et|y)\s+(?=(?:what|how|which|who|when|why|where|if|was|wie|warum)\b)",
    re.IGNORECASE,
)
_END: Final = re.compile(r"\s*(?:\bto\s+understand\b.*|[?.!,;]\s*$)", re.I | re.S)
LONGEST: Final = 90


def parts_of(question: str) -> list[str]:
    """The questions that a text asks: "How many ... and what share ...?" asks two."""
    return [part for part in _NEXT_QUESTION.split(question) if part.strip()]


def sides_of(question: str) -> tuple[str, str] | None:
    """The two things whose relation a question asks for; None where it asks something else."""
    for form in _FORMS:
        found = form.search(question)
        if found is not None:
            one, other = (_END.sub("", found[name]).strip() for name in ("one", "other"))
            return (one, other) if one and other else None
    return None


def short(side: str) -> str:
    """A side as an answer names it."""
    words = " ".join(side.split())
    return words if len(words) <= LONGEST else f"{words[:LONGEST].rsplit(' ', 1)[0]} \u2026"
