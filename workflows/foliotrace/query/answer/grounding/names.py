"""The names that a sentence gives, and whether the passages give them to the same thing. Pure."""

import re
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from foliotrace.ports import Vocabulary
from foliotrace.query.answer.grounding.evidence import ClaimEvidence
from foliotrace.query.answer.grounding.figures.numbers import MONTHS
from foliotrace.query.answer.grounding.figures.tables import spellings
from foliotrace.text_caches import text_cache

_NAME: Final = re.compile(r"\b[a-z]?[A-Z][\w&\u2019'-]*\w|\b[A-Z]\b")
_WORD: Final = re.compile(r"\w+")
_ACRONYM: Final = re.compile(r"[A-Z](?:&?[A-Z]){1,4}")
_GAP: Final = 2  # words between two parts of one name: Mary N. Dillon
_COMMON_WORDS: Final = (
    "a an the i it its this that these those in on at for from to of and or as by with both each "
    "he she they we you yes no not there here all if when while fy cy ltd llc inc corp co plc "
    "jan feb mar apr jun jul aug sep oct nov dec usd eur gbp us"
)
"""Capitalised words that name nothing; months are checked as dates."""
_COMMON: Final = frozenset(_COMMON_WORDS.split()) | frozenset(MONTHS)
_STARTERS_WORDS: Final = (
    "however overall therefore thus moreover furthermore also instead meanwhile finally first "
    "second third hence otherwise still nonetheless nevertheless then so note sure certainly yes "
    "no typically additionally specifically currently here because since only"
)
_STARTERS: Final = frozenset(_STARTERS_WORDS.split())
"""Words that open a sentence and name nothing."""


@dataclass(frozen=True, slots=True)
class Name:
    """A capitalised word of a sentence, and the capitalised word right before it."""

    text: str
    before: str = ""
    abbreviated: bool = False

    @property
    def words(self) -> list[str]:
        """Its words without regard to case or possessive."""
        return list(_words_of_name(self.text))


@text_cache(4096)  # asked for in each comparison with a passage
def _words_of_name(text: str) -> tuple[str, ...]:
    plain = text.casefold().replace("\u2019s", "").replace("'s", "")
    return tuple(
        w[:-1] if w.endswith("days") else w  # on Mondays
        for w in _WORD.findall(plain)
        if w not in _COMMON and not any(map(str.isdigit, w))
    )


def names_of(text: str) -> Iterator[Name]:
    """The capitalised words; the first word only where it answers or a name goes on behind it."""
    found = list(_NAME.finditer(text))
    first = len(text) - len(text.lstrip("\"'(\u201c*-0123456789.) "))
    for place, name in enumerate(found):
        end = name.end()
        if name.start() <= first and not (
            name.group().endswith(("'s", "\u2019s"))
            or (place + 1 < len(found) and found[place + 1].start() == end + 1)
            or _answers(name.group(), text[end : end + 2])
        ):
            continue
        last = found[place - 1] if place else None
        joined = last is not None and last.end() + 1 == name.start()
        before = last.group() if last is not None and joined else ""
        opens = last is not None and last.start() <= first
        if before.endswith(("'s", "\u2019s")) or (opens and name.group().isupper()):
            before = ""  # the owner, or a first word before an abbreviation: "Domestic SG&A"
        yield Name(name.group(), before, text[end : end + 1] == ".")


def _answers(word: str, behind: str) -> bool:
    """Whether the first word stands by itself, as an answer does: "Landing, with 6 of 11"."""
    alone = behind[:1] in (",", "(", ";", "") or behind == " ("
    return alone and word.casefold() not in _STARTERS and not word.endswith("ly")


def names_hold(
    names: Sequence[Name],
    asked_words: AbstractSet[str],
    asked_terms: AbstractSet[str],
    cited: Sequence[ClaimEvidence],
    vocabulary: Vocabulary,
) -> bool:
    """Whether each name stands in the question or in the passages, its parts side by side."""
    for name in names:
        words = [word for word in name.words if word not in asked_words]
        if not words:
            continue
        if not all(_held(word, cited) for word in words):
            if _of_document(words, cited) or _spelled_out(
                name, asked_words, asked_terms, cited, vocabulary
            ):
                continue
            return False
        if name.before and not _side_by_side(name.before, name.text, asked_words, cited):
            return False
    return True


def _held(word: str, cited: Sequence[ClaimEvidence]) -> bool:
    return any(spelled in e.facts.words for e in cited for spelled in spellings(word))


def _of_document(words: Sequence[str], cited: Sequence[ClaimEvidence]) -> bool:
    """Whether a document is named after it, words run together: BESTBUY_2017_10K."""
    names = (e.passage.document_name.casefold() for e in cited)
    return min(map(len, words)) > 2 and any(all(word in name for word in words) for name in names)


def _spelled_out(
    name: Name,
    asked_words: AbstractSet[str],
    asked_terms: AbstractSet[str],
    cited: Sequence[ClaimEvidence],
    vocabulary: Vocabulary,
) -> bool:
    """Whether the name is the short form, or another form, of what was read."""
    words = name.words
    if name.abbreviated and len(words) == 1 and len(words[0]) > 2:
        if any(each.startswith(words[0]) for e in cited for each in e.facts.words):
            return True
        if any(each.startswith(words[0]) for each in asked_words):
            return True
    if _ACRONYM.fullmatch(name.text):
        links = r"\W+(?:(?:and|of|the|for)\W+)?"
        spelled = re.compile(
            r"\b" + links.join(rf"{c}\w*" for c in name.text.casefold() if c != "&")
        )
        if any(spelled.search(e.facts.in_order) for e in cited):
            return True
    stems = frozenset(term for word in words for term in vocabulary.terms(word))
    return bool(stems) and any(stems <= e.terms.terms | asked_terms for e in cited)


def _side_by_side(
    before: str, after: str, asked_words: AbstractSet[str], cited: Sequence[ClaimEvidence]
) -> bool:
    """Whether two words of one name follow each other in a passage, or one of them was asked."""
    left, right = (Name(text).words for text in (before, after))
    if not left or not right or left[-1] in asked_words or right[0] in asked_words:
        return True
    if not any(left[-1] in e.facts.words for e in cited):
        return True  # another form of the word: checked by itself
    between = rf" {re.escape(left[-1])}(?: \w+){{0,{_GAP}}} {re.escape(right[0])}\b"
    return any(re.search(between, e.facts.in_order) for e in cited)


def rivals(
    names: Sequence[Name],
    near: Sequence[tuple[str, str]],
    asked_words: AbstractSet[str],
) -> bool:
    """Whether what the sentence says is said of other names only.

    `near` are the texts that say it, each with the heading above it.
    """
    known = (name for name in names if not (name.abbreviated or _ACRONYM.fullmatch(name.text)))
    named = [word for name in known for word in name.words if word not in asked_words]
    new = frozenset(named)
    windows = [(f"{heading} {text}".casefold(), f"- {heading} {text}") for text, heading in near]
    missing = {word for word in new if not any(word in window for window, _ in windows)}
    if not windows or not named or named[0] not in missing:
        return False  # the first name is whom or what the sentence is about
    for _, text in windows:
        of_text = {word for name in names_of(text) for word in name.words}
        if not of_text - asked_words - new:
            return False
    return True
