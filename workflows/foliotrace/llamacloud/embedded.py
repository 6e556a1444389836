"""The journeys in the caller's process, on one data folder; with a key, LlamaCloud is used."""

import hmac
import secrets
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import file_digest
from pathlib import Path
from typing import Any

from llama_index.core.llms import LLM
from pydantic import ValidationError

from foliotrace.adapters.llamacloud.client import CloudAccess
from foliotrace.adapters.local.files.filetype import sniff
from foliotrace.adapters.local.files.lease import WriterLease
from foliotrace.adapters.local.prices import PriceTable
from foliotrace.adapters.local.sqlite.ledger import SqliteLedger
from foliotrace.budget import UnknownPrice
from foliotrace.errors import Misconfigured
from foliotrace.ingest.upload import Accepted, Upload, accept
from foliotrace.model import ExecutionMode, Principal, SourceFile
from foliotrace.ports import AuditEntry, TextGenerator
from foliotrace.query.services import QueryServices
from foliotrace.resilient import GuardFactory
from foliotrace.settings import (
    MODEL_CALL_S,
    BudgetSettings,
    CoreSettings,
    IngestSettings,
    LlamaCloudSettings,
)
from foliotrace.stack import (
    DataFolder,
    ExternalServices,
    Host,
    Stack,
    open_ledger,
    resilient_generator,
)

OWNER = Principal(subject="library")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOptions:
    """What a client was asked for. `folder` None: a temporary one, deleted with the process.

    Without `api_key` everything runs locally. Apart from `limit_s`, the limits are the service's.
    """

    api_key: str | None = field(default=None, repr=False)
    llamacloud: LlamaCloudSettings = field(default_factory=LlamaCloudSettings)
    folder: Path | None = None
    limit_s: float | None = None
    llm: LLM | None = None

    @property
    def settings(self) -> CoreSettings:
        """The service's defaults. A model that no price table lists is the caller's own: free."""
        ingest = IngestSettings()
        if self.limit_s is not None:
            ingest = IngestSettings(parse_deadline_s=self.limit_s)
        budget = BudgetSettings(unknown_price=UnknownPrice.FREE)
        return CoreSettings(llamacloud=self.llamacloud, ingest=ingest, budget=budget)


def execution_mode(api_key: str | None, *, fall_back: bool) -> ExecutionMode:
    """Local without a key; with one, the cloud, with the local adapters behind it or alone."""
    if api_key is None:
        return ExecutionMode.LOCAL
    return ExecutionMode.CLOUD_THEN_LOCAL if fall_back else ExecutionMode.CLOUD


def cloud_settings(owner: str, arguments: Mapping[str, Any]) -> LlamaCloudSettings:
    """The arguments of `owner` as settings. Raises Misconfigured naming each wrong one."""
    try:
        return LlamaCloudSettings(**arguments)
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False, include_context=False)
        wrong = "; ".join(
            f"{'.'.join(map(str, each['loc'])) or 'arguments'}: {each['msg']}" for each in problems
        )
        raise Misconfigured(f"{owner}: {wrong}") from None


class NoAudit:
    """An `AuditLog` that keeps nothing: a caller in the same process needs no proof."""

    async def append(self, entry: AuditEntry) -> None:
        """Keep nothing."""


class EmbeddedStack:
    """The stack of one client. It belongs to one event loop, see `facade.wait_for`."""

    def __init__(self, options: ClientOptions) -> None:
        self.settings = options.settings
        self._temporary = tempfile.TemporaryDirectory() if options.folder is None else None
        path = options.folder or Path(self._temporary.name if self._temporary else "")
        path.mkdir(parents=True, exist_ok=True)
        self._lease = WriterLease.acquire(path)
        self.folder = DataFolder.open(
            path,
            self.settings.ingest,
            lexicon=self.settings.query.lexicon,
            reads_anywhere=True,
        )
        self.clock = self.folder.clock
        self._guards = GuardFactory(self.settings.resilience, clock=self.clock)
        self._ledger: SqliteLedger | None = None
        self._hash_key = secrets.token_bytes(32)
        host = Host(audit=NoAudit(), identify=lambda: OWNER, hash_query=self._hash_query)
        self.external = self._external(options)
        self.stack = Stack(self.folder, self.settings, host, self.external)

    def _external(self, options: ClientOptions) -> ExternalServices:
        generators = (self.generator(options.llm),) if options.llm is not None else ()
        if options.api_key is None:
            return ExternalServices(generators=generators)
        from foliotrace.stack.cloud_services import CloudServices

        access = CloudAccess(api_key=options.api_key, settings=options.llamacloud)
        cloud = CloudServices(access, self.settings, self.folder, self._guards, ledger=self.ledger)
        return ExternalServices(generators=generators, cloud=cloud)

    @cached_property
    def query(self) -> QueryServices:
        """The services of the query journey."""
        return self.stack.query

    def use_llm(self, llm: LLM) -> None:
        """Generate answers with `llm` from now on."""
        self.query = replace(self.query, generators=(self.generator(llm),))

    def ledger(self) -> SqliteLedger:
        """What the models and the cloud are charged to."""
        if self._ledger is None:
            self._ledger = open_ledger(self.folder.path, self.settings.budget, clock=self.clock)
        return self._ledger

    def generator(self, llm: LLM) -> TextGenerator:
        """The caller's LLM, guarded and charged."""
        return resilient_generator(
            llm,
            self._guards.make("llm", limit_s=MODEL_CALL_S),
            clock=self.clock,
            price_of=PriceTable(),
            ledger=self.ledger(),
            unknown_price=self.settings.budget.unknown_price,
        )

    def _hash_query(self, tenant: str, text: str) -> tuple[str, str]:
        """(key id, hash) with a key that only this process has."""
        digest = hmac.digest(self._hash_key, f"{tenant}\0{text}".encode(), "sha256")
        return "process", digest.hex()

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
        return await accept(self.stack.ingest, OWNER, upload)

    async def close(self) -> None:
        """Stop the parsers, close files and connections, delete a temporary folder.

        With `delete_after_use`, first delete in the cloud what was used: nothing runs later.
        """
        if self.settings.llamacloud.delete_after_use and self.external.cloud is not None:
            await self.external.cloud.delete_used()
        await self.stack.close()
        if self._ledger is not None:
            self._ledger.close()
        self._lease.release()
        if self._temporary is not None:
            self._temporary.cleanup()


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
