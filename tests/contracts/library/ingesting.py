"""Documents on their way into the library under test."""

from tests.ingest.pages import blob

from foliotrace.model import Document
from foliotrace.ports import DocumentDraft, Library


def draft(name: str = "notes.txt", content_hash: str = "a" * 64, **more: object) -> DocumentDraft:
    return DocumentDraft(collection="default", name=name, blob=blob(content_hash), **more)  # type: ignore[arg-type]


async def ingesting_document(
    library: Library, pages_total: int = 2, revision: str = "r1"
) -> Document:
    document = (await library.register("t1", draft())).document
    await library.begin("t1", document.id, revision=revision, pages_total=pages_total)
    return document
