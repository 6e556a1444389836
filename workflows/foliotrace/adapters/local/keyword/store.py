"""The tantivy files of one collection's keyword index.

Each (tenant, collection) has files of its own: BM25 counts the chunks of that collection only, so
what others store changes no score, and a search needs no clause for the collection.
"""

import contextlib
import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from threading import RLock
from typing import Final, NamedTuple

import orjson
from tantivy import Document as Entry
from tantivy import Index, Query, Schema, SchemaBuilder, Searcher
from tantivy import IndexWriter as TantivyWriter

from foliotrace.adapters.local.keyword.languages import LANGUAGES, Forms
from foliotrace.adapters.local.lru_cache import LruCache
from foliotrace.catalog import Reason
from foliotrace.errors import IndexUnavailable
from foliotrace.model import Chunk
from foliotrace.model.name_words import names_in

LAYOUT: Final = 6  # raise when the fields below change: an index of another layout is rebuilt
_HEAP_BYTES: Final = 128_000_000  # used as needed; a fuller one leaves fewer segments
_HALF: Final = 12  # hex digits of a chunk id that fit a fast integer field
_CACHED_WEIGHTS: Final = 20_000
PLACE_CHARACTERS: Final = 8_000  # a printed page; a text file of one "page" has several places


@dataclass(frozen=True, slots=True)
class IndexedTexts:
    """What a chunk is found by: one value for each text field of the index."""

    body: str
    page: str
    titles: str
    shape: str
    language: str
    forms: Forms


class Hit(NamedTuple):
    """A chunk that was found, its score, and the place it shares with its neighbours."""

    chunk: tuple[int, int]  # its id, in two halves
    score: float
    place: int

    @property
    def chunk_id(self) -> str:
        """The id of the chunk."""
        head, tail = self.chunk
        return f"{head:0{_HALF}x}{tail:0{_HALF}x}"


def _place(chunk: Chunk) -> int:
    """A number that chunks share which lie within PLACE_CHARACTERS of one page."""
    part = f"{chunk.document_id}|{chunk.page}|{chunk.start // PLACE_CHARACTERS}"
    return int.from_bytes(blake2b(part.encode(), digest_size=7).digest())


def idf(chunks: int, matching: int) -> float:
    """BM25's inverse document frequency; above 0."""
    return math.log1p((max(chunks - matching, 0) + 0.5) / (matching + 0.5))


def schema() -> Schema:
    """The fields of the index. A chunk id is two integers, so that hits need no stored document.

    `body` is the chunk with its document's identity, `page` the page around it, `titles` the
    headings and captions that stand over it, `shape` what kind of page it is on (`PageText`).
    `forms` and `parts` are the stems of other languages than English (`languages.forms`).
    Chunks of one `place` lie near each other on one page.
    """
    fields = SchemaBuilder()
    fields.add_text_field("document", tokenizer_name="raw", index_option="basic")
    fields.add_text_field("body", tokenizer_name="en_stem", index_option="freq")
    fields.add_text_field("page", tokenizer_name="en_stem", index_option="freq")
    fields.add_text_field("titles", tokenizer_name="en_stem", index_option="position")
    fields.add_text_field("forms", tokenizer_name="whitespace", index_option="freq")
    fields.add_text_field("parts", tokenizer_name="whitespace", index_option="freq")
    fields.add_text_field("language", tokenizer_name="raw", index_option="basic")
    fields.add_text_field("shape", tokenizer_name="raw", index_option="basic")
    fields.add_text_field("names", tokenizer_name="raw", index_option="basic")
    fields.add_unsigned_field("id_head", fast=True)
    fields.add_unsigned_field("id_tail", fast=True)
    fields.add_unsigned_field("place", fast=True)
    fields.add_text_field("marker", tokenizer_name="raw", index_option="basic")
    fields.add_text_field("state", stored=True, tokenizer_name="raw", index_option="basic")
    return fields.build()


