"""Splits text into the terms of the index."""

import re
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

_content = (
    TextAnalyzerBuilder(Tokenizer.simple())
    .filter(Filter.remove_long(40))
    .filter(Filter.lowercase())
    .filter(Filter.custom_stopword(list(STOP_WORDS)))
    .filter(Filter.stemmer("english"))
    .build()
)
_stems = (
    TextAnalyzerBuilder(Tokenizer.simple())
    .filter(Filter.remove_long(40))
    .filter(Filter.lowercase())
    .filter(Filter.stemmer("english"))
    .build()
)


def content_terms(text: str) -> list[str]:
    """The stemmed terms of a text in order, without stop words."""
    return _content.analyze(with_pairs(text))


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
