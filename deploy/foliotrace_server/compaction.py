"""Removes deleted and replaced content from the files of a data folder, soon after deletion."""

import asyncio
from time import monotonic
from typing import Final

import structlog

from foliotrace.errors import FoliotraceError
from foliotrace.ingest.publish import compact
from foliotrace.ingest.services import IngestServices
from foliotrace_server.host.durable_host import DurableHost

_log = structlog.get_logger(__name__)
_DELAY_S: Final = 2.0  # so that a hundred deletions in a row cause one compaction
_REST: Final = 9.0  # pause, in durations of a compaction: it takes a tenth of the time
_AT_STOP_S: Final = 10.0


class Compaction:
    """Rewrites the files of a data folder after content was removed from it."""

    def __init__(self, ingest: IngestServices, durable: DurableHost) -> None:
        self._ingest = ingest
        self._durable = durable
        self._due = asyncio.Event()

    def request(self) -> None:
        """Compact soon: content was removed."""
        self._due.set()

    async def run(self) -> None:
        """Compact on request, until cancelled."""
        while True:
            await self._due.wait()
            await asyncio.sleep(_DELAY_S)
            began_s = monotonic()
            await self._compact()
            await asyncio.sleep(_REST * (monotonic() - began_s))

    async def finish(self) -> None:
        """Compact before the process ends, if requested; after a limit, leave it to the next."""
        if self._due.is_set():
            try:
                async with asyncio.timeout(_AT_STOP_S):
                    await self._compact()
            except TimeoutError:
                _log.warning("compaction.postponed", limit_s=_AT_STOP_S)

    async def _compact(self) -> None:
        self._due.clear()
        try:
            await compact(self._ingest)
            self._durable.compact()
        except FoliotraceError as error:
            self._due.set()  # a long read blocks it, or the disk is full: retry later
            _log.warning("compaction.failed", code=error.error_code)
        except BaseException:
            self._due.set()
            raise
