"""Reads documents again whose pages a lower parser read, once the preferred parser is back."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from foliotrace.errors import FoliotraceError
from foliotrace.ingest.services import IngestServices
from foliotrace.model import Document

_log = structlog.get_logger(__name__)
_AT_ONCE: Final = 5
_LOOKED_AT: Final = 200
_LONGEST_S: Final = 86_400.0


class ReadingAgain:
    """Starts the attempts: `ingest.read_again_after_s` apart, then twice as far, and so on.

    What was bought for a document is not bought again, and each attempt is within the budgets.
    """

    def __init__(
        self, services: IngestServices, start: Callable[[Document], Awaitable[object]]
    ) -> None:
        self._services = services
        self._start = start
        self._wait_s: dict[str, float] = {}  # by document, after its next attempt

    async def run(self) -> None:
        """Look for such documents until cancelled."""
        after_s = self._services.settings.read_again_after_s
        while after_s:
            await asyncio.sleep(min(after_s, 60.0))
            try:
                await self._look(after_s)
            except FoliotraceError as error:
                _log.warning("documents.not_read_again", code=error.error_code)

    async def _look(self, after_s: float) -> None:
        if not self._services.preferred_parser_ready():
            return
        started = 0
        now = self._services.clock.now()
        documents = await self._services.library.degraded(limit=_LOOKED_AT)
        degraded = {document.id for document in documents}
        self._wait_s = {i: wait_s for i, wait_s in self._wait_s.items() if i in degraded}
        for document in documents:
            wait_s = self._wait_s.get(document.id, after_s)
            if (now - document.updated_at).total_seconds() < wait_s or started == _AT_ONCE:
                continue
            self._wait_s[document.id] = min(_LONGEST_S, 2 * wait_s)
            started += 1
            await self._start(document)
            _log.info("document.read_again", document_id=document.id, pages=document.pages_degraded)
