"""Splits text into the terms of the index."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from tantivy import Filter, TextAnalyzerBuilder, Tokenizer

# The Snowball English stop words, shortened to those that questions contain.
_STOP_WORDS: Final = (
    "a about an and any are as at be been but by can could did do does for from had has have how"
    " i if in into is it its me my of on or our shall should so than that the their them then"
    " there these they this those to us was we were what when where which who whom whose why will"
    " with would you your"
)
MAX_TERMS: Final = 512  # of one question
STOP_WORDS: Final = frozenset(_STOP_WORDS.split())
_IDEOGRAPHS: Final = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")

_TOO_LONG: Final = 40
_KEPT_STEMS: Final = 100_000
_STEM_OF: Final[dict[str, str]] = {}  # of words in ASCII; empty for stop words and long ones
_LOWER: Final = bytes(
    ord(chr(i).lower()) if i < 128 and chr(i).isalnum() else 32 for i in range(256)
)
_OTHER_LETTERS: Final = re.compile(
    "[^\x00-\x7f\xa0\xa3\xa7\xa9\xae\u2009\u2010-\u2014\u2018-\u201d\u2022\u2026\u202f\u20ac\u2122]"
)
"""Anything but ASCII, and the marks of print that the engine also takes for the ends of words."""

_content = (
    TextAnalyzerBuilder(Tokenizer.simple())
    .filter(Filter.remove_long(_TOO_LONG))
    .filter(Filter.lowercase())
    .filter(Filter.custom_stopword(list(STOP_WORDS)))
    .filter(Filter.stemmer("english"))
    .build()
)
_stems = (
    TextAnalyzerBuilder(Tokenizer.simple())
    .filter(Filter.remove_long(_TOO_LONG))
    .filter(Filter.lowercase())
    .filter(Filter.stemmer("english"))
    .build()
)


def content_terms(text: str) -> list[str]:
    """The stemmed terms of a text in order, without stop words.

    Words are looked up among those that were stemmed lately: the engine's analysis of a passage
    costs three times as much.
    """
    words = ascii_words(text)
    if words is None:
        return _content.analyze(with_pairs(text))
    return list(filter(None, stems_of(words)))


def content_terms_of_each(texts: Sequence[str]) -> list[list[str]]:
    """`content_terms` of each text; of many short ones in half the time."""
    whole = "\n".join(texts)
    if not whole.isascii() and _OTHER_LETTERS.search(whole):
        return [content_terms(text) for text in texts]
    lower = whole.encode("ascii", "replace").translate(_LOWER).decode("ascii")
    terms, start = [], 0
    for text in texts:
        end = start + len(text)
        terms.append(list(filter(None, stems_of(lower[start:end].split()))))
        start = end + 1
    return terms


def ascii_words(text: str) -> list[str] | None:
    """The words of a text in lower case, as the engine divides it; None with other letters."""
    if not text.isascii() and _OTHER_LETTERS.search(text):
        return None
    return text.encode("ascii", "replace").translate(_LOWER).decode("ascii").split()


def stems_of(words: Sequence[str]) -> list[str]:
    """The stem of each of the `ascii_words`; the empty string for what is no content term."""
    while True:
        try:
            return list(map(_STEM_OF.__getitem__, words))
        except KeyError:  # new words, or forgotten meanwhile on another thread
            _learn(words)


def _learn(words: Iterable[str]) -> None:
    """Keep the stems of `words`; the empty string for those that are no terms."""
    if len(_STEM_OF) > _KEPT_STEMS:
        _STEM_OF.clear()
    new = set(words).difference(_STEM_OF)
    terms = [word for word in new if len(word) < _TOO_LONG and word not in STOP_WORDS]
    stemmed = zip(terms, _stems.analyze(" ".join(terms)), strict=True)
    _STEM_OF.update(dict.fromkeys(new, "") | dict(stemmed))


def forget_words() -> None:
    """Forget the words of texts that were analysed, so that nothing deleted stays in memory."""
    _STEM_OF.clear()


def with_pairs(text: str) -> str:
    """The text, followed by each pair of neighbouring CJK characters.

    Pairs make Chinese, Japanese and Korean searchable without a dictionary of words.
    """
    if text.isascii():
        return text
    runs = _IDEOGRAPHS.findall(text)
    pairs = (run[i : i + 2] for run in runs for i in range(max(1, len(run) - 1)))
    return f"{text} {' '.join(pairs)}" if runs else text


def question_terms(text: str) -> list[str]:
    """The stemmed terms of a question in order; stop words only if it has nothing else."""
    return (content_terms(text) or _stems.analyze(with_pairs(text)))[:MAX_TERMS]


def stems(text: str) -> tuple[str, ...]:
    """The stemmed words of a text in order, stop words included."""
    return tuple(_stems.analyze(with_pairs(text)))


class PlainVocabulary:
    """A `Vocabulary` without an index: the index's terms, each of the same weight."""

    def terms(self, text: str) -> Sequence[str]:
        """The stemmed content words of a text in order."""
        return content_terms(text)

    def terms_of_each(self, texts: Sequence[str]) -> Sequence[Sequence[str]]:
        """The terms of each text, analysed together."""
        return content_terms_of_each(texts)

    def weights(self, terms: Sequence[str], *, tenant: str, collection: str) -> Sequence[float]:
        """1.0 for each term."""
        return [1.0] * len(terms)
