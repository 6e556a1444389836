"""Finds what a question asks about that the collection does not hold: names, periods, files.

A name is held when a document's identity has it (also misspelt, as initials or ticker), when it
stands on 5 % of one document's pages, or when a sentence or row that was found speaks of it and of
most of the rest of the question. Words that the collection writes in lower case are no names.
Calibrated in bench/subjects.py.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from foliotrace.model import Query
from foliotrace.ports import LibraryReader, NameStatistics
from foliotrace.query.answer.quotes import weigh
from foliotrace.query.answer.quoting.passage_terms import PassageTerms, numbers_in
from foliotrace.query.subjects.asked_attributes import asked_attributes
from foliotrace.query.subjects.asked_codes import AskedCode, asked_codes
from foliotrace.query.subjects.asked_names import (
    AskedName,
    AskedYear,
    asked_files,
    asked_names,
    asked_years,
)
from foliotrace.query.subjects.identities import DocumentIdentities
from foliotrace.query.subjects.identity_names import CollectionNames

COMMON_WORD: Final = 3  # passages that write a word in lower case: from here on it is no name
MIN_PAGE_SHARE: Final = 0.05  # of one document's pages
MIN_OWN_PAGE_SHARE: Final = 0.15  # where the question asks for something of the name's own
MIN_EVIDENCE: Final = 0.6  # of the rest of the question, in one sentence or row with the name
MIN_ATTRIBUTE: Final = 0.5  # of an attribute with an unknown word, in one sentence or row
MANY_PASSAGES: Final = 256  # that write a name: then the collection speaks of it


@dataclass(frozen=True, slots=True)
class Subjects:
    """What a question names: `missing`, as it writes it, is not held.

    `unwritten` are terms that no passage holds although they name what is held (a ticker).
    `documents` are the ids of those that write all codes of the question, as far as that is known.
    """

    missing: tuple[str, ...] = ()
    unwritten: frozenset[str] = frozenset()
    documents: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question with what was found for it."""

    query: Query
    weights: Mapping[str, float]
    found: Sequence[PassageTerms]


_FISCAL: Final = re.compile(r"\bfiscal\b|\bFY", re.I)


