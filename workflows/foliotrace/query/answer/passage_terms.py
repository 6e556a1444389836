"""Passages taken apart into terms and units, kept while the library stands still."""

from collections import OrderedDict
from functools import lru_cache
from typing import Final

from foliotrace.model import Passage
from foliotrace.ports import Vocabulary
from foliotrace.query.answer.anchors import PageMap
from foliotrace.query.answer.quotes import PassageTerms, QuoteSpan, numbers_in, spans

_KEPT: Final = 4096
_KEPT_AROUND: Final = 256  # what a document or a table says of all its passages


class PassageTermsCache:
    """The readings of the passages asked for lately; none outlives a change of the library."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._kept: OrderedDict[tuple[str, str], PassageTerms] = OrderedDict()
        self._around = lru_cache(maxsize=_KEPT_AROUND)(self._terms)
        self._version = -1

    def keep_for(self, version: int) -> None:
        """Forget everything read under another library version: nothing deleted stays here."""
        if version != self._version:
            self._kept.clear()
            self._around.cache_clear()
            self._version = version

    def of(self, tenant: str, passage: Passage, page: PageMap) -> PassageTerms:
        """The passage's units and terms."""
        key = (tenant, passage.chunk_id)
        found = self._kept.get(key)
        if found is None:
            found = self._kept[key] = self._read(passage, page)
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return found

    def _read(self, passage: Passage, page: PageMap) -> PassageTerms:
        units = tuple(
            self._unit(passage, start, end, above) for start, end, above in spans(passage, page)
        )
        around = f"{passage.header} {passage.document_name} {passage.context}"
        terms = self._around(around).union(
            *(unit.terms for unit in units), *(unit.header_terms for unit in units if unit.header)
        )
        return PassageTerms(units, terms, numbers_in(f"{around} {passage.text}"))

    def _terms(self, text: str) -> frozenset[str]:
        return frozenset(self._vocabulary.terms(text))

    def _unit(self, passage: Passage, start: int, end: int, header: str) -> QuoteSpan:
        text = passage.text[start - passage.start : end - passage.start]
        return QuoteSpan(
            start=start,
            end=end,
            terms=self._terms(text),
            header=header,
            header_terms=self._around(header) if header else frozenset(),
        )