@contextlib.contextmanager
def unavailable_on_damage() -> Iterator[None]:
    """Turn failures of tantivy, panics included, into IndexUnavailable."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise IndexUnavailable(reason=Reason.KEYWORD_INDEX_UNAVAILABLE) from error
    except BaseException as error:  # a Rust panic derives from BaseException and has no module
        if type(error).__name__ != "PanicException":
            raise
        raise IndexUnavailable(reason=Reason.KEYWORD_INDEX_UNAVAILABLE) from error


class KeywordStore:
    """An open index in `folder`. Every method may raise IndexUnavailable."""

    def __init__(self, folder: Path, library_id: int, *, create: bool) -> None:
        self.folder = folder
        self.library_id = library_id
        self.schema = schema()
        self._writer: TantivyWriter | None = None
        # A cancelled task leaves its thread running: closing waits for the call under way there.
        self._writing = RLock()
        self._closed = False
        self._counts: LruCache[tuple[str, str], int] = LruCache(_CACHED_WEIGHTS)
        self._frequencies: LruCache[tuple[str, str], int] = LruCache(_CACHED_WEIGHTS)
        self._removed = 0  # documents removed since the index was built, up to the last commit
        self._removing = 0  # documents removed since the last commit
        with unavailable_on_damage():
            if create:
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
                self._index = Index(self.schema, path=str(folder))
            else:
                self._index = _open(folder)
            # Reloaded by hand: hits must come from the version that `self.version` states.
            self._index.config_reader(reload_policy="manual")
            if create:
                self.commit(0)
            self.searcher, self.version = self._reloaded()

    def _reloaded(self) -> tuple[Searcher, int]:
        self._index.reload()
        searcher = self._index.searcher()
        version, self._removed = _marked(searcher, self.schema, self.library_id)
        return searcher, version

    def reload(self) -> None:
        """Load what was committed since, by this or another process."""
        with unavailable_on_damage():
            self.searcher, self.version = self._reloaded()
        self._counts.clear()
        self._frequencies.clear()

    def search(self, query: Query, limit: int) -> list[Hit]:
        """Best first."""
        with unavailable_on_damage():
            searcher = self.searcher
            hits = searcher.search(query, limit, count=False).hits
            addresses = [address for _, address in hits]
            heads = searcher.fast_field_values("id_head", addresses)
            tails = searcher.fast_field_values("id_tail", addresses)
            places = searcher.fast_field_values("place", addresses)
        return [
            Hit((int(head or 0), int(tail or 0)), float(score), int(place or 0))
            for (score, _), head, tail, place in zip(hits, heads, tails, places, strict=True)
        ]

    def weight(self, term: str) -> float:
        """BM25's idf of a term over the chunks; above 0."""
        return idf(self.chunks, self.count("body", term))

    def count(self, field: str, term: str) -> int:
        """How many chunks hold the term in `field` (body or names)."""
        known = self._counts.get((field, term))
        if known is None:
            with unavailable_on_damage():
                known = self._count(field, term)
            self._counts.put((field, term), known)
        return known

    @property
    def chunks(self) -> int:
        """How many chunks are stored."""
        return self.searcher.num_docs - 1  # without the marker

    def frequency(self, field: str, term: str) -> int:
        """How many chunks hold the term in `field`; removed ones may still count."""
        known = self._frequencies.get((field, term))
        if known is None:
            with unavailable_on_damage():
                known = self.searcher.doc_freq(field, term)
            self._frequencies.put((field, term), known)
        return known

    def _count(self, field: str, term: str) -> int:
        if not self.holds_removed():
            return self.searcher.doc_freq(field, term)
        # The dictionary still counts removed chunks that were not merged away.
        query = Query.term_query(self.schema, field, term, "basic")
        result = self.searcher.search(query, 1, count=True)
        return int(result.count)  # type: ignore[attr-defined] # tantivy's stub leaves it out

    def languages(self) -> tuple[str, ...]:
        """Those in which pages are stored, of `languages.LANGUAGES`."""
        return tuple(language for language in LANGUAGES if self.count("language", language))

    def naming(self, name: str, limit: int) -> list[str]:
        """Ids of chunks that hold the name, in no order."""
        query = Query.term_query(self.schema, "names", name, "basic")
        return [hit.chunk_id for hit in self.search(query, limit)]

    def add(self, chunk: Chunk, texts: IndexedTexts) -> None:
        """Index a chunk; visible after the next commit."""
        with self._writing:
            self._open_writer().add_document(
                Entry.from_dict(
                    {
                        "document": chunk.document_id,
                        "body": texts.body,
                        "page": texts.page,
                        "titles": texts.titles,
                        "forms": " ".join(texts.forms.stems),
                        "parts": " ".join(texts.forms.parts),
                        "language": texts.language,
                        "shape": texts.shape,
                        "names": names_in(f"{chunk.context}\n{chunk.text}"),
                        "id_head": int(chunk.id[:_HALF], 16),
                        "id_tail": int(chunk.id[_HALF:], 16),
                        "place": _place(chunk),
                    },
                    self.schema,
                )
            )

    def remove(self, document_id: str) -> None:
        """Remove all chunks of a document; visible after the next commit."""
        with self._writing:
            self._removing += bool(self.searcher.doc_freq("document", document_id))
            self._open_writer().delete_documents_by_term("document", document_id)

    def commit(self, version: int) -> None:
        """Make the changes visible and durable, together with the library version they lead to."""
        with self._writing:
            writer = self._open_writer()
            writer.delete_documents_by_term("marker", "library")
            removed = self._removed + self._removing
            state = orjson.dumps([LAYOUT, self.library_id, version, removed]).decode()
            writer.add_document(Entry.from_dict({"marker": "library", "state": state}, self.schema))
            writer.commit()
            self._removed, self._removing = removed, 0

    def holds_removed(self) -> bool:
        """Whether the files may still contain words of removed chunks."""
        return self._removed > 0

    def _open_writer(self) -> TantivyWriter:
        if self._closed:
            raise IndexUnavailable(reason=Reason.KEYWORD_INDEX_LOCKED)
        if self._writer is None:
            try:
                # One thread: more of them write more segments, and each needs its own heap.
                self._writer = self._index.writer(heap_size=_HEAP_BYTES, num_threads=1)
            except ValueError as error:
                if "lock" not in str(error).lower():
                    raise
                raise IndexUnavailable(reason=Reason.KEYWORD_INDEX_LOCKED) from error
        return self._writer

    def close(self) -> None:
        """Release the write lock and refuse to write again. May be called twice."""
        with self._writing:
            self._closed = True
        self.release()

    def release(self) -> None:
        """Release the write lock until the next write."""
        with self._writing:
            writer, self._writer = self._writer, None
        if writer is not None:
            with unavailable_on_damage():
                # This consumes the writer, which releases its lock.
                writer.wait_merging_threads()


def _open(folder: Path) -> Index:
    if not (folder / "meta.json").exists():
        raise OSError("no index here")
    return Index.open(str(folder))


def _marked(searcher: Searcher, fields: Schema, library_id: int) -> tuple[int, int]:
    """(library version, documents removed since the index was built), from the marker.

    Raises ValueError if the index belongs to another library or layout.
    """
    query = Query.term_query(fields, "marker", "library", "basic")
    hits = searcher.search(query, 1, count=False).hits
    if not hits:
        raise ValueError("the index has no marker")
    layout, owner, *counts = orjson.loads(searcher.doc(hits[0][1])["state"][0])
    if (layout, owner) != (LAYOUT, library_id):
        raise ValueError("the index belongs to another library or release")
    version, removed = counts
    return int(version), int(removed)
