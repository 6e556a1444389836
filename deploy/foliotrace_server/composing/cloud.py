"""LlamaCloud, as far as the settings switch capabilities to it.

Gives the journeys their first rungs. Whatever is switched, files, pages and the keyword index are
kept here first.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from foliotrace.adapters.llamacloud.client import CloudAccess, base_url
from foliotrace.adapters.llamacloud.extractor import (
    PAGED_TYPES,
    CloudExtractOptions,
    CloudExtractor,
)
from foliotrace.adapters.llamacloud.failures import CloudFailure
from foliotrace.adapters.llamacloud.gateway import CloudGateway
from foliotrace.adapters.llamacloud.index import CloudIndex
from foliotrace.adapters.llamacloud.parser import CloudParseOptions, CloudParser
from foliotrace.adapters.llamacloud.placements import Placements
from foliotrace.adapters.llamacloud.purchase_journal import PurchaseJournal
from foliotrace.adapters.llamacloud.webhooks import CloudEvent, WebhookTarget, read_webhook
from foliotrace.errors import Misconfigured, NotFound
from foliotrace.extract.services import Rung
from foliotrace.model import ExecutionMode, ExtractionMethod, RetrievalMode
from foliotrace.parse import ParserChain, RemainingTypesParser
from foliotrace.ports import Blobs, Clock, LibraryReader, Parser
from foliotrace.query.retrieve.paths import RetrievalPath
from foliotrace.resilient import (
    BackgroundIndexWriter,
    ResilientExtractor,
    ResilientParser,
    ResilientRetriever,
)
from foliotrace_server.composing.guards import GuardFactory
from foliotrace_server.observing.trace_context import add_traceparent_for
from foliotrace_server.settings import Settings

_log = structlog.get_logger(__name__)
CLOUD_FOLDER = "llamacloud"
_SYNC_LIMIT_S = 3600.0
_SWEEP_EVERY_S = 10.0
_NO_KEY = "Set llamacloud.api_key (or LLAMA_CLOUD_API_KEY), or switch the capability to local."


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What the cloud's adapters stand on in this process."""

    library: LibraryReader
    blobs: Blobs
    clock: Clock
    guards: GuardFactory


