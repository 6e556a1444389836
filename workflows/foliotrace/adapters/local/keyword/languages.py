"""The language of a page, and the forms under which its words are indexed beside the plain ones.

Every text is analysed as English first (`analysis`), which is right for names and harmless for
other languages. A page in a language that the index engine stems is also indexed by its own stems,
with and without accents and umlauts, so that a question finds it however it is typed.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from typing import Final, NamedTuple

from tantivy import Filter, TextAnalyzer, TextAnalyzerBuilder, Tokenizer

_SAMPLE_CHARACTERS: Final = 2_000
_MIN_SHARE: Final = 0.1  # of a page's words that are the language's commonest
_CYRILLIC: Final = re.compile("[\u0400-\u04ff]")
_ARABIC: Final = re.compile("[\u0600-\u06ff]")
_GREEK: Final = re.compile("[\u0370-\u03ff]")
_WORD: Final = re.compile(r"[^\W\d_]+")
_ARABIC_MARKS: Final = re.compile("[\u064b-\u065f\u0670\u0640]")  # vowels and the lengthening bar
_LETTERS: Final = {
    "arabic": str.maketrans(
        {"\u0623": "\u0627", "\u0625": "\u0627", "\u0622": "\u0627", "\u0649": "\u064a"}
    ),
    "russian": str.maketrans({"\u0451": "\u0435"}),
}
_UMLAUT_PAIRS: Final = re.compile("(?<![aeq])([aou])e")  # "ae", "oe" and "ue" for umlauts

_COMMONEST: Final[Mapping[str, frozenset[str]]] = {
    language: frozenset(words.split())
    for language, words in {
        "english": "the of and to in is that for it as with on be by this are or from at not you",
        "german": "der die und das den von zu mit sich des auf für ist im dem nicht ein eine als"
        " auch es an werden wird oder bei einer um sind wenn kann",
        "french": "le la les de des et du un une est en que pour dans qui sur par au avec ne pas"
        " ce il se sont aux cette ou",
        "spanish": "el la los las de y en que un una es por para con del se no al su lo como más o"
        " este si puede",
        "dutch": "de het een en van in is dat op te zijn met voor niet aan er om ook als bij door"
        " wordt naar uit kan deze of worden",
        "italian": "il lo la gli di e che un una è per non con del della in si dei le sono al da"
        " come questo",
        "portuguese": "o a os as de e que um uma é para não com do da em se no na por dos mais ao"
        " como são",
        "swedish": "och att det som en på är av för med den till inte om ett har de kan eller från",
        "danish": "og at det som en på er af for med den til ikke om et har de kan eller fra",
        "norwegian": "og å det som en på er av for med den til ikke om et har de kan eller fra",
        "finnish": "ja on ei että se tai kun ovat joka jos myös voi sen oli mutta kuin tämä",
        "hungarian": "a az és hogy nem is egy ez vagy ha csak meg el van mint már azt lehet",
        "romanian": "și de în la cu pe este care un o nu din pentru sau se mai ca sunt fi",
        "turkish": "ve bir bu için ile de da olarak olan daha gibi kadar veya çok her ne",
    }.items()
}
_LANGUAGES_OF: Final = {
    word: tuple(name for name, known in _COMMONEST.items() if word in known)
    for word in frozenset().union(*_COMMONEST.values())
}
_SCRIPTS: Final = ((_CYRILLIC, "russian"), (_ARABIC, "arabic"), (_GREEK, "greek"))
_COMPOUNDING: Final = frozenset({"german", "dutch", "swedish", "danish", "norwegian", "finnish"})
LANGUAGES: Final = (*(name for name in _COMMONEST if name != "english"), *dict(_SCRIPTS).values())
_LONG: Final = 10  # letters of a stem that may be a compound
_MIN_PART: Final = 4  # letters of a part of it


def language_of(text: str) -> str:
    """The language of a page, of those that are stemmed; empty for English and the unknown."""
    sample = text[:_SAMPLE_CHARACTERS]
    words = [word.lower() for word in _WORD.findall(sample)]
    if not words:
        return ""
    for script, language in _SCRIPTS:
        if not sample.isascii() and sum(bool(script.match(word)) for word in words) * 2 > len(
            words
        ):
            return language
    share = dict.fromkeys(_COMMONEST, 0)
    for word in words:
        for name in _LANGUAGES_OF.get(word, ()):
            share[name] += 1
    best = max(share, key=lambda name: share[name])
    return best if best != "english" and share[best] >= _MIN_SHARE * len(words) else ""


def is_function_word(word: str, languages: Collection[str]) -> bool:
    """Whether the word is one of the commonest of any of the languages ("les", "von")."""
    return any(word in _COMMONEST.get(language, ()) for language in languages)


class Forms(NamedTuple):
    """Stems of a text in one language, and the parts that its long words may be made of."""

    stems: list[str]
    parts: list[str]


def forms(text: str, language: str) -> Forms:
    """The forms of a text in `language`, one of LANGUAGES; none for the empty string."""
    if not language:
        return Forms([], [])
    stems = [*question_forms(text, (language,))]
    parts = _parts(set(stems)) if language in _COMPOUNDING else ()
    return Forms(stems, sorted(set(parts)))


def question_forms(text: str, languages: Collection[str]) -> Iterator[str]:
    """The forms of a question's words in each of the languages that a collection holds."""
    for language in languages:
        plain = _plain(text.lower(), language)
        before, after = _analyzers(language)
        stemmed, folded = before.analyze(plain), after.analyze(_without_umlauts(plain, language))
        yield from stemmed
        yield from (b for a, b in zip(stemmed, folded, strict=False) if a != b)


def _plain(text: str, language: str) -> str:
    if language == "arabic":
        text = _ARABIC_MARKS.sub("", text)
    return text.translate(_LETTERS[language]) if language in _LETTERS else text


def _without_umlauts(text: str, language: str) -> str:
    return _UMLAUT_PAIRS.sub(r"\1", text) if language == "german" else text


@cache
def _analyzers(language: str) -> tuple[TextAnalyzer, TextAnalyzer]:
    """Stems without accents: accents taken off behind the stemmer, and in front of it."""
    stemmer, fold = Filter.stemmer(language), Filter.ascii_fold()
    stop = Filter.custom_stopword(sorted(_COMMONEST.get(language, ())))
    behind = _start().filter(stop).filter(stemmer).filter(fold)
    return behind.build(), _start().filter(stop).filter(fold).filter(stemmer).build()


def _start() -> TextAnalyzerBuilder:
    return TextAnalyzerBuilder(Tokenizer.simple()).filter(Filter.remove_long(40))


def _parts(stems: Collection[str]) -> Iterator[str]:
    for stem in stems:
        if len(stem) >= _LONG and stem.isalpha():
            for at in range(_MIN_PART, len(stem) - _MIN_PART + 1):
                yield stem[:at]
                yield stem[at:]
