"""Which words of a question may name something, and which periods and files it asks about. Pure.

A name is recognised by how the question writes it and where it stands; whether the documents know
the word is the business of `subject_check`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from foliotrace.model.name_words import WORD, bare_word
from foliotrace.text_caches import text_cache

_POSSESSIVE: Final = re.compile(r"(?:['\u2019]s|s['\u2019])(?!\w)")
_OPENING: Final = "\"'([\u201c\u2018"  # marks in front of the first word of a sentence
_JOINED_TO_NUMBER: Final = re.compile(r"\d-$")
_YEAR: Final = re.compile(r"(?<!\d)(?P<year>(?:19|20)\d\d)(?![\d.,]\d)")
_DATED: Final = re.compile(
    r"(?<!\d)(?:19|20)\d\d(?!\d)|\bq[1-4]\s*(?:of\s*)?(?:fy\s*)?\d\d"
    r"|\b(?:fiscal|quarter\w*|latest|most recent|periods?|year over year|yoy|10-?[kq]s?)\b",
    re.I,
)
_FORWARD: Final = re.compile(
    r"\b(?:forecast|expect|plan|project|guid|outlook|anticipat|target|will|next|future)", re.I
)
_QUARTER: Final = re.compile(
    r"\b(?:q(?P<number>[1-4])|(?P<word>first|second|third|fourth)\s+quarter)\s*(?:of\s+)?"
    r"(?:fiscal\s+)?(?:year\s+)?(?:fy\s*)?['\u2019]?(?P<year>(?:19|20)\d\d)\b",
    re.I,
)
_FILE: Final = re.compile(
    r"[\w.-]+\.(?:pdf|docx?|xlsx?|pptx?|csv|html?|md|txt|png|jpe?g|tiff?)\b", re.I
)
_EACH: Final = re.compile(
    r"\bover time\b|\bquarter (?:by|to|over) quarter\b|\b(?:each|every) (?:\w+ )?"
    r"(?:quarter|period|year|month|report|filing|document)\b"
    r"|\b(?:across|over|during|throughout|between|in|for|of|among|these|those|all|reported|reporting)\W+"
    r"(?:(?:the|these|those|all|reported|reporting|past|last|different|various|several|given|provided)\W+){0,3}"
    r"(?:quarters|periods|years|10-?[qk]s|quarterly reports|annual reports|reports|filings)\b"
    r"|\bquarterly reports\b|\b(?:throughout|over) the reporting period\b"
    r"|\bto (?:the )?(?:previous|prior|earlier) (?:ones|quarters|periods|years|reports)\b",
    re.I,
)
_QUARTER_WORDS: Final = {"first": 1, "second": 2, "third": 3, "fourth": 4}


def _list(words: str) -> frozenset[str]:
    return frozenset(words.split())


_DETERMINERS: Final = _list("the a an this that these those each every any our my your")
_BE: Final = _list("was were is are")
_AGENT: Final = _list("did does has")  # before a subject, or behind it
_PERFECT: Final = _list("has have had did")
_ASKS: Final = _list("did does")  # a subject follows
_LONGEST_ACRONYM: Final = 5
_PREPOSITIONS: Final = _list("of for by at from in on to with about than versus vs during as")
_OPENERS: Final = _BE | _list("of for by at from did does has than versus vs")
_PRONOUNS: Final = _list(
    "it he she that what who where when there here how let one i you we they everyone everybody"
    " someone somebody anyone nobody today yesterday tomorrow"
)
_CALENDAR: Final = _list(
    "january february march april may june july august september october november december jan feb"
    " mar apr jun jul aug sep sept oct nov dec monday tuesday wednesday thursday friday saturday"
    " sunday"
)
_UNITS: Final = _list("usd eur gbp us uk eu u.s u.k fy gaap pdf ok id faq mr mrs ms dr")
_COMPARING: Final = _list("more less than over under above below half most least highest lowest")
_NO_NAMES: Final = _CALENDAR | _UNITS | _PRONOUNS | _COMPARING
_INTERROGATIVES: Final = _list(
    "what which who whom whose when where why how is are was were did does do has have can could"
    " should would will may must if as in on for from by to at the a an and or any there please"
    " assume summarize summarise compare list explain describe give tell show calculate compute"
    " identify analyze analyse name find state answer using based according considering round"
    " discuss outline provide translate write"
)
_INFLECTED: Final = ("ed", "ing", "ly")  # endings of words that are no subjects


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedName:
    """One to four neighbouring words that may be a name, in lower case, and as they were asked.

    `capitalised`: written as a name inside a sentence. `possessive`: followed by "'s", so that
    something is asked of it. `subject`: where the subject of a dated question stands. `defined`: in
    brackets, behind the words that it is short for.
    """

    words: tuple[str, ...]
    text: str
    capitalised: bool = False
    possessive: bool = False
    acronym: bool = False
    subject: bool = False
    defined: bool = False

    @property
    def pairs(self) -> tuple[str, ...]:
        """Neighbouring words as the index keeps them."""
        return tuple(f"{a} {b}" for a, b in zip(self.words, self.words[1:], strict=False))


@dataclass(frozen=True, slots=True)
class AskedYear:
    """A year, or a quarter of it; `forward` where the question may speak of plans for it."""

    year: int
    quarter: int | None = None
    forward: bool = False

    def __str__(self) -> str:
        return f"Q{self.quarter} {self.year}" if self.quarter else str(self.year)


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    bare: str
    start: int
    end: int
    possessive: bool
    opens: bool  # the first word of a sentence
    capital: bool  # holds a capital letter
    nameable: bool


def asked_names(text: str) -> list[AskedName]:
    """The words and runs of capitalised words that may be names, in order."""
    return list(_asked_names(text))


@text_cache(64)  # asked for twice for each question
def _asked_names(text: str) -> tuple[AskedName, ...]:
    text = _FILE.sub(lambda found: " " * len(found.group()), text)
    words = list(_words(text))
    inside = [w for w in words if not w.opens and w.nameable]
    shouted = bool(inside) and sum(w.capital for w in inside) > 0.6 * len(inside) > 2.4
    dated = bool(_DATED.search(text))
    names: list[AskedName] = []
    at = 0
    while at < len(words):
        run = [words[at]]
        if _in_run(run[0], words, at):
            while (
                not run[-1].possessive
                and len(run) < 4
                and at + len(run) < len(words)
                and _follows(text, run[-1], words[at + len(run)])
            ):
                run.append(words[at + len(run)])
        if run[0].nameable:
            before = words[at - 1].bare if at and not run[0].opens else ""
            after = words[at + len(run)].bare if at + len(run) < len(words) else ""
            names.append(_name(text, run, before, after, dated=dated, shouted=shouted))
        at += len(run)
    return tuple(names)


def _in_run(word: _Word, words: list[_Word], at: int) -> bool:
    """Whether a run of capitalised words can begin here."""
    if not (word.nameable and word.capital):
        return False
    return not word.opens or word.bare not in _INTERROGATIVES


def _follows(text: str, last: _Word, word: _Word) -> bool:
    joined = text[last.end : word.start] in (" ", "-")
    return joined and word.nameable and word.capital and not word.opens


def _name(
    text: str, run: list[_Word], before: str, after: str, *, dated: bool, shouted: bool
) -> AskedName:
    first, last = run[0], run[-1]
    relative = (  # "that AMCOR has done"
        before == "that" and not first.opens and (first.capital or after in _PERFECT)
    )
    determined = before in _DETERMINERS and len(run) == 1 and not relative
    opens = first.opens and len(run) == 1
    acronym = len(run) == 1 and first.text.isupper() and len(first.bare) <= _LONGEST_ACRONYM
    keyword = (  # "Tesla revenue 2023"
        dated
        and not first.start
        and len(run) == 1
        and first.bare not in _INTERROGATIVES
        and after not in _DETERMINERS | _PREPOSITIONS | _BE
    )
    stands = (dated and before in _OPENERS) or before in _ASKS
    if before in _BE:  # "what was tesla revenue", not "which were open in" or "was reported"
        inflected = first.bare.endswith(_INFLECTED) and not after.endswith("ing")
        stands = stands and bool(after) and after not in _PREPOSITIONS and not inflected
    stands = stands or (dated and relative)
    agent = first.capital and not first.opens and bool({before, after} & _AGENT)
    return AskedName(
        words=tuple(w.bare for w in run),
        text=text[first.start : last.start + len(last.text)],
        capitalised=first.capital and not (opens or determined or shouted),
        possessive=last.possessive and not determined,
        acronym=acronym,
        subject=(stands or keyword or agent) and not determined,
        defined=text[: first.start].endswith("("),
    )


def _words(text: str) -> Iterator[_Word]:
    for found in WORD.finditer(text):
        bare = bare_word(found.group())
        written = found.group()[: len(bare)] or found.group()
        start = found.start()
        yield _Word(
            text=written,
            bare=bare,
            start=start,
            end=found.end(),
            possessive=bool(_POSSESSIVE.search(text[start : found.end() + 2])),
            opens=_opens_sentence(text, start),
            capital=not written.islower() and any(c.isupper() for c in written),
            nameable=(
                len(bare) > 1
                and bare not in _NO_NAMES
                and (bare.isalpha() or not any(c.isdigit() for c in bare))
                and not _JOINED_TO_NUMBER.search(text, max(0, start - 3), start)  # "10-Qs"
            ),
        )


def _opens_sentence(text: str, start: int) -> bool:
    """Whether the end of a sentence, or nothing, stands before `start`."""
    at = start
    while at and (text[at - 1].isspace() or text[at - 1] in _OPENING):
        at -= 1
    ended = not at or text[at - 1] in ".?!:;" or "\n" in text[at:start]
    return ended or (text[at - 1] == ")" and text[max(0, at - 2)].isdecimal())


def asked_years(text: str) -> list[AskedYear]:
    """The years and quarters that a question names, each once."""
    forward = bool(_FORWARD.search(text))
    years = [AskedYear(int(y["year"]), forward=forward) for y in _YEAR.finditer(text)]
    for found in _QUARTER.finditer(text):
        number = found["number"]
        quarter = int(number) if number else _QUARTER_WORDS[found["word"].lower()]
        years.append(AskedYear(int(found["year"]), quarter, forward))
    return list(dict.fromkeys(years))


def asked_files(text: str) -> list[str]:
    """The names of files in the question, in lower case."""
    return [found.group().lower() for found in _FILE.finditer(text)]


def asks_for_each(text: str) -> bool:
    """Whether the question asks for every period or document, and not for a certain one."""
    return bool(_EACH.search(text))
