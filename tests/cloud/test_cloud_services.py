"""Settings switch capabilities to the cloud; what is switched is guarded, deleted, and told."""

import hmac
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError
from tests.fakes.llamacloud import FakeLlamaCloud, Fault, running_fake_llamacloud
from tests.ingest.ingest_stack import OWNER, IngestStack

from foliotrace.adapters.local.clock import SystemClock
from foliotrace.adapters.local.readers.parser import local_parsers
from foliotrace.adapters.local.readers.worker_pool import WorkerPool
from foliotrace.adapters.local.sqlite.ledger import SqliteLedger
from foliotrace.adapters.local.sqlite.runs import SqliteRuns
from foliotrace.adapters.local.sqlite.stale_answers import SqliteStaleAnswers
from foliotrace.errors import Misconfigured, NotAllowed, NotFound, ParserUnavailable
from foliotrace.model import Deadline, ParsedPage, RetrievalMode, SourceFile
from foliotrace.parse import ParserChain
from foliotrace.query.retrieve.paths import RetrievalPath
from foliotrace.query.subjects.identities import DocumentIdentities
from foliotrace.resilient import GuardFactory
from foliotrace.settings import ResilienceSettings
from foliotrace.stack import DataFolder, Host, Stack
from foliotrace.stack.cloud_services import CloudServices
from foliotrace_server.external.own_parts import OwnParts
from foliotrace_server.external.services import connect, open_cloud
from foliotrace_server.sections import LlamaCloudSection
from foliotrace_server.settings import Settings

pytestmark = pytest.mark.anyio
BULLETIN = Path(__file__).parents[2] / "examples/documents/larkfield-bulletin-autumn-2026.pdf"
PARSE = "POST /api/v2/parse"


@pytest.fixture
def fake() -> Iterator[FakeLlamaCloud]:
    with running_fake_llamacloud() as running:
        yield running


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[IngestStack]:
    opened = IngestStack(tmp_path / "data")
    yield opened
    opened.close()


def folder_of(stack: IngestStack) -> DataFolder:
    return DataFolder(
        path=stack.folder,
        clock=SystemClock(),
        library=stack.library,
        jobs=stack.jobs,
        runs=SqliteRuns(stack.library),
        blobs=stack.blobs,
        keyword=stack.index,
        stale=SqliteStaleAnswers(stack.folder),
        workers=WorkerPool(size=1),
        sniffers=WorkerPool(size=1),
    )


def settings_of(stack: IngestStack, fake: FakeLlamaCloud, **cloud: Any) -> Settings:
    given = LlamaCloudSection(
        api_key=SecretStr(fake.api_key), where=fake.url, timeout_s=5, parse_tier="fast", **cloud
    )
    resilience = ResilienceSettings(first_wait_s=0.01, breaker_failures=3)
    return Settings(data_dir=stack.folder, llamacloud=given, resilience=resilience)


@asynccontextmanager
async def composed(
    stack: IngestStack, fake: FakeLlamaCloud, **cloud: Any
) -> AsyncIterator[tuple[CloudServices, LlamaCloudSection]]:
    settings = settings_of(stack, fake, **cloud)
    guards = GuardFactory(settings.resilience, clock=SystemClock())
    ledger = SqliteLedger(stack.folder / "budget.db", clock=SystemClock())
    opened = open_cloud(settings, folder_of(stack), guards, lambda: ledger)
    assert opened is not None
    yield opened, settings.llamacloud
    await opened.close()
    ledger.close()


@asynccontextmanager
async def local() -> AsyncIterator[Any]:
    workers = WorkerPool(size=1)
    yield local_parsers(workers, SystemClock())
    await workers.close()


def bulletin() -> SourceFile:
    return SourceFile(
        tenant=OWNER.tenant,
        path=BULLETIN,
        name=BULLETIN.name,
        media_type="application/pdf",
        content_hash="b" * 64,
        size_bytes=BULLETIN.stat().st_size,
    )


async def pages_of(order: ParserChain, pages: range = range(1, 3)) -> list[ParsedPage]:
    deadline = Deadline(SystemClock().monotonic_s() + 20)
    return [p async for p in order.parse(bulletin(), pages=pages, deadline=deadline)]


async def test_nothing_is_sent_before_a_capability_is_switched_on(
    stack: IngestStack, fake: FakeLlamaCloud
) -> None:
    settings, folder = settings_of(stack, fake), folder_of(stack)
    external = connect(settings, folder, OwnParts())
    assert external.cloud is None
    host = Host(audit=stack.audit, identify=lambda: OWNER, hash_query=lambda tenant, text: ("", ""))
    await pages_of(Stack(folder, settings, host, external).ingest.parser)
    await folder.workers.close()
    assert fake.count("*") == 0


async def test_a_switched_capability_without_a_key_stops_the_start(stack: IngestStack) -> None:
    settings = Settings(data_dir=stack.folder, llamacloud=LlamaCloudSection(parsing="cloud"))
    with pytest.raises(Misconfigured, match="without a key"):
        connect(settings, folder_of(stack), OwnParts())


