"""The references to passages in an answer, in every style that language models use. Pure.

[1], [1, 2], [^1], [Passage 1], 【1】, 【1†source】, (1), (Source: 1) and "Source: 1" are read
in the same way and leave the answer as [1]. A bare (1) is a reference only behind a word, where a
clause ends.
"""

import re
from dataclasses import dataclass
from typing import Final

_WORD: Final = (
    r"(?:passages?|sources?|docs?|documents?|refs?|references?|citations?|excerpts?|contexts?|"
    r"chunks?|quellen?|fuentes?|passagen?)"
)
_ITEM: Final = rf"(?:{_WORD}\s*:?\s*|\^|#)?\s?\d{{1,3}}(?::\d{{1,3}})?"
_ITEMS: Final = rf"{_ITEM}(?:\s*(?:[,;]|\band\b)\s*{_ITEM})*"
_NAMED: Final = rf"{_WORD}\s*:?\s*\[?{_ITEMS}\]?"
_PLAIN: Final = r"\d{1,2}(?:,\s?\d{1,2})*"
_BRACKETS: Final = rf"\[\s*{_ITEMS}\s*\](?!\()|【\s*{_ITEMS}[^】\n]{{0,40}}】|\(\s*{_NAMED}\s*\)"
_CLOSES: Final = r"(?=\s*(?:[.,;:!?|\n\[【]|$))"
_MARKER: Final = re.compile(
    rf"(?P<sure>{_BRACKETS})|(?:(?<=[\w%\"”*)])\s|(?<=[.!?]\s))(?P<plain>\({_PLAIN}\)){_CLOSES}"
    r"|(?:^|(?<=[.!?;]\s)|(?<=\n))(?P<line>(?:sources?|quellen?|fuentes?)\s?:\s?"
    rf"\[?{_ITEMS}\]?\.?)(?=\s|$)",
    re.IGNORECASE,
)
_NUMBER: Final = re.compile(r"(?<![:\d])\d{1,3}")
_EMPHASIS: Final = re.compile(r"\*\*|__|(?<!\w)[*_](?=\w)|(?<=[\w.,%])[*_](?!\w)")
_OF_SOURCES: Final = (
    r"(?:(?:the|these|this|your|den|dem|der|des|les?|los?|las?|el|du) )?"
    r"(?:(?:provided|given|above|retrieved|cited|supplied|available|attached|following|"
    r"bereitgestellten|vorliegenden) )*"
    r"(?:documents?|passages?|contexts?|sources?|excerpts?|texts?|information|materials?|"
    r"dokumente?n?|quellen?|texte?|pasajes?|documentos?|fuentes?|passagen?)"
    r"(?: (?:provided|given|above|supplied|\d{1,2}|fournis?|proporcionados?))?"
)
_LEAD_IN: Final = re.compile(
    rf"^\W*(?:(?:based|relying) on|according to|as per|per|from|judging by|laut|gemäß|nach|"
    rf"selon|d['\u2019]après|según|de acuerdo con) {_OF_SOURCES}\s*[,:]\s*"
    r"(?:the answer is\s*[,:]?\s*)?"
    r"|^\W*(?:in (?:short|summary|brief)|to summari[sz]e|short answer|answer|sure|certainly|"
    r"antwort|réponse|respuesta)\s*[,:!]\s+",
    re.IGNORECASE,
)
PATTERN: Final = rf"(?i:{_BRACKETS}|\({_PLAIN}\))"
"""One reference behind the full stop of a sentence, where a bare (1) can be nothing else."""


@dataclass(frozen=True, slots=True)
class Marked:
    """A sentence or line: its text without references, and the passages that they number."""

    bare: str
    cited: tuple[int, ...]


def marked(text: str, passages: int) -> Marked:
    """Separate the text from its references; a bare (7) is one only if there are 7 `passages`."""
    cited: list[int] = []
    parts: list[str] = []
    end = 0
    for found in _MARKER.finditer(text):
        numbers = [int(n) for n in _NUMBER.findall(found.group())]
        if found["plain"] and any(not 1 <= n <= passages for n in numbers):
            continue
        cited += numbers
        parts.append(text[end : found.start()].rstrip())
        end = found.end()
    if not cited:
        return Marked(text.strip(), ())
    bare = "".join((*parts, text[end:])).strip()
    return Marked(bare, tuple(dict.fromkeys(cited)))


def without_markers(text: str) -> str:
    """The text without references in brackets, as code may hold them."""
    return re.sub(_BRACKETS, "", text, flags=re.IGNORECASE)


def claimed(text: str) -> str:
    """What a sentence claims: without emphasis and without "Based on the documents,"."""
    plain = _EMPHASIS.sub("", text) if "*" in text or "_" in text else text
    lead_in = _LEAD_IN.match(plain)
    return plain[lead_in.end() :] if lead_in else plain
