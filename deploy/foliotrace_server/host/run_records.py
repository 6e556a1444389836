"""The records of durable runs that have started: read by their callers, deleted after their end."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from llama_agents.server import HandlerQuery, PersistentHandler, WorkflowServer

from foliotrace.catalog import ErrorCode
from foliotrace.errors import NotFound
from foliotrace_server.host.accepted_runs import AcceptedRuns
from foliotrace_server.host.internals.engine import HandlerData, handler_data, wait_for_run
from foliotrace_server.host.internals.stores import DurableStore, EventEnvelopeWithMetadata
from foliotrace_server.host.run_journal import RunJournal


class RunRecords:
    """What the engine's store and the journal hold of runs."""

    def __init__(
        self,
        server: WorkflowServer,
        store: DurableStore,
        journal: RunJournal,
        accepted: AcceptedRuns,
    ) -> None:
        self._server, self._store, self._journal = server, store, journal
        self._accepted = accepted

    async def handler(self, handler_id: str) -> PersistentHandler | None:
        """The stored record of a run that has started."""
        handlers = await self._store.query(HandlerQuery(handler_id_in=[handler_id]))
        return handlers[0] if handlers else None

    async def record(self, handler_id: str, *, wait: bool) -> HandlerData:
        """The record of a run that has started; with `wait`, after its end. Raises NotFound."""
        handler = await self.handler(handler_id)
        if handler is None:
            raise NotFound(code=ErrorCode.HANDLER_NOT_FOUND)
        data = handler_data(handler)
        if wait and handler.status == "running":
            return await wait_for_run(self._server, data)
        return data

    async def events(
        self, handler_id: str, *, after: int = -1
    ) -> AsyncIterator[tuple[int, EventEnvelopeWithMetadata]]:
        """(sequence, event) of a run that has started, after sequence `after`, until it ends."""
        handler = await self.handler(handler_id)
        if handler is None or handler.run_id is None:
            return
        if handler.status != "running":
            for stored in await self._store.query_events(handler.run_id, after_sequence=after):
                yield stored.sequence, stored.event
            return
        async for stored in self._store.subscribe_events(handler.run_id, after_sequence=after):
            yield stored.sequence, stored.event

    async def forget_finished(self, before: datetime) -> int:
        """Delete the records of runs that ended before `before`; how many."""
        count = self._store.forget_finished(before.isoformat())
        await self._disown_deleted()
        return count

    async def forget(self, handler_ids: Sequence[str]) -> None:
        """Have the records of these runs deleted by the first `compact` after their end."""
        await self._journal.forget(handler_ids)

    async def compact(self) -> None:
        """Delete the records of forgotten runs, and leave nothing deleted in the files."""
        forgotten = self._journal.forgotten()
        unfinished = [i for i in forgotten if i in self._accepted]
        self._store.forget([i for i in forgotten if i not in unfinished])
        await self._disown_deleted()
        await self._journal.compact(unfinished)

    async def _disown_deleted(self) -> None:
        owned = self._journal.owned()
        if owned:
            kept = self._store.handler_ids()
            await self._journal.disown(
                [i for i in owned if i not in kept and i not in self._accepted]
            )