class SubjectCheck:
    """Says which names, periods and files of a question its collection does not hold."""

    def __init__(
        self, identities: DocumentIdentities, names: NameStatistics, library: LibraryReader
    ) -> None:
        self._identities = identities
        self._names = names
        self._library = library

    @property
    def identities(self) -> DocumentIdentities:
        """The documents by what they say of themselves."""
        return self._identities

    def names_held(self, query: Query, words: Sequence[str]) -> bool:
        """Whether the identity of a document in the collection has one of the words."""
        held = self._identities.names_of(query.principal.tenant, query.collection)
        return held is not None and any(held.holds(word) for word in words)

    def writes(self, query: Query, words: Sequence[str]) -> bool:
        """Whether the collection writes each of the words. Raises IndexUnavailable."""
        tenant, collection = query.principal.tenant, query.collection
        return all(self._names.word_counts(words, tenant=tenant, collection=collection))

    async def of(self, query: Query, found: Sequence[PassageTerms]) -> Subjects:
        """What is missing, and which words of the question are other spellings of what is held.

        `found` are the passages that were retrieved. Raises IndexUnavailable, LibraryUnavailable,
        NotFound when a document is deleted meanwhile.
        """
        await self._identities.follow()
        held = self._identities.names_of(query.principal.tenant, query.collection)
        if held is None:
            return Subjects()
        asked = _Asked(query, self._weights(query), found)
        files = [name for name in asked_files(query.text) if not held.holds_file(name)]
        names = asked_names(query.text)
        known = [n for n in names if _is_identity(n, held) and self._names.terms(n.text)]
        others = [name for name in names if name not in known]
        absent = [n.text for n in others if await self._is_absent(n, asked, known)]
        absent += self._absent_attributes(asked, known)
        absent += self._absent_periods(asked, known, held)
        codes = asked_codes(query.text)
        absent += [code.text for code in codes if not self._is_written(code, query)]
        documents = await self._writing(codes, query) if codes and not absent else frozenset()
        missing = tuple(dict.fromkeys([*files, *absent]))
        return Subjects(missing, self._unwritten(known, query), documents)

    def _unwritten(self, known: Sequence[AskedName], query: Query) -> frozenset[str]:
        """The terms of held names that no passage writes: misspellings and tickers."""
        words = [word for name in known for word in name.words]
        tenant, collection = query.principal.tenant, query.collection
        counts = self._names.word_counts(words, tenant=tenant, collection=collection)
        return frozenset(
            term
            for word, count in zip(words, counts, strict=True)
            if not count
            for term in self._names.terms(word)
        )

    def _weights(self, query: Query) -> Mapping[str, float]:
        tenant, collection = query.principal.tenant, query.collection
        terms = self._names.terms(query.text)
        rarity = self._names.weights(terms, tenant=tenant, collection=collection)
        return weigh(terms, dict(zip(terms, rarity, strict=True)))

    # --- names -----------------------------------------------------------------------------

    async def _is_absent(self, name: AskedName, asked: _Asked, known: Sequence[AskedName]) -> bool:
        if not (name.capitalised or name.possessive or name.subject):
            return False
        if self._names.question(name.text).instead:
            return False  # the lexicon knows what documents write for it: "R&D"
        unknown, proper = self._spelled(name, asked.query)
        if unknown:
            short = name.defined or (name.acronym and bool(known))  # "COGS" of a known company
            return name.possessive or name.subject or (not short and name.capitalised)
        if name.acronym and not (name.possessive or name.subject):
            return False
        if proper:
            return not (
                (known and not name.possessive)
                or await self._speaks_of(proper, asked.query, own=name.possessive)
                or self._evidence(asked, set(self._names.terms(proper)), known)
            )
        # Only common words: "Best Buy's", or "Best Buy" in a question about a year.
        phrase = name.pairs[0] if name.pairs else name.words[0]
        if not (name.capitalised and (name.possessive or (name.pairs and name.subject))):
            return False
        return not (
            await self._speaks_of(phrase, asked.query)
            or self._evidence(asked, set(self._names.terms(phrase)), known)
        )

    def _spelled(self, name: AskedName, query: Query) -> tuple[bool, str]:
        """(whether a word of the name is in no passage, the rarest word written as a name only)."""
        tenant, collection = query.principal.tenant, query.collection
        proper, fewest = "", 0
        for word in name.words:
            if not self._names.terms(word):
                continue  # a stop word
            (total,) = self._names.word_counts([word], tenant=tenant, collection=collection)
            if not total:
                return True, ""
            (named,) = self._names.name_counts([word], tenant=tenant, collection=collection)
            if named and total - named < COMMON_WORD and (not proper or named < fewest):
                proper, fewest = word, named
        return False, proper

    async def _speaks_of(self, name: str, query: Query, *, own: bool = False) -> bool:
        """Whether the name stands on enough pages of one document.

        More of them where the question is about something of its `own`.
        """
        needed = MIN_OWN_PAGE_SHARE if own else MIN_PAGE_SHARE
        tenant, collection = query.principal.tenant, query.collection
        ids = self._names.naming(name, tenant=tenant, collection=collection, limit=MANY_PASSAGES)
        if len(ids) >= MANY_PASSAGES:
            return True
        chunks = await self._library.chunks(tenant, ids)
        pages = Counter(document for document, _ in {(c.document_id, c.page) for c in chunks})
        for document_id, count in pages.most_common():
            document = await self._library.document(tenant, document_id)
            if count >= needed * document.pages_total:
                return True
        return False

    def _evidence(
        self,
        asked: _Asked,
        terms: set[str],
        known: Sequence[AskedName],
        *,
        of_known: bool = False,
    ) -> bool:
        """Whether a sentence or row holds `terms` and most of the rest of the question.

        `of_known`: in a passage that a known name, or the identity of its document, stands in.
        """
        about = {t for name in known for word in name.words for t in self._names.terms(word)}
        rest = {t: w for t, w in asked.weights.items() if t not in terms and t not in about}
        needed = MIN_EVIDENCE * sum(rest.values())
        named = about - self._unwritten(known, asked.query) if of_known else about
        for passage in asked.found:
            if of_known and named and not named & passage.terms:
                continue
            for span in passage.spans:
                here = span.terms | span.header_terms
                if terms <= here and sum(w for t, w in rest.items() if t in here) >= needed:
                    return True
        return False

    # --- codes -----------------------------------------------------------------------------

    def _is_written(self, code: AskedCode, query: Query) -> bool:
        """Whether the collection writes all parts of a code, if only in names of documents."""
        parts = code.divided if code.divided and not self.writes(query, [code.text]) else code.parts
        return all(self.writes(query, [p]) or self.names_held(query, [p.casefold()]) for p in parts)

    async def _writing(self, codes: Sequence[AskedCode], query: Query) -> frozenset[str]:
        """The ids of the documents that write each code, found by its capital letters."""
        tenant, collection = query.principal.tenant, query.collection
        of_codes = []
        for code in codes:
            words = [part.casefold() for part in code.parts if not part.isdigit()]
            name = max(words, key=len, default="")
            ids = self._names.naming(
                name, tenant=tenant, collection=collection, limit=MANY_PASSAGES
            )
            chunks = await self._library.chunks(tenant, ids)
            of_codes.append({c.document_id for c in chunks if code.stands_in(c.text)})
        return frozenset(set.intersection(*of_codes))

    # --- attributes ------------------------------------------------------------------------

    def _absent_attributes(self, asked: _Asked, known: Sequence[AskedName]) -> list[str]:
        """Attributes with a word that the collection never writes.

        An unknown last word may be called otherwise where something found covers the others. Words
        that the lexicon has other words for are left out: documents may write those.
        """
        tenant, collection = asked.query.principal.tenant, asked.query.collection
        reading = self._names.question(asked.query.text)
        instead = frozenset[str]().union(*(phrase for phrase, _ in reading.instead))
        about = {term for name in known for word in name.words for term in self._names.terms(word)}
        absent = []

        def terms_of(word: str) -> Sequence[str]:  # "Apple's latest report": no attribute
            return [t for t in self._names.terms(word) if t not in reading.generic]

        for attribute, words in asked_attributes(asked.query.text, terms_of):
            counts = self._names.word_counts(words, tenant=tenant, collection=collection)
            terms = {term for word in words for term in self._names.terms(word)} - about
            unknown = [
                not count and not instead.issuperset(self._names.terms(word))
                for word, count in zip(words, counts, strict=True)
            ]
            # "dental insurance" is about teeth; "vacation entitlements" may be called otherwise.
            if any(unknown[:-1]) or (unknown[-1] and terms and not self._covered(asked, terms)):
                absent.append(attribute)
        return absent

    def _covered(self, asked: _Asked, terms: set[str]) -> bool:
        """Whether one sentence or row that was found holds half of `terms`."""
        needed = MIN_ATTRIBUTE * len(terms)
        return any(
            len(terms & span.terms) >= needed for passage in asked.found for span in passage.spans
        )

    # --- periods ---------------------------------------------------------------------------

    def _absent_periods(
        self, asked: _Asked, known: Sequence[AskedName], held: CollectionNames
    ) -> list[str]:
        about = frozenset(word for name in known for word in name.words)
        absent = []
        years = asked_years(asked.query.text)
        fiscal = {each.year for each in years if self._is_fiscal(asked, about, held, each)}
        for asked_year in years:
            year, quarter = asked_year.year, asked_year.quarter
            if year in fiscal:
                continue  # documents may be named by the year in which their quarter ended
            if quarter is not None:
                if held.lacks_quarter(about, year, quarter):
                    absent.append(str(asked_year))
            elif asked_year.forward and not held.lacks_year(about, year - 1):
                continue  # a report on one year may speak of plans for the next
            elif held.lacks_year(about, year) and not self._evidence(
                asked, set(numbers_in(str(year))), known, of_known=True
            ):
                absent.append(str(asked_year))
        return absent

    def _is_fiscal(
        self, asked: _Asked, about: frozenset[str], held: CollectionNames, each: AskedYear
    ) -> bool:
        """Whether it is a quarter of a fiscal year that documents of the year before write of."""
        if each.quarter is None or not _FISCAL.search(asked.query.text):
            return False
        written = any(str(each.year) in passage.numbers for passage in asked.found)
        return written and not held.lacks_quarter(about, each.year - 1, each.quarter)


def _is_identity(name: AskedName, held: CollectionNames) -> bool:
    joined = "".join(name.words)
    return held.holds(joined, acronym=name.acronym) or any(
        held.holds(word, acronym=name.acronym) for word in name.words
    )