@pytest.mark.parametrize(
    "wrong",
    [
        {"delete_after_use": True, "index": "cloud"},
        {"custom_prompt": "Read stamps.", "parse_tier": "fast"},
        {"parsing": "sometimes"},
        {"chunk_size": 512},
    ],
)
def test_settings_that_contradict_each_other_stop_the_start(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        LlamaCloudSection(**wrong)


async def test_a_dead_cloud_costs_a_few_requests_and_then_none(
    stack: IngestStack, fake: FakeLlamaCloud
) -> None:
    fake.fail(PARSE, Fault.unavailable)
    async with (
        composed(stack, fake, parsing="cloud_then_local") as (cloud, settings),
        local() as parsers,
    ):
        order = cloud.parser_chains(parsers)[settings.parsing]
        first = await pages_of(order)
        assert [p.degraded_from for p in first] == ["llamaparse fast 2026-06-15"] * 2
        assert fake.count(PARSE) <= 3
        for _ in range(2):  # the breaker counts calls, not their attempts
            await pages_of(order)
        before = fake.count("*")
        assert all(p.degraded_from for p in await pages_of(order, range(1, 2)))
        assert fake.count("*") == before
    assert fake.billing.billed_twice() == []


async def test_a_wrong_key_is_not_asked_again(stack: IngestStack, fake: FakeLlamaCloud) -> None:
    fake.fail("*", Fault.unauthorized)
    async with (
        composed(stack, fake, parsing="cloud_then_local") as (cloud, settings),
        local() as parsers,
    ):
        await pages_of(cloud.parser_chains(parsers)[settings.parsing])
    assert fake.count("*") == 1


async def test_cloud_alone_takes_no_local_page_and_leaves_other_types_here(
    stack: IngestStack, fake: FakeLlamaCloud
) -> None:
    fake.fail(PARSE, Fault.payment_required)
    async with composed(stack, fake, parsing="cloud") as (cloud, settings), local() as parsers:
        order = cloud.parser_chains(parsers)[settings.parsing]
        assert order.engine_for("text/csv") == ParserChain(parsers).engine_for("text/csv")
        with pytest.raises(ParserUnavailable) as told:
            await pages_of(order)
    assert told.value.reason == "llamacloud_out_of_credits"
    assert "llamacloud.parsing" in told.value.hint


async def test_deletion_reaches_file_and_result_in_the_cloud(
    stack: IngestStack, fake: FakeLlamaCloud
) -> None:
    async with (
        composed(stack, fake, parsing="cloud_then_local") as (cloud, settings),
        local() as parsers,
    ):
        await pages_of(cloud.parser_chains(parsers)[settings.parsing])
        assert await cloud.gateway.sweep(_wanted) == 0
        client = cloud.gateway.client
        assert len([f async for f in client.files.list()]) == 1
        fake.fail("GET /api/v1/beta/files", Fault.server_error, times=1)
        with pytest.raises(Exception, match="HTTP 500"):
            await cloud.gateway.sweep(stack.library.refers_to)
        assert await cloud.gateway.sweep(stack.library.refers_to) == 1
        assert [f async for f in client.files.list()] == []
        assert [j async for j in client.parsing.list()] == []
        assert await cloud.gateway.sweep(stack.library.refers_to) == 0


async def test_after_use_neither_file_nor_result_stays(
    stack: IngestStack, fake: FakeLlamaCloud
) -> None:
    async with (
        composed(stack, fake, parsing="cloud", delete_after_use=True) as (cloud, settings),
        local() as parsers,
    ):
        assert len(await pages_of(cloud.parser_chains(parsers)[settings.parsing])) == 2
        assert await cloud.gateway.sweep(_wanted) == 1
        assert [f async for f in cloud.gateway.client.files.list()] == []
        assert [j async for j in cloud.gateway.client.parsing.list()] == []
        again = await pages_of(cloud.parser_chains(parsers)[settings.parsing])
        assert [p.status for p in again] == ["ok", "ok"]


async def test_equal_bytes_under_another_name_stay_in_the_cloud(
    stack: IngestStack, fake: FakeLlamaCloud
) -> None:
    async with composed(stack, fake, index="cloud_then_local") as (cloud, _):
        kept = await stack.ingest("a.txt", "Unleaded costs 2.31 EUR.")
        gone = await stack.ingest("b.txt", "Unleaded costs 2.31 EUR.")
        assert cloud.index is not None
        await cloud.index.catch_up()
        await stack.library.delete(OWNER.tenant, gone.document_id)
        await cloud.index.catch_up()
        assert await cloud.gateway.sweep(stack.library.refers_to) == 0
        assert len([f async for f in cloud.gateway.client.files.list()]) == 1
        assert (await cloud.index.drift(OWNER.tenant, "default")).missing == ()
        assert (await stack.library.document(OWNER.tenant, kept.document_id)).revision


async def test_retrieval_paths_follow_the_setting(stack: IngestStack, fake: FakeLlamaCloud) -> None:
    keyword = RetrievalPath(RetrievalMode.KEYWORD, stack.index)
    names = DocumentIdentities(stack.library, stack.index)
    for index, modes in (
        ("cloud_then_local", ["managed", "keyword"]),
        ("cloud", ["managed"]),
    ):
        async with composed(stack, fake, index=index) as (cloud, settings):
            assert [p.mode for p in cloud.path_orders((keyword,), names)[settings.index]] == modes
    async with composed(stack, fake, parsing="cloud") as (cloud, _):
        assert cloud.path_orders((keyword,), names) == {}


async def test_a_webhook_is_accepted_when_it_is_signed(
    stack: IngestStack, fake: FakeLlamaCloud
) -> None:
    body = b'{"event_type": "parse.success", "data": {"job_id": "pjb-1"}}'
    signed = "sha256=" + hmac.new(b"s3cret", body, "sha256").hexdigest()
    async with composed(stack, fake, parsing="cloud", webhook_secret="s3cret") as (cloud, _):
        assert (await cloud.webhook(body, signed)).job_id == "pjb-1"
        with pytest.raises(NotAllowed):
            await cloud.webhook(body + b" ", signed)
    async with composed(stack, fake, parsing="cloud") as (cloud, _):
        with pytest.raises(NotFound):
            await cloud.webhook(body, signed)


async def _wanted(tenant: str, content_hash: str) -> bool:
    return True
