"""Which one document a question asks to summarise, and its text as passages.

A document is meant when its file, title or company is named and nothing else is, or by "this
document" where filters or the collection leave only one.
"""

from typing import Final

from foliotrace.errors import LibraryUnavailable, NotFound
from foliotrace.events import RoutingSkipped, emit
from foliotrace.model import Document, Passage, Query, RetrievalMode
from foliotrace.query.plan.questions import QuestionPlan
from foliotrace.query.services import QueryServices
from foliotrace.query.subjects.asked_names import asked_files

NOTICE_NO_DOCUMENT: Final = (
    "A summary is made of one document. The question names none, or several: name its file or its"
    " title, or filter by `document_ids`. This answer is made of the passages that were found."
)
_NOUNS: Final = (
    "this whole document file report pdf text paper presentation filing copy named called"
)
_CHUNKS: Final = 1000  # read at once


async def asked_document(
    services: QueryServices, query: Query, plan: QuestionPlan
) -> tuple[Document | None, str | None]:
    """The one served document that the question asks to summarise, or why there is none.

    Neither where it asks about something else ("summarise the risks").
    """
    try:
        return await _asked(services, query, plan.target)
    except (LibraryUnavailable, NotFound) as error:
        emit(RoutingSkipped(reason=error.error_code))
        return None, None


async def _asked(
    services: QueryServices, query: Query, target: str
) -> tuple[Document | None, str | None]:
    tenant = query.principal.tenant
    vocabulary = services.vocabulary
    files = asked_files(target)
    named = files[0].rpartition(".")[0] if len(files) == 1 else target
    named = "".join(c if c.isalnum() else " " for c in named)
    nouns = set(vocabulary.terms(_NOUNS))
    terms = list(vocabulary.terms(named))
    own = [term for term in terms if term not in nouns]
    allowed = await _allowed(services, query)
    if not own:
        found = allowed if allowed is not None else await _all(services, query)
    else:
        identities = services.subjects.identities if services.subjects else None
        place = (tenant, query.collection)
        found = set(identities.covering(*place, own)) if identities else set()
        narrower = set(identities.covering(*place, terms)) if identities else set()
        found = narrower if len(narrower) == 1 else found
        if allowed is not None:
            found &= allowed
        if not found and not files:
            return None, None
    if len(found) != 1:
        return None, NOTICE_NO_DOCUMENT
    document = await services.library.document(tenant, found.pop())
    if document.revision is None or document.collection != query.collection:
        return None, NOTICE_NO_DOCUMENT
    return document, None


async def _allowed(services: QueryServices, query: Query) -> set[str] | None:
    """The documents that pass the filters; None without filters."""
    if not query.filters:
        return None
    tenant = query.principal.tenant
    return set(await services.library.matching(tenant, query.collection, query.filters))


async def _all(services: QueryServices, query: Query) -> set[str]:
    """The documents of the collection, at most two."""
    documents = await services.library.documents(
        query.principal.tenant, collection=query.collection, limit=2
    )
    return {document.id for document in documents}


async def passages_of(services: QueryServices, query: Query, document: Document) -> list[Passage]:
    """The whole document as passages, in order. Raises LibraryUnavailable, NotFound."""
    tenant = query.principal.tenant
    (label,) = await services.library.labels(tenant, [document.id])
    passages: list[Passage] = []
    after = -1
    while chunks := await services.library.document_chunks(
        tenant, document.id, after_ordinal=after, limit=_CHUNKS
    ):
        after = chunks[-1].ordinal
        passages += (label.passage(chunk, 1.0, RetrievalMode.KEYWORD) for chunk in chunks)
    return passages
