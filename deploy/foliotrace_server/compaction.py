"""What was deleted or replaced leaves the files too, soon after and without being asked."""

import asyncio
from time import monotonic
from typing import Final

import structlog

from foliotrace.errors import FoliotraceError
from foliotrace.ingest.publish import compact
from foliotrace.ingest.services import IngestServices
from foliotrace_server.host.durable_host import DurableHost

_log = structlog.get_logger(__name__)
_QUIET_S: Final = 2.0  # so that a hundred deletions in a row are one wipe
_REST: Final = 9.0  # times the length of a wipe: a large index is rewritten a tenth of the time
_AT_STOP_S: Final = 10.0


class Compaction:
    """Rewrites the files of a data folder once something was removed from it."""

    def __init__(self, ingest: IngestServices, durable: DurableHost) -> None:
        self._ingest = ingest
        self._durable = durable
        self._due = asyncio.Event()

    def soon(self) -> None:
        """Something was removed."""
        self._due.set()

    async def run(self) -> None:
        """Wipe whenever it is due, for ever."""
        while True:
            await self._due.wait()
            await asyncio.sleep(_QUIET_S)
            began_s = monotonic()
            await self._wipe()
            await asyncio.sleep(_REST * (monotonic() - began_s))

    async def finish(self) -> None:
        """Wipe at the end of the process what is due; what takes too long waits for the next."""
        if self._due.is_set():
            try:
                async with asyncio.timeout(_AT_STOP_S):
                    await self._wipe()
            except TimeoutError:
                _log.warning("wipe.postponed", limit_s=_AT_STOP_S)

    async def _wipe(self) -> None:
        self._due.clear()
        try:
            await compact(self._ingest)
            self._durable.compact()
        except FoliotraceError as error:
            self._due.set()  # a long read was in the way, or the disk is full: again later
            _log.warning("wipe.failed", code=error.error_code)
        except BaseException:
            self._due.set()
            raise
