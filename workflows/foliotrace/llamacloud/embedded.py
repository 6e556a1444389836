"""The journeys on one folder, without a server: local rungs, and the cloud's above them."""

import hmac
import secrets
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from hashlib import file_digest
from pathlib import Path

from llama_index.core.llms import LLM

from foliotrace.adapters.llamacloud.client import CloudAccess
from foliotrace.adapters.llamacloud.gateway import CloudGateway
from foliotrace.adapters.llamacloud.parser import CloudParseOptions, CloudParser
from foliotrace.adapters.llamacloud.purchase_journal import PurchaseJournal
from foliotrace.adapters.llamaindex.llm import LlamaIndexGenerator
from foliotrace.adapters.local.clock import SystemClock
from foliotrace.adapters.local.files.blobs import FolderBlobs
from foliotrace.adapters.local.files.filetype import sniff
from foliotrace.adapters.local.files.lease import WriterLease
from foliotrace.adapters.local.keyword.index import KeywordIndex
from foliotrace.adapters.local.prices import PriceTable
from foliotrace.adapters.local.readers.parser import local_parsers
from foliotrace.adapters.local.readers.worker_pool import WorkerPool
from foliotrace.adapters.local.sqlite.jobs import SqliteJobs
from foliotrace.adapters.local.sqlite.ledger import SqliteLedger
from foliotrace.adapters.local.sqlite.library import SqliteLibrary
from foliotrace.adapters.local.sqlite.runs import SqliteRuns
from foliotrace.budget import UnknownPrice
from foliotrace.ingest.services import IngestServices
from foliotrace.ingest.upload import Accepted, Upload, accept
from foliotrace.model import Principal, SourceFile
from foliotrace.parse import ParserChain, RemainingTypesParser
from foliotrace.ports import AuditEntry, TextGenerator
from foliotrace.resilient import (
    CircuitGuard,
    GuardPolicy,
    MeteredGenerator,
    ResilientGenerator,
    ResilientParser,
)
from foliotrace.settings import IngestSettings, ResilienceSettings

OWNER = Principal(subject="library")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a door was asked for. `folder` None: a temporary one, gone with the process."""

    access: CloudAccess | None = None
    folder: Path | None = None
    fall_back: bool = True
    limit_s: float = 600.0
    parsing: CloudParseOptions = field(default_factory=CloudParseOptions)
    parse_in_cloud: bool = False


class NoAudit:
    """An `AuditLog` for code that is its own witness."""

    async def append(self, entry: AuditEntry) -> None:
        """Keep nothing."""


class Desk:
    """Everything on one folder. One loop owns it; see `running`."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.clock = SystemClock()
        self._temporary = tempfile.TemporaryDirectory() if setup.folder is None else None
        self.folder = setup.folder or Path(self._temporary.name if self._temporary else "")
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lease = WriterLease.acquire(self.folder)
        self.library = SqliteLibrary.open(self.folder)
        self.jobs = SqliteJobs(self.library)
        self.runs = SqliteRuns(self.library)
        self.blobs = FolderBlobs(self.folder, sniff)
        self.keyword = KeywordIndex(self.folder, self.library)
        self.workers = WorkerPool(size=2)
        self.secret = secrets.token_bytes(32)
        self._ledger: SqliteLedger | None = None
        self.journal: PurchaseJournal | None = None
        self.gateway: CloudGateway | None = None
        if setup.access is not None:
            self.journal = PurchaseJournal(self.folder / "llamacloud-intents.db", clock=self.clock)
            self.gateway = CloudGateway(setup.access, self.journal, clock=self.clock)
        self.parser = self._parser()
        self.ingest = IngestServices(
            library=self.library,
            blobs=self.blobs,
            jobs=self.jobs,
            parser=self.parser,
            indexes=(self.keyword,),
            audit=NoAudit(),
            clock=self.clock,
            identify=lambda: OWNER,
            trace=lambda: None,
            settings=IngestSettings(parse_deadline_s=setup.limit_s),
        )

    def _parser(self) -> ParserChain:
        local = local_parsers(self.workers, self.clock)
        if self.gateway is None or not self.setup.parse_in_cloud:
            return ParserChain(local)
        cloud = ResilientParser(
            CloudParser(self.gateway, self.setup.parsing, ParserChain(local)),
            self.guard("llamaparse"),
        )
        if self.setup.fall_back:
            return ParserChain((cloud, *local))
        return ParserChain((cloud, *(RemainingTypesParser(parser, cloud) for parser in local)))

    def guard(self, name: str) -> CircuitGuard:
        """A guard with the default policy, and the door's limit of time."""
        policy = GuardPolicy.of(
            ResilienceSettings(), limit_s=self.setup.limit_s, has_lower_rung=self.setup.fall_back
        )
        return CircuitGuard(name, policy, clock=self.clock)

    def generator(self, llm: LLM) -> TextGenerator:
        """The caller's LLM, guarded and paid for; one that no table prices is their own."""
        if self._ledger is None:
            self._ledger = SqliteLedger(self.folder / "budget.db", clock=self.clock)
        metered = MeteredGenerator(
            LlamaIndexGenerator(llm, clock=self.clock),
            price_of=PriceTable(),
            ledger=self._ledger,
            unknown=UnknownPrice.FREE,
        )
        return ResilientGenerator(metered, self.guard("llm"))

    def hash_query(self, tenant: str, text: str) -> tuple[str, str]:
        """As the port says, with a key of this process."""
        return "process", hmac.digest(self.secret, f"{tenant}\0{text}".encode(), "sha256").hex()

    def source(self, path: Path) -> SourceFile:
        """The file as a parser takes it."""
        with path.open("rb") as file:
            digest = file_digest(file, "sha256")
        return SourceFile(
            tenant=OWNER.tenant,
            path=path,
            name=path.name,
            media_type=sniff(path, path.name),
            content_hash=digest.hexdigest(),
            size_bytes=path.stat().st_size,
        )

    async def register(self, name: str, content: bytes, collection: str) -> Accepted:
        """Store a file as an upload would."""
        upload = Upload(name=name, content=_once(content), collection=collection)
        return await accept(self.ingest, OWNER, upload)

    async def close(self) -> None:
        """Stop workers, close files, drop a temporary folder."""
        if self.gateway is not None:
            await self.gateway.aclose()
        if self.journal is not None:
            self.journal.close()
        if self._ledger is not None:
            self._ledger.close()
        await self.workers.close()
        await self.runs.close()
        self.keyword.close()
        self.library.close()
        self._lease.release()
        if self._temporary is not None:
            self._temporary.cleanup()


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
