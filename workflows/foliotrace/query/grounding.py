"""Which sentences of a generated answer its passages support, and with what words. Pure."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from foliotrace.model import Passage
from foliotrace.query.quotes import Quote, Quoter

MIN_SUPPORT: Final = 0.3
"""Share of a cited sentence's words its passage must hold: paraphrases pass, inventions do not."""
MIN_SUPPORT_UNCITED: Final = 0.6
"""For a sentence that cites nothing: it is given the passage that plainly holds it, or removed."""

_SENTENCE = re.compile(r"\S.*?(?:[.!?]+[\"')\]]*(?:\s*\[\d{1,2}\])*(?=\s|\Z)|\n|\Z)", re.DOTALL)
_MARKER = re.compile(r"\s*\[(\d{1,2})\]")
_NUMBER = re.compile(r"\d[\d,.]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounded:
    """A sentence as it may be shown, and the quotes behind its markers."""

    text: str
    quotes: tuple[tuple[int, Quote], ...]


def sentences(text: str) -> Iterator[str]:
    """The sentences of a generated answer, each with the markers behind its full stop."""
    for found in _SENTENCE.finditer(text):
        yield found.group(0).strip()


def ground(sentence: str, passages: Sequence[Passage], quoter: Quoter) -> Grounded | None:
    """The sentence with the markers that hold, or None when no passage supports it."""
    claim = _MARKER.sub("", sentence)
    cited = [int(m) for m in _MARKER.findall(sentence)]
    if cited:
        held = [
            n
            for n in dict.fromkeys(cited)
            if 1 <= n <= len(passages) and _supports(passages[n - 1], claim, quoter, MIN_SUPPORT)
        ]
    else:
        held = _attribute(claim, passages, quoter)
    if not held:
        return None
    shown = _with_markers(sentence, claim, cited, held)
    return Grounded(
        text=shown, quotes=tuple((n, quoter.closest(claim, passages[n - 1])) for n in held)
    )


def _supports(passage: Passage, claim: str, quoter: Quoter, floor: float) -> bool:
    """Enough shared words, and every number of the claim in the passage."""
    text = f"{passage.header} {passage.document_name} {passage.context} {passage.text}"
    numbers = {_plain(n) for n in _NUMBER.findall(text)}
    if any(_plain(n) not in numbers for n in _NUMBER.findall(claim)):
        return False
    return quoter.support(claim, passage) >= floor


def _plain(number: str) -> str:
    """Without grouping and trailing zeros: "2,500.00" is "2500"."""
    plain = number.replace(",", "").rstrip(".")
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def _attribute(claim: str, passages: Sequence[Passage], quoter: Quoter) -> list[int]:
    for place, passage in enumerate(passages, start=1):
        if _supports(passage, claim, quoter, MIN_SUPPORT_UNCITED):
            return [place]
    return []


def _with_markers(sentence: str, claim: str, cited: list[int], held: list[int]) -> str:
    """The sentence as written when all its markers hold, else with those that do at its end."""
    if cited and set(cited) == set(held):
        return sentence
    return f"{claim.rstrip()} " + "".join(f"[{n}]" for n in held)
