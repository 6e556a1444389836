"""Which attributes a question asks of what it names: "Apple's dental insurance". Pure.

English only: what follows a possessive, and what "how many" counts.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

_LONGEST: Final = 5
_WORD: Final = r"[^\W_][\w&-]*"
_RUN: Final = rf"(?P<run>{_WORD}(?:[ ]{_WORD}){{0,{_LONGEST - 1}}})"
_DEVELOPMENT: Final = re.compile(
    r"(?:chang|increas|decreas|declin|gr[eo]w|dr[io]p|f[ae]ll|ris(?:e|ing)|rose|improv|trend|compar)"
    r"\w*",
    re.I,
)
_NEWEST: Final = re.compile(r"latest|newest|current|recent", re.I)
_ASKS: Final = (
    re.compile(rf"(?<=\w)(?:['\u2019]s|s['\u2019])\s+{_RUN}"),
    re.compile(rf"\bhow\s+(?:many|much)\s+{_RUN}", re.IGNORECASE),
)


def asked_attributes(
    text: str, terms: Callable[[str], Sequence[str]]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each attribute as the question writes it, and its words.

    It ends before the first word without terms (a stop word) or with a digit, and before one that
    asks for its development: "Acme's revenue increase".
    """
    for pattern in _ASKS:
        for found in pattern.finditer(text):
            words: list[str] = []
            for word in found["run"].split():
                ends = any(map(str.isdigit, word)) or not terms(word)
                if not words and _NEWEST.fullmatch(word):
                    continue  # "Acme's latest report": a period, which documents need not write
                if ends or (words and _DEVELOPMENT.fullmatch(word)):
                    break
                words.append(word)
            if words:
                yield " ".join(words), tuple(words)
