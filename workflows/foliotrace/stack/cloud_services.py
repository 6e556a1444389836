"""LlamaCloud's rung of each capability that the settings switch to it, and its upkeep.

Whatever is switched, files, pages and the keyword index are kept in the data folder first.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import structlog

from foliotrace.adapters.llamacloud.client import CloudAccess, CloudFailure
from foliotrace.adapters.llamacloud.extractor import CloudExtractor
from foliotrace.adapters.llamacloud.gateway import CloudGateway
from foliotrace.adapters.llamacloud.managed_index.placements import Placements
from foliotrace.adapters.llamacloud.managed_index.retriever import ManagedIndexRetriever
from foliotrace.adapters.llamacloud.managed_index.writer import ManagedIndexWriter
from foliotrace.adapters.llamacloud.parser import CloudParser
from foliotrace.adapters.llamacloud.purchases.credit_charges import CreditCharges
from foliotrace.adapters.llamacloud.purchases.journal import PurchaseJournal
from foliotrace.adapters.llamacloud.webhooks import CloudEvent, WebhookTarget, read_webhook
from foliotrace.errors import IndexUnavailable, NotFound
from foliotrace.extract.services import Rung
from foliotrace.model import PAGED_TYPES, ExecutionMode, ExtractionMethod, RetrievalMode
from foliotrace.parse import ParserChain, RemainingTypesParser
from foliotrace.ports import BudgetLedger, Parser
from foliotrace.query.retrieve.document_routing import RoutedRetriever
from foliotrace.query.retrieve.paths import RetrievalPath
from foliotrace.query.subjects.identities import DocumentIdentities
from foliotrace.resilient import (
    BackgroundIndexWriter,
    CircuitGuard,
    GuardFactory,
    ResilientExtractor,
    ResilientParser,
    ResilientRetriever,
)
from foliotrace.settings import INDEX_SYNC_DEADLINE_S, CoreSettings
from foliotrace.stack.data_folder import DataFolder

_log = structlog.get_logger(__name__)
_SWEEP_EVERY_S: Final = 10.0
_LOOK_EVERY_S: Final = 300.0


def journal_file(data_folder: Path) -> Path:
    """Where the purchases of a data folder are recorded."""
    return data_folder / "llamacloud" / "purchases.db"


class CloudServices:
    """LlamaCloud for one process and data folder."""

    def __init__(
        self,
        access: CloudAccess,
        settings: CoreSettings,
        folder: DataFolder,
        guards: GuardFactory,
        *,
        ledger: Callable[[], BudgetLedger],
        webhook_secret: str | None = None,
    ) -> None:
        self._core = settings
        self._settings = settings.llamacloud
        self._folder = folder
        self._guards = guards
        self._webhook_secret = webhook_secret
        self._deleted = asyncio.Event()
        file = journal_file(folder.path)
        file.parent.mkdir(parents=True, exist_ok=True)
        self.journal = PurchaseJournal(file, clock=folder.clock)
        charges = CreditCharges(
            self.journal, ledger=ledger, usd_per_credit=settings.budget.usd_per_credit
        )
        self.gateway = CloudGateway(
            access,
            self.journal,
            clock=folder.clock,
            webhook=self._webhook_target(),
            charges=charges,
        )
        self._parser_guard: CircuitGuard | None = None
        self._placements: Placements | None = None
        self.index: ManagedIndexWriter | None = None
        self.follower: BackgroundIndexWriter | None = None
        if self._settings.index is not ExecutionMode.LOCAL:
            self._open_index(file.parent)

    def _open_index(self, path: Path) -> None:
        folder = self._folder
        self._placements = Placements(path / "placements.db")
        self.index = ManagedIndexWriter(
            self.gateway, self._placements, folder.library, folder.blobs, clock=folder.clock
        )
        guard = self._guards.make("llamacloud_sync", limit_s=INDEX_SYNC_DEADLINE_S, attempts=1)
        self.follower = BackgroundIndexWriter(
            self.index, guard, clock=folder.clock, limit_s=INDEX_SYNC_DEADLINE_S
        )

    def _webhook_target(self) -> WebhookTarget | None:
        url, secret = self._settings.webhook_url, self._webhook_secret
        return WebhookTarget(url=url, secret=secret) if url and secret else None

    @property
    def parser_ready(self) -> bool:
        """Whether LlamaParse would be asked now."""
        return self._parser_guard is not None and self._parser_guard.available

    def job_ids(self, tenant: str, content_hash: str) -> list[str]:
        """The jobs that were bought for these bytes."""
        return [job_id for _, _, job_id in self.journal.jobs_of(tenant, content_hash)]

    # --- the journeys' rungs ---------------------------------------------------------------

    def parser_chains(self, local: Sequence[Parser]) -> Mapping[ExecutionMode, ParserChain]:
        """What a request may choose; empty when parsing stays local.

        `cloud` leaves the types that LlamaParse does not take to the local parsers.
        """
        settings = self._settings
        if settings.parsing is ExecutionMode.LOCAL:
            return {}
        guard = self._parser_guard = self._guards.make(
            "llamaparse",
            limit_s=self._core.ingest.parse_deadline_s,
            has_lower_rung=settings.parsing is ExecutionMode.CLOUD_THEN_LOCAL,
        )
        cloud = ResilientParser(CloudParser(self.gateway, settings, ParserChain(local)), guard)
        alone: tuple[Parser, ...] = (
            cloud,
            *(RemainingTypesParser(parser, cloud) for parser in local),
        )
        return {
            ExecutionMode.LOCAL: ParserChain(local),
            ExecutionMode.CLOUD: ParserChain(alone),
            ExecutionMode.CLOUD_THEN_LOCAL: ParserChain((cloud, *local)),
        }

    def extract_rung(self) -> Rung | None:
        """LlamaExtract, the first rung of extraction; None when extraction stays local."""
        settings = self._settings
        if settings.extraction is ExecutionMode.LOCAL:
            return None
        guard = self._guards.make("llamaextract", limit_s=self._core.ingest.parse_deadline_s)
        extractor = CloudExtractor(self.gateway, self._folder.blobs, settings)
        return Rung(
            method=ExtractionMethod.CLOUD,
            extractor=ResilientExtractor(extractor, guard),
            window_pages=settings.extract_window_pages,
            paged_types=PAGED_TYPES,
        )

    def path_orders(
        self, local: Sequence[RetrievalPath], identities: DocumentIdentities
    ) -> Mapping[ExecutionMode, Sequence[RetrievalPath]]:
        """What a question may choose; empty when retrieval stays local.

        Documents that a question names are preferred after the fusion with the keyword index: the
        ranks that are fused would lose the preference of either search.
        """
        if self._placements is None:
            return {}
        folder = self._folder
        fused = ManagedIndexRetriever(
            self.gateway, self._placements, folder.library, local=folder.keyword
        )
        retriever = RoutedRetriever(fused, identities, remote=True)
        guard = self._guards.make(
            "managed_index",
            limit_s=self._core.query.retrieval_deadline_s,
            has_lower_rung=self._settings.index is not ExecutionMode.CLOUD,
        )
        managed = RetrievalPath(RetrievalMode.MANAGED, ResilientRetriever(retriever, guard))
        return {
            ExecutionMode.LOCAL: tuple(local),
            ExecutionMode.CLOUD: (managed,),
            ExecutionMode.CLOUD_THEN_LOCAL: (managed, *local),
        }

    # --- upkeep ----------------------------------------------------------------------------

    async def forget(self, tenant: str, document_id: str) -> None:
        """A document was deleted: `run` deletes its copies in the cloud as soon as it can."""
        self._deleted.set()

    @property
    def expects_webhooks(self) -> bool:
        """Whether webhooks can be verified."""
        return self._webhook_secret is not None

    async def webhook(self, body: bytes, signature: str | None) -> CloudEvent:
        """Verify a webhook and end the polling of its job. Raises NotAllowed, NotFound."""
        if self._webhook_secret is None:
            raise NotFound("webhooks are not enabled", hint="Set llamacloud.webhook_secret.")
        event = read_webhook(body, signature, self._webhook_secret)
        self.gateway.notify(event.job_id)
        return event

    async def run(self) -> None:
        """Keep the managed index up to date and delete unneeded copies, until cancelled."""
        work = [self._sweep()]
        if self.follower is not None:
            work += [self.follower.run(), self._look_for_the_index()]
        try:
            await asyncio.gather(*work)
        except asyncio.CancelledError:
            self.gateway.keep_jobs()
            raise

    async def delete_used(self) -> None:
        """Delete the copies that `delete_after_use` released. What fails is left for `run`."""

        async def is_wanted(tenant: str, content_hash: str) -> bool:
            return True

        try:
            await self.gateway.sweep(is_wanted)
        except CloudFailure as failure:
            _log.warning("llamacloud.copies_remain", reason=failure.reason)

    async def _look_for_the_index(self) -> None:
        """An index that was deleted in the cloud is made anew, also when nobody asks it."""
        while self.index is not None:
            await asyncio.sleep(_LOOK_EVERY_S)
            try:
                await self.index.look()
            except IndexUnavailable as error:
                _log.warning("managed_index.not_seen", reason=error.reason)

    async def _sweep(self) -> None:
        while True:
            try:
                await self.gateway.collect_late_credits()
                count = await self.gateway.sweep(self._folder.library.refers_to)
                if count:
                    _log.info("llamacloud.copies_deleted", count=count)
            except CloudFailure as failure:
                _log.warning("llamacloud.copies_remain", reason=failure.reason)
            try:
                async with asyncio.timeout(_SWEEP_EVERY_S):
                    await self._deleted.wait()
            except TimeoutError:
                continue
            self._deleted.clear()

    async def close(self) -> None:
        """Close connections and files."""
        await self.gateway.aclose()
        self.journal.close()
        if self._placements is not None:
            self._placements.close()
