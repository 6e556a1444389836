"""The terms of passages: their spans that can be quoted, and the cache of those used lately."""

import re
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from foliotrace.model import Passage
from foliotrace.ports import Vocabulary
from foliotrace.query.answer.anchors import PageMap
from foliotrace.query.answer.quoting.noise import noise_in
from foliotrace.query.answer.quoting.pieces import Piece, pieces
from foliotrace.text_caches import clear_on_deletion

_NUMBER: Final = re.compile(r"\d\d*(?:[.,]\d+)*")  # `\d+` in front would be searched slowly


@dataclass(frozen=True, slots=True)
class QuoteSpan:
    """A sentence or table row: its span on the page, its terms, and the header of its table."""

    start: int
    end: int
    terms: frozenset[str]
    header: str = ""
    header_terms: frozenset[str] = frozenset()
    heading_terms: frozenset[str] = frozenset()  # of the heading that it stands under
    is_heading: bool = False


@dataclass(frozen=True, slots=True)
class PassageTerms:
    """A passage as spans to quote. Terms and numbers include those of its context and header."""

    spans: tuple[QuoteSpan, ...]
    terms: frozenset[str]
    numbers: frozenset[str]
    identity: frozenset[str] = frozenset()
    noise: dict[tuple[int, int], str] = field(default_factory=dict, compare=False)  # by span

    def noise_of(self, passage: Passage, span: QuoteSpan) -> str:
        """The kind of text, among those that hardly ever answer, that a span is; "" for none.

        Worked out when first asked for: a language model's answer never asks.
        """
        key = (span.start, span.end)
        kind = self.noise.get(key)
        if kind is None:
            text = passage.text[span.start - passage.start : span.end - passage.start]
            kind = noise_in(text, is_heading=span.is_heading, is_row=bool(span.header))
            self.noise[key] = kind
        return kind


def numbers_in(text: str) -> frozenset[str]:
    """The numbers of a text without thousands separators and trailing zeros after a point."""
    return frozenset(_plain(number) for number in _NUMBER.findall(text))


def _plain(number: str) -> str:
    bare = number.replace(",", "")
    if bare.count(".") == 1:
        bare = bare.rstrip("0").rstrip(".")
    return bare.lstrip("0") or "0"


_MAX_PASSAGES: Final = 4096
_MAX_HEADERS: Final = 256  # text that a document or a table repeats in all its passages


class PassageTermsCache:
    """The spans and terms of the passages used lately, at one library version."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._passages: OrderedDict[tuple[str, str, int, str], PassageTerms] = OrderedDict()
        self._header_terms = lru_cache(maxsize=_MAX_HEADERS)(self._terms)
        self._version = -1
        clear_on_deletion(self)

    def clear(self) -> None:
        """Drop all terms."""
        self._passages.clear()
        self._header_terms.cache_clear()

    def keep_for(self, version: int) -> None:
        """Forget what another library version held, so that nothing deleted stays in memory."""
        if version != self._version:
            self.clear()
            self._version = version

    def of(self, tenant: str, passage: Passage, page: PageMap) -> PassageTerms:
        """The passage's spans and terms."""
        # The text too: a managed index may word a chunk anew at the same library version.
        key = (tenant, passage.chunk_id, passage.start, passage.text)
        terms = self._passages.get(key)
        if terms is None:
            terms = self._passages[key] = self._analysed(passage, page)
            if len(self._passages) > _MAX_PASSAGES:
                self._passages.popitem(last=False)
        return terms

    def _analysed(self, passage: Passage, page: PageMap) -> PassageTerms:
        found = list(pieces(passage, page))
        at = passage.start
        texts = [passage.text[piece.start - at : piece.end - at] for piece in found]
        spans = tuple(
            self._span(piece, terms)
            for piece, terms in zip(found, self._vocabulary.terms_of_each(texts), strict=True)
        )
        identity = self._header_terms(f"{passage.header} {passage.document_name}")
        terms = identity.union(
            self._header_terms(passage.context),
            *(span.terms for span in spans),
            *(span.header_terms for span in spans if span.header),
        )
        header = f"{passage.header} {passage.document_name} {passage.context}"
        return PassageTerms(spans, terms, numbers_in(f"{header} {passage.text}"), identity)

    def _terms(self, text: str) -> frozenset[str]:
        return frozenset(self._vocabulary.terms(text))

    def _span(self, piece: Piece, terms: Sequence[str]) -> QuoteSpan:
        return QuoteSpan(
            start=piece.start,
            end=piece.end,
            terms=frozenset(terms),
            header=piece.header,
            header_terms=self._header_terms(piece.header) if piece.header else frozenset(),
            heading_terms=self._header_terms(piece.heading) if piece.heading else frozenset(),
            is_heading=piece.is_heading,
        )
