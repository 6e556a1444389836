"""What the documents of one collection say they are: names with their short forms, and periods.

Every look-up is a look-up in a table, so its cost does not grow with the number of documents.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, TypeVar

from foliotrace.model import Document
from foliotrace.model.name_words import WORD, bare_word

K = TypeVar("K", bound=Hashable)

_YEAR: Final = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")
_QUARTER: Final = re.compile(r"\bQ([1-4]) ((?:19|20)\d\d)\b")
_ANNUAL: Final = re.compile(r"annual|10-K|20-F", re.I)
_SEPARATORS: Final = re.compile(r"[_\-]+|\.(?=\w\w)")  # "Amazon.com" is two words, "U.S" one
_NO_NAME: Final = frozenset(
    {
        *("inc", "corp", "corporation", "company", "co", "plc", "ltd", "limited", "llc", "llp"),
        *("gmbh", "ag", "holdings", "group", "the", "and", "of"),
        *("form", "report", "quarterly", "annual", "current"),
    }
)
_FUZZY_LENGTH: Final = 5  # characters: shorter names are another name after one change
_TICKER_LENGTHS: Final = range(2, 6)
_MAX_TICKER_COMPANIES: Final = 500  # with one first letter; beyond, tickers are not guessed


@dataclass(frozen=True, slots=True)
class _Entry:
    """What one document adds to the tables."""

    words: frozenset[str]
    near: frozenset[str]
    files: frozenset[str]
    company: str
    keys: frozenset[str]  # under which its periods are kept
    years: frozenset[int]
    quarters: frozenset[tuple[int, int]]


@dataclass(slots=True)
class _Periods:
    """The periods that the documents under one key cover."""

    documents: int = 0
    years: Counter[int] = field(default_factory=Counter)
    quarters: Counter[tuple[int, int]] = field(default_factory=Counter)
    undated: int = 0
    without_quarter: int = 0

    def count(self, entry: _Entry, sign: int) -> None:
        """Add a document's periods (`sign` 1), or take them away (-1)."""
        self.documents += sign
        _add(self.years, entry.years, sign)
        _add(self.quarters, entry.quarters, sign)
        self.undated += sign * (not entry.years)
        self.without_quarter += sign * (not entry.quarters)


class CollectionNames:
    """The names and periods of a collection's documents; `put` and `drop` keep it current."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        self._words = Counter[str]()
        self._near = Counter[str]()
        self._files = Counter[str]()
        self._companies: dict[str, Counter[str]] = defaultdict(Counter)
        self._periods: dict[str, _Periods] = defaultdict(_Periods)

    def put(self, document: Document) -> None:
        """Add a document, or replace what it said before."""
        self.drop(document.id)
        entry = _entry(document)
        self._entries[document.id] = entry
        self._count(entry, 1)

    def drop(self, document_id: str) -> None:
        """Forget a document."""
        entry = self._entries.pop(document_id, None)
        if entry is not None:
            self._count(entry, -1)

    def _count(self, entry: _Entry, sign: int) -> None:
        for table, words in ((self._words, entry.words), (self._near, entry.near)):
            _add(table, words, sign)
        _add(self._files, entry.files, sign)
        if entry.company:
            _add(self._companies[entry.company[0]], (entry.company,), sign)
        for key in entry.keys:
            periods = self._periods[key]
            periods.count(entry, sign)
            if not periods.documents:  # a deleted document's name must neither answer nor stay
                del self._periods[key]

    def holds_file(self, name: str) -> bool:
        """Whether a document has this file name, in any case."""
        return name in self._files

    def holds(self, word: str, *, acronym: bool = False) -> bool:
        """Whether an identity has the word, its misspelling by one letter, or the ticker."""
        if word in self._words:
            return True
        if len(word) >= _FUZZY_LENGTH and any(near in self._near for near in _with_one_less(word)):
            return True
        return acronym and self._is_ticker(word)

    def _is_ticker(self, word: str) -> bool:
        companies = self._companies.get(word[0], Counter())
        if len(word) not in _TICKER_LENGTHS or len(companies) > _MAX_TICKER_COMPANIES:
            return False
        return any(_is_subsequence(word, company) for company in companies)

    def lacks_year(self, names: frozenset[str], year: int) -> bool:
        """Whether no document about `names` (all documents if empty) covers the year.

        False where a document does not say its period.
        """
        found = self._about(names)
        return (
            bool(found)
            and all(p.years and not p.undated for p in found)
            and not any(p.years[year] for p in found)
        )

    def lacks_quarter(self, names: frozenset[str], year: int, quarter: int) -> bool:
        """Likewise for a quarter; an annual report may hold each quarter of its years."""
        found = self._about(names)
        return (
            bool(found)
            and all(p.quarters and not p.without_quarter for p in found)
            and not any(p.quarters[year, quarter] for p in found)
        )

    def _about(self, names: frozenset[str]) -> list[_Periods]:
        found = [self._periods[name] for name in names if name in self._periods]
        if found or "" not in self._periods:
            return found
        return [self._periods[""]]


def _add(table: Counter[K], keys: Iterable[K], sign: int) -> None:
    for key in keys:
        table[key] += sign
        if not table[key]:
            del table[key]


def _entry(document: Document) -> _Entry:
    identity = document.identity
    company = _plain(identity.company or "")
    stem = document.name.rpartition(".")[0] or document.name
    file_words = _plain(stem)
    words = {w for part in (company, file_words, _plain(identity.title or "")) for w in part}
    for part in (company, file_words):
        words.update(_joined(part))
    full = [bare_word(w) for w in WORD.findall(identity.company or "")]
    for initials in ("".join(w[0] for w in full), "".join(w[0] for w in company)):
        if len(initials) > 1:
            words.add(initials)
    long = [w for w in {*company, *_joined(company)} if len(w) >= _FUZZY_LENGTH]
    years, quarters = _covered(document)
    name = document.name.lower()
    return _Entry(
        words=frozenset(words),
        near=frozenset(near for word in long for near in _with_one_less(word)),
        files=frozenset({name, name.rpartition(" ")[2]}),  # a question's last word of "Q3 A.pdf"
        company="".join(w for w in full if w not in ("the", "and", "of")),
        keys=frozenset({"", *company, *file_words}),
        years=years,
        quarters=quarters,
    )


def _plain(text: str) -> list[str]:
    words = (bare_word(found) for found in WORD.findall(_SEPARATORS.sub(" ", text)))
    return [w for w in words if w not in _NO_NAME and not w.isdigit()]


def _joined(words: list[str]) -> Iterator[str]:
    return (a + b for a, b in pairwise(words))


def _covered(document: Document) -> tuple[frozenset[int], frozenset[tuple[int, int]]]:
    """Years and quarters that a document reports on: its own and those it compares with."""
    identity = document.identity
    stated = identity.period or ""
    annual = bool(_ANNUAL.search(identity.kind or ""))
    own = {int(year) for year in _YEAR.findall(stated)}
    years = {year - back for year in own for back in range(3 if annual else 2)}
    named = {(int(year), int(quarter)) for quarter, year in _QUARTER.findall(stated)}
    quarters = {(year - back, quarter) for year, quarter in named for back in range(2)}
    if annual:
        quarters = {(year, quarter) for year in years for quarter in range(1, 5)}
    return frozenset(years), frozenset(quarters)


def _with_one_less(word: str) -> set[str]:
    """The word, and it with each of its letters left out: misspellings of one word share one."""
    return {word, *(word[:at] + word[at + 1 :] for at in range(len(word)))}


def _is_subsequence(word: str, of: str) -> bool:
    letters = iter(of)
    return all(letter in letters for letter in word)
