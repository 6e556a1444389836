"""Passages as spans and terms, cached for as long as the library does not change."""

from collections import OrderedDict
from functools import lru_cache
from typing import Final

from foliotrace.model import Passage
from foliotrace.ports import Vocabulary
from foliotrace.query.answer.anchors import PageMap
from foliotrace.query.answer.quotes import PassageTerms, QuoteSpan, numbers_in, quotable_spans

_MAX_PASSAGES: Final = 4096
_MAX_HEADERS: Final = 256  # text that a document or a table repeats in all its passages


class PassageTermsCache:
    """The spans and terms of the passages used lately, at one library version."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._passages: OrderedDict[tuple[str, str], PassageTerms] = OrderedDict()
        self._header_terms = lru_cache(maxsize=_MAX_HEADERS)(self._terms)
        self._version = -1

    def keep_for(self, version: int) -> None:
        """Forget what another library version held, so that nothing deleted stays in memory."""
        if version != self._version:
            self._passages.clear()
            self._header_terms.cache_clear()
            self._version = version

    def of(self, tenant: str, passage: Passage, page: PageMap) -> PassageTerms:
        """The passage's spans and terms."""
        key = (tenant, passage.chunk_id)
        terms = self._passages.get(key)
        if terms is None:
            terms = self._passages[key] = self._analysed(passage, page)
            if len(self._passages) > _MAX_PASSAGES:
                self._passages.popitem(last=False)
        return terms

    def _analysed(self, passage: Passage, page: PageMap) -> PassageTerms:
        spans = tuple(
            self._span(passage, start, end, header)
            for start, end, header in quotable_spans(passage, page)
        )
        header = f"{passage.header} {passage.document_name} {passage.context}"
        terms = self._header_terms(header).union(
            *(span.terms for span in spans), *(span.header_terms for span in spans if span.header)
        )
        return PassageTerms(spans, terms, numbers_in(f"{header} {passage.text}"))

    def _terms(self, text: str) -> frozenset[str]:
        return frozenset(self._vocabulary.terms(text))

    def _span(self, passage: Passage, start: int, end: int, header: str) -> QuoteSpan:
        text = passage.text[start - passage.start : end - passage.start]
        return QuoteSpan(
            start=start,
            end=end,
            terms=self._terms(text),
            header=header,
            header_terms=self._header_terms(header) if header else frozenset(),
        )
