"""Finds the documents that a synced index does not hold: a sync can skip files and succeed."""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from llama_cloud.types.retrieval_retrieve_response import Result

from foliotrace.errors import NotFound
from foliotrace.ports import LibraryReader

_TOGETHER: Final = 25
_HITS: Final = 200
_BEGINNING_CHARACTERS: Final = 200


class PresenceSearch(Protocol):
    """A search of the index among some documents."""

    async def __call__(
        self, question: str, *, top_k: int, document_ids: Sequence[str], rerank: bool
    ) -> Sequence[Result]:
        """Best first. Raises CloudFailure."""
        ...


async def not_found(
    search: PresenceSearch, library: LibraryReader, tenant: str, placed: Mapping[str, str]
) -> set[str]:
    """The documents of `placed` (id -> content hash) that the index does not find.

    Each is looked for by its first words: several in one search, then those that it did not bring
    one by one. Documents without a chunk cannot be found and count as present.
    """
    absent: set[str] = set()
    ids = sorted(placed)
    for at in range(0, len(ids), _TOGETHER):
        beginnings = {
            document_id: text
            for document_id in ids[at : at + _TOGETHER]
            if (text := await _beginning(library, tenant, document_id))
        }
        if not beginnings:
            continue
        all_words = " ".join(text[: 4 * _TOGETHER] for text in beginnings.values())
        seen = await _seen(search, all_words, {i: placed[i] for i in beginnings}, top_k=_HITS)
        for document_id in beginnings.keys() - seen:
            alone = {document_id: placed[document_id]}
            if not await _seen(search, beginnings[document_id], alone, top_k=1):
                absent.add(document_id)
    return absent


async def _seen(
    search: PresenceSearch, words: str, wanted: Mapping[str, str], *, top_k: int
) -> set[str]:
    """Those of `wanted` that have a hit made from their present content."""
    hits = await search(words, top_k=top_k, document_ids=list(wanted), rerank=False)
    return {i for i, content_hash in wanted.items() if any(is_of(h, i, content_hash) for h in hits)}


def is_of(hit: Result, document_id: str, content_hash: str) -> bool:
    """Whether the hit belongs to this content of the document, as far as the hit says."""
    metadata = hit.metadata or {}
    return (
        metadata.get("document_id") == document_id
        and metadata.get("content_hash", content_hash) == content_hash
    )


async def _beginning(library: LibraryReader, tenant: str, document_id: str) -> str:
    try:
        chunks = await library.document_chunks(tenant, document_id, limit=1)
    except NotFound:
        return ""  # deleted since; a later change removes it
    return chunks[0].text[:_BEGINNING_CHARACTERS] if chunks else ""