class Cloud:
    """The cloud's side of each capability. Raises Misconfigured when one is on without a key."""

    def __init__(self, settings: Settings, around: Around) -> None:
        self._given = settings.llamacloud
        self._retrieve_s = settings.query.retrieval_deadline_s
        self._parse_s = settings.ingest.parse_deadline_s
        self._around = around
        self._woken = asyncio.Event()
        self.journal: PurchaseJournal | None = None
        self.gateway: CloudGateway | None = None
        self.placements: Placements | None = None
        self.index: CloudIndex | None = None
        self.following: BackgroundIndexWriter | None = None
        if not self._given.in_use:
            return
        access = access_of(settings)
        folder = settings.data_dir / CLOUD_FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        self._open(folder, access)

    def _open(self, folder: Path, access: CloudAccess) -> None:
        given, around = self._given, self._around
        self.journal = PurchaseJournal(folder / "intents.db", clock=around.clock)
        self.gateway = CloudGateway(
            access, self.journal, clock=around.clock, webhook=self._address()
        )
        if given.index is ExecutionMode.LOCAL:
            return
        self.placements = Placements(folder / "placements.db")
        self.index = CloudIndex(
            self.gateway, self.placements, around.library, around.blobs, clock=around.clock
        )
        self.following = BackgroundIndexWriter(
            self.index,
            around.guards.make("llamacloud_sync", limit_s=_SYNC_LIMIT_S, attempts=1),
            clock=around.clock,
            limit_s=_SYNC_LIMIT_S,
        )

    def _address(self) -> WebhookTarget | None:
        url, secret = self._given.webhook_url, self._given.webhook_secret
        if url is None or secret is None:
            return None
        return WebhookTarget(url=url, secret=secret.get_secret_value())

    # --- the journeys' rungs ---------------------------------------------------------------

    def parser_chains(self, local: Sequence[Parser]) -> Mapping[ExecutionMode, ParserChain]:
        """What a request may choose; empty when parsing stays local.

        LlamaParse before the local parsers, alone for the types it takes, or not at all.
        """
        if self._given.parsing is ExecutionMode.LOCAL or self.gateway is None:
            return {}
        given = self._given
        options = CloudParseOptions(
            tier=given.parse_tier,
            version=given.parse_version,
            custom_prompt=given.custom_prompt,
            languages=given.languages,
            disable_cache=given.disable_cache,
            delete_after_use=given.delete_after_use,
        )
        falls = given.parsing is ExecutionMode.CLOUD_THEN_LOCAL
        cloud = ResilientParser(
            CloudParser(self.gateway, options, ParserChain(local)),
            self._around.guards.make("llamaparse", limit_s=self._parse_s, has_lower_rung=falls),
        )
        alone: tuple[Parser, ...] = (
            cloud,
            *(RemainingTypesParser(parser, cloud) for parser in local),
        )
        return {
            ExecutionMode.LOCAL: ParserChain(local),
            ExecutionMode.CLOUD: ParserChain(alone),
            ExecutionMode.CLOUD_THEN_LOCAL: ParserChain((cloud, *local)),
        }

    def parser_chain(self, local: Sequence[Parser]) -> ParserChain:
        """The one that is configured."""
        orders = self.parser_chains(local)
        return orders[self._given.parsing] if orders else ParserChain(local)

    def extract_rung(self) -> Rung | None:
        """LlamaExtract, the first rung of extraction; None when it stays local."""
        given = self._given
        if given.extraction is ExecutionMode.LOCAL or self.gateway is None:
            return None
        options = CloudExtractOptions(
            tier=given.extract_tier,
            version=given.extract_version,
            delete_after_use=given.delete_after_use,
        )
        extractor = ResilientExtractor(
            CloudExtractor(self.gateway, self._around.blobs, options),
            self._around.guards.make("llamaextract", limit_s=self._parse_s),
        )
        return Rung(
            method=ExtractionMethod.CLOUD,
            extractor=extractor,
            window_pages=given.extract_window_pages,
            paged_types=PAGED_TYPES,
        )

    def path_orders(
        self, local: Sequence[RetrievalPath]
    ) -> Mapping[ExecutionMode, Sequence[RetrievalPath]]:
        """What a question may choose; empty when retrieval stays local.

        The managed index before the local paths, alone, or not at all.
        """
        if self.index is None:
            return {}
        alone = self._given.index is ExecutionMode.CLOUD
        guard = self._around.guards.make(
            "managed_index", limit_s=self._retrieve_s, has_lower_rung=not alone
        )
        managed = RetrievalPath(RetrievalMode.MANAGED, ResilientRetriever(self.index, guard))
        return {
            ExecutionMode.LOCAL: tuple(local),
            ExecutionMode.CLOUD: (managed,),
            ExecutionMode.CLOUD_THEN_LOCAL: (managed, *local),
        }

    def paths(self, local: Sequence[RetrievalPath]) -> tuple[RetrievalPath, ...]:
        """The order that is configured."""
        orders = self.path_orders(local)
        return tuple(orders[self._given.index]) if orders else tuple(local)

    # --- upkeep ----------------------------------------------------------------------------

    async def forget(self, tenant: str, document_id: str) -> None:
        """A document was deleted here: its copies over there go too, now or when they can."""
        self._woken.set()

    @property
    def hears(self) -> bool:
        """Whether webhooks are expected."""
        return self.gateway is not None and self._given.webhook_secret is not None

    async def webhook(self, body: bytes, signature: str | None) -> CloudEvent:
        """Believe a signed webhook. Raises NotAllowed, NotFound when none are expected."""
        if self.gateway is None or self._given.webhook_secret is None:
            raise NotFound("no webhooks are expected", hint="Set llamacloud.webhook_secret.")
        event = read_webhook(body, signature, self._given.webhook_secret.get_secret_value())
        self.gateway.notify(event.job_id)
        return event

    async def run(self) -> None:
        """Endless work: keep the managed index up, and delete copies nobody needs any more."""
        if self.gateway is None:
            return
        work = [self._sweep(self.gateway)]
        if self.following is not None:
            work.append(self.following.run())
        try:
            await asyncio.gather(*work)
        except asyncio.CancelledError:
            self.gateway.keep_jobs()
            raise

    async def _sweep(self, gateway: CloudGateway) -> None:
        while True:
            try:
                count = await gateway.sweep(self._around.library.refers_to)
                if count:
                    _log.info("llamacloud.copies_deleted", count=count)
            except CloudFailure as failure:
                _log.warning("llamacloud.copies_remain", reason=failure.reason)
            try:
                async with asyncio.timeout(_SWEEP_EVERY_S):
                    await self._woken.wait()
            except TimeoutError:
                continue
            self._woken.clear()

    async def close(self) -> None:
        """Close connections and files."""
        if self.gateway is not None:
            await self.gateway.aclose()
        for opened in (self.journal, self.placements):
            if opened is not None:
                opened.close()


def access_of(settings: Settings) -> CloudAccess:
    """How to reach the cloud. Raises Misconfigured without a key."""
    given = settings.llamacloud
    key = given.api_key or settings.llama_cloud_api_key
    if key is None:
        raise Misconfigured("llamacloud is switched on without a key", hint=_NO_KEY)
    return CloudAccess(
        api_key=key.get_secret_value(),
        where=given.where,
        project_id=given.project_id,
        organization_id=given.organization_id,
        timeout_s=given.timeout_s,
        before_request=add_traceparent_for(base_url(given.where))
        if settings.telemetry.carry_trace
        else None,
    )
