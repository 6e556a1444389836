"""Pages bought of LlamaParse have exact offsets and boxes; failed ones are failed, or read here."""

from collections.abc import AsyncIterator, Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from tests.fakes.llamacloud import FakeLlamaCloud, Fault, running_fake_llamacloud

from foliotrace.adapters.llamacloud.client import CloudAccess
from foliotrace.adapters.llamacloud.gateway import CloudGateway
from foliotrace.adapters.llamacloud.parser import CloudParser
from foliotrace.adapters.llamacloud.purchases.journal import PurchaseJournal
from foliotrace.adapters.local.clock import SystemClock
from foliotrace.adapters.local.readers.parser import local_parsers
from foliotrace.adapters.local.readers.worker_pool import WorkerPool
from foliotrace.errors import ParserUnavailable
from foliotrace.model import Deadline, PageStatus, SourceFile
from foliotrace.parse import ParserChain
from foliotrace.ports import Parser
from foliotrace.settings import LlamaCloudSettings

pytestmark = pytest.mark.anyio
BULLETIN = Path(__file__).parents[2] / "examples/documents/larkfield-bulletin-autumn-2026.pdf"
PARSE = "POST /api/v2/parse"


@pytest.fixture
def cloud() -> Iterator[FakeLlamaCloud]:
    with running_fake_llamacloud() as fake:
        yield fake


@pytest.fixture
async def local() -> AsyncIterator[Parser]:
    workers = WorkerPool(size=1)
    yield ParserChain(local_parsers(workers, SystemClock()))
    await workers.close()


@pytest.fixture
async def parser(
    cloud: FakeLlamaCloud, local: Parser, tmp_path: Path
) -> AsyncIterator[CloudParser]:
    clock = SystemClock()
    journal = PurchaseJournal(tmp_path / "intents.db", clock=clock)
    gateway = CloudGateway(
        CloudAccess(
            api_key="llx-fake-key", settings=LlamaCloudSettings(where=cloud.url, timeout_s=5)
        ),
        journal,
        clock=clock,
    )
    yield CloudParser(gateway, LlamaCloudSettings(parse_tier="fast"), local)
    await gateway.aclose()
    journal.close()


def bulletin() -> SourceFile:
    return SourceFile(
        tenant="acme",
        path=BULLETIN,
        name=BULLETIN.name,
        media_type="application/pdf",
        content_hash=sha256(BULLETIN.read_bytes()).hexdigest(),
        size_bytes=BULLETIN.stat().st_size,
    )


def soon() -> Deadline:
    return Deadline(SystemClock().monotonic_s() + 20)


async def test_a_cloud_page_has_text_blocks_and_boxes_that_fit_its_offsets(
    parser: CloudParser,
) -> None:
    pages = [p async for p in parser.parse(bulletin(), pages=range(1, 3), deadline=soon())]
    assert [p.number for p in pages] == [1, 2]
    assert all(p.status is PageStatus.OK and p.engine.startswith("llamaparse fast") for p in pages)
    first = pages[0]
    start = first.text.index("28 days")
    assert first.words.boxes(start, start + len("28 days"))
    for page in pages:
        for block in page.blocks:
            assert page.text[block.start : block.end].strip() == page.text[block.start : block.end]
        for table in page.tables:
            for row in table.rows:
                cells = [page.text[c.start : c.end] for c in row.cells]
                assert "\t".join(cells) == page.text[row.start : row.end]


async def test_the_same_pages_are_bought_once(parser: CloudParser, cloud: FakeLlamaCloud) -> None:
    for _ in range(2):
        async for _ in parser.parse(bulletin(), pages=range(1, 3), deadline=soon()):
            pass
    assert len(cloud.billing.standing) == 1


async def test_a_failed_page_of_a_completed_job_is_read_locally_and_marked(
    parser: CloudParser, local: Parser, cloud: FakeLlamaCloud
) -> None:
    cloud.fail(PARSE, Fault.partial(2))
    order = ParserChain((parser, local))
    pages = [p async for p in order.parse(bulletin(), pages=range(1, 3), deadline=soon())]
    assert [p.degraded_from for p in pages] == [None, parser.engine]
    assert "D-ELKA" in pages[1].text


async def test_raw_text_of_a_failed_page_is_mended_locally_or_kept_and_marked(
    parser: CloudParser, local: Parser, cloud: FakeLlamaCloud
) -> None:
    cloud.failed_pages_have_text = True
    cloud.fail(PARSE, Fault.partial(2))
    order = ParserChain((parser, local))
    mended = [p async for p in order.parse(bulletin(), pages=range(1, 3), deadline=soon())][1]
    assert (mended.degraded_from, mended.problem) == (parser.engine, None)
    assert mended.engine != parser.engine
    alone = ParserChain((parser,))
    raw = [p async for p in alone.parse(bulletin(), pages=range(1, 3), deadline=soon())][1]
    assert "D-ELKA" in raw.text
    assert (raw.degraded_from, raw.problem) == (parser.engine, "cloud_page_failed")


@pytest.mark.parametrize(
    "fault", [Fault.unauthorized, Fault.payment_required, Fault.server_error, Fault.job_failed]
)
async def test_a_dead_cloud_leaves_every_page_to_the_local_parser(
    parser: CloudParser, local: Parser, cloud: FakeLlamaCloud, fault: Fault
) -> None:
    cloud.fail(PARSE, fault)
    order = ParserChain((parser, local))
    pages = [p async for p in order.parse(bulletin(), pages=range(1, 3), deadline=soon())]
    assert [p.degraded_from for p in pages] == [parser.engine] * 2
    assert all(p.status is PageStatus.OK for p in pages)


async def test_without_a_local_parser_the_reason_is_told(
    parser: CloudParser, cloud: FakeLlamaCloud
) -> None:
    cloud.fail(PARSE, Fault.payment_required)
    with pytest.raises(ParserUnavailable) as told:
        async for _ in parser.parse(bulletin(), pages=range(1, 3), deadline=soon()):
            pass
    assert told.value.reason == "llamacloud_out_of_credits"
