"""Recognises names in text: words written only with a capital letter, alone or in pairs."""

import re
from typing import Final

WORD: Final = re.compile(r"\w(?:[\w&]|[.'\u2019](?=\w))*")
"""One word: letters, digits, `&`, and points or apostrophes between them; hyphens separate."""

_POSSESSIVE_END: Final = re.compile(r"['\u2019]s?$")
_LONGEST: Final = 40  # characters; longer words are not words


def bare_word(word: str) -> str:
    """The word in lower case, without "'s"."""
    if "'" in word or "\u2019" in word:
        word = _POSSESSIVE_END.sub("", word)
    return word.casefold()


def names_in(text: str) -> list[str]:
    """The words that `text` capitalises wherever they stand, and pairs of capitalised neighbours.

    All in lower case; numbers are no names.
    """
    lower: set[str] = set()
    capital: dict[str, None] = {}
    pairs: dict[str, None] = {}
    previous, previous_end = "", -2
    for found in WORD.finditer(text):
        word = found.group()
        if word.islower() or not any(c.isupper() for c in word):
            lower.add(bare_word(word))
            previous = ""
            continue
        bare = bare_word(word)
        if len(bare) > _LONGEST:
            continue
        capital[bare] = None
        if previous and text[previous_end : found.start()] in (" ", "-", "\n"):
            pairs[f"{previous} {bare}"] = None
        previous, previous_end = bare, found.end()
    return [*(word for word in capital if word not in lower), *pairs]
