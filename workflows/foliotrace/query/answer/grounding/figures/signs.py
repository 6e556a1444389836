"""Whether the figures of a sentence have the sign that their rows give them. Pure.

A label such as "provided by (used in)" or "expense (benefit)" says what a figure in parentheses is;
where a text says that something had an impact of $(2.6) billion, the parentheses make it a loss.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from foliotrace.query.answer.grounding.claims import Claim
from foliotrace.query.answer.grounding.evidence import ClaimEvidence, words_of
from foliotrace.query.answer.grounding.figures import numbers

_USED: Final = re.compile(
    r"\((?:used|loss|losses|expense|outflow|deficit|decrease)\b", re.IGNORECASE
)
_INTO: Final = re.compile(
    r"\b(?:provided|generated|brought in|yielded|inflow|income|profit|gain(?:s|ed)?|surplus|"
    r"earned|positive)\b",
    re.IGNORECASE,
)
_OUT: Final = re.compile(
    r"\b(?:used?|consumed|spent|outflow|loss(?:es)?|lost|expense|deficit|negative)\b", re.IGNORECASE
)
_SIGN: Final = re.compile(r"\b(?:positive|negative)\b[^.;]{0,24}$", re.IGNORECASE)
_EFFECT: Final = re.compile(r"\b(?:impact(?:ed|s)?|effects?|affected|chang(?:e|es|ed))\b", re.I)
_ADDED: Final = re.compile(
    r"\b(?:add(?:s|ed)|boost(?:s|ed)|rais(?:es|ed)|lift(?:s|ed)|increas(?:es|ed)|help(?:s|ed)|"
    r"favou?rabl[ey]|benefit(?:s|ed)?|contribut(?:es|ed)|positive(?:ly)?|tailwind)\b",
    re.IGNORECASE,
)
_TAKEN: Final = re.compile(
    r"\b(?:reduc(?:es|ed)|lower(?:s|ed)|hurts?|cuts?|decreas(?:es|ed)|unfavou?rabl[ey]|weigh(?:s|ed)|"
    r"subtract(?:s|ed)|negative(?:ly)?|headwind|shaved|cost|trimmed)\b",
    re.IGNORECASE,
)
_EITHER: Final = re.compile(
    r"([A-Za-z]{4,})(?: (?:by|from|in))?\s?/?\s?\(([A-Za-z]{4,})(?: \w+)?\)"
)
_MINUS: Final = re.compile(
    r"\b(?:negative|minus)\b|\([$\u20ac\u00a3]?\d|[-\u2212]\d", re.IGNORECASE
)
_LINE: Final = re.compile(r"\n|[.;]\s+(?=[A-Z])")
_CLAUSE: Final = re.compile(r"[,;:](?=\s)")
STEM: Final = 6  # letters that two forms of a word have in common


def signs_hold(claim: Claim, cited: Sequence[ClaimEvidence]) -> bool:
    """Whether a figure in parentheses, of a row "provided by (used in)", is not called provided."""
    if not claim.has_digits:
        return True
    start = 0
    for figure in claim.quantities:
        before, start = claim.rest[start : figure.start], figure.start
        into, out = _INTO.search(before) is not None, _OUT.search(before) is not None
        if into == out or figure.is_year or figure.percent:
            continue
        said = _SIGN.search(before) is not None
        signs = {sign for e in cited for sign in _signs(figure, e, anywhere=said)}
        if len(signs) == 1 and signs.pop() != into:
            return False
    return not (_of_other_sign(claim, cited) or effect_holds(claim, cited) is False)


def effect_holds(claim: Claim, cited: Sequence[ClaimEvidence]) -> bool | None:
    """Whether what is said to be added or taken has that sign in each text; None where none tells.

    "Changes impacted sales by $1.3 billion and $(2.6) billion": 1.3 were added, 2.6 taken.
    """
    added, taken = _ADDED.search(claim.rest) is not None, _TAKEN.search(claim.rest) is not None
    if added == taken:
        return None
    signs = {
        sign
        for e in cited
        for line in _LINE.split(e.facts.body)
        if _EFFECT.search(line) and _MINUS.search(line)
        for figure in claim.quantities
        if not figure.is_year
        for sign in _signs_in(line, figure, ())
    }
    return added in signs if len(signs) == 1 else None


def _of_other_sign(claim: Claim, cited: Sequence[ClaimEvidence]) -> bool:
    """Whether it calls a figure "expense" whose row "expense (benefit)" has it in parentheses."""
    figures = [q for q in claim.quantities if not q.is_year and not q.percent]
    if len(figures) != 1 or _MINUS.search(claim.rest):
        return False
    before = _CLAUSE.split(claim.rest[: figures[0].start])[-1]
    behind = _CLAUSE.split(claim.rest[figures[0].start :], maxsplit=1)[0]
    if _INTO.search(before) and not _OUT.search(before):
        before += " income earnings provided"
    said = {word[:STEM] for word in words_of(f"{before} {behind}")}
    wrong = set()
    for e in cited:
        for line in e.facts.body.splitlines():
            either = _EITHER.search(line)
            if either is None:
                continue
            plus, minus = (word.casefold()[:STEM] in said for word in either.groups())
            if plus != minus:
                signs = _signs_in(line, figures[0], e.facts.scales)
                wrong |= {sign != plus for sign in signs}
    return wrong == {True}


def sign_confirmed(claim: Claim, cited: Sequence[ClaimEvidence]) -> bool:
    """Whether a figure that is called negative or positive has that sign in every row."""
    start = 0
    for figure in claim.quantities if claim.has_digits else ():
        before, start = claim.rest[start : figure.start], figure.start
        if figure.is_year or figure.percent or _SIGN.search(before) is None:
            continue
        signs = {sign for e in cited for sign in _signs(figure, e, anywhere=True)}
        if signs == {_INTO.search(before) is not None}:
            return True
    return False


def _signs(figure: numbers.Quantity, source: ClaimEvidence, *, anywhere: bool) -> Iterator[bool]:
    """Whether the figure is positive in each row that has it and says what parentheses mean.

    `anywhere`: in every row, for a sentence that calls the figure positive or negative.
    """
    scales = source.facts.scales
    for line in source.facts.body.splitlines():
        if not anywhere and _USED.search(line) is None:
            continue
        yield from _signs_in(line, figure, scales)


def _signs_in(line: str, figure: numbers.Quantity, scales: Collection[float]) -> Iterator[bool]:
    """Whether the figure stands without parentheses, each time that a line has it."""
    for held in numbers.quantities(line):
        if numbers.same(figure, held, scales):
            behind = line[held.start :].lstrip("0123456789.,")
            yield not behind.startswith(")")
