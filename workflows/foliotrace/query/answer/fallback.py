"""When nothing can be retrieved: an older answer whose sources stand, or an honest sentence."""

from dataclasses import replace
from typing import Final

from foliotrace.errors import CacheUnavailable, LibraryUnavailable, NotFound
from foliotrace.events import StaleLookupFailed, emit
from foliotrace.model import Answer, AnswerMode, CacheState, Usage
from foliotrace.ports import Clock, DocumentReader, StaleAnswer, StaleAnswers
from foliotrace.query.answer.synthesize import Draft

TEMPLATE: Final = (
    "The documents cannot be searched at the moment, so this question is not answered. "
    "Please ask again in {seconds} seconds."
)
NOTICE_STALE: Final = (
    "The documents cannot be searched at the moment: this is an earlier answer to the same"
    " question. Its sources have not changed since."
)


async def stale_answer(
    tenant: str, key: str, *, stale: StaleAnswers, library: DocumentReader, clock: Clock
) -> Answer | None:
    """The kept answer with its age, while every document it cites still has its content."""
    try:
        kept = await stale.lookup(tenant, key)
        if kept is None or not await _still_stands(tenant, kept, library):
            return None
    except (CacheUnavailable, LibraryUnavailable) as error:
        emit(StaleLookupFailed(reason=error.reason))
        return None
    age_s = max(0.0, (clock.now() - kept.stored_at).total_seconds())
    return replace(
        kept.answer, age_s=age_s, notice=NOTICE_STALE, usage=Usage(), cache=CacheState.MISS
    )


async def _still_stands(tenant: str, kept: StaleAnswer, library: DocumentReader) -> bool:
    for document_id, content_hash in kept.content_hashes.items():
        try:
            document = await library.document(tenant, document_id)
        except NotFound:
            return False
        if document.content_hash != content_hash or document.revision is None:
            return False
    return True


def template(retry_after_s: float) -> Draft:
    """The honest sentence."""
    text = TEMPLATE.format(seconds=max(1, round(retry_after_s)))
    return Draft(text=text, mode=AnswerMode.TEMPLATE)
