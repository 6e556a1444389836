"""What LlamaExtract says is kept only as far as our own pages hold it."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest
from tests.fakes.llamacloud import FakeLlamaCloud, Fault, running_fake_llamacloud

from foliotrace.adapters.llamacloud.client import CloudAccess
from foliotrace.adapters.llamacloud.extractor import CloudExtractor
from foliotrace.adapters.llamacloud.gateway import CloudGateway
from foliotrace.adapters.llamacloud.grounding import locate, locate_long
from foliotrace.adapters.llamacloud.purchases.journal import PurchaseJournal
from foliotrace.adapters.local.clock import SystemClock
from foliotrace.budget import open_run
from foliotrace.errors import ExtractorUnavailable
from foliotrace.model import (
    Deadline,
    Document,
    DocumentStatus,
    ExtractionMethod,
    ParsedPage,
    Principal,
)
from foliotrace.ports import ExtractionTask
from foliotrace.settings import LlamaCloudSettings

pytestmark = pytest.mark.anyio
TEXT = "Invoice number: INV-0417\n\nTotal: 723.90 EUR\n\nCustomer: Larkfield Flying Club"
EXTRACT = "POST /api/v2/extract"
SCHEMA = {
    "type": "object",
    "properties": {
        "invoice_number": {"type": "string"},
        "total": {"type": "string"},
        "purchase_order": {"type": "string"},
    },
}


class OneBlob:
    def __init__(self, path: Path) -> None:
        self.file = path

    async def path(self, tenant: str, content_hash: str) -> Path:
        return self.file


@pytest.fixture
def cloud() -> Iterator[FakeLlamaCloud]:
    with running_fake_llamacloud() as fake:
        yield fake


@pytest.fixture
async def extractor(cloud: FakeLlamaCloud, tmp_path: Path) -> AsyncIterator[CloudExtractor]:
    (tmp_path / "invoice.txt").write_text(TEXT)
    clock = SystemClock()
    journal = PurchaseJournal(tmp_path / "intents.db", clock=clock)
    access = CloudAccess(
        api_key="llx-fake-key", settings=LlamaCloudSettings(where=cloud.url, timeout_s=5)
    )
    gateway = CloudGateway(access, journal, clock=clock)
    yield CloudExtractor(gateway, OneBlob(tmp_path / "invoice.txt"), LlamaCloudSettings())  # type: ignore[arg-type]
    await gateway.aclose()
    journal.close()


def task() -> ExtractionTask:
    now = datetime.now(UTC)
    document = Document(
        id="doc_1",
        tenant="acme",
        collection="default",
        name="invoice.txt",
        content_hash=sha256(TEXT.encode()).hexdigest(),
        media_type="text/plain",
        size_bytes=len(TEXT),
        status=DocumentStatus.READY,
        created_at=now,
        updated_at=now,
    )
    return ExtractionTask(principal=Principal(tenant="acme"), document=document, schema=SCHEMA)


def soon() -> Deadline:
    return Deadline(SystemClock().monotonic_s() + 20)


async def test_values_are_cited_in_our_own_pages(extractor: CloudExtractor) -> None:
    page = ParsedPage(number=1, text=TEXT)
    with open_run("acme", None) as run:
        extraction = await extractor.extract(task(), [page], deadline=soon())
    assert "0417" in str(extraction.record["invoice_number"])
    for field in extraction.fields:
        for citation in field.citations:
            assert page.text[citation.anchor.start : citation.anchor.end] == citation.quote
            assert field.method is ExtractionMethod.CLOUD
    assert run.usage.credits > 0


async def test_a_value_our_pages_do_not_hold_becomes_null_and_is_named(
    extractor: CloudExtractor,
) -> None:
    other = ParsedPage(number=1, text="An empty form.")
    extraction = await extractor.extract(task(), [other], deadline=soon())
    assert extraction.record["invoice_number"] is None
    assert "not grounded: /invoice_number" in extraction.errors
    assert not extraction.valid


async def test_the_same_extraction_is_bought_once(
    extractor: CloudExtractor, cloud: FakeLlamaCloud
) -> None:
    page = ParsedPage(number=1, text=TEXT)
    cloud.fail(EXTRACT, Fault.reset_after_work, times=1)
    for _ in range(2):
        await extractor.extract(task(), [page], deadline=soon())
    assert len(cloud.billing.standing) == 1
    assert cloud.count(EXTRACT) == 1


@pytest.mark.parametrize("fault", [Fault.payment_required, Fault.server_error, Fault.job_failed])
async def test_a_cloud_that_cannot_extract_is_an_unavailable_extractor(
    extractor: CloudExtractor, cloud: FakeLlamaCloud, fault: Fault
) -> None:
    cloud.fail(EXTRACT, fault)
    with pytest.raises(ExtractorUnavailable) as told:
        await extractor.extract(task(), [ParsedPage(number=1, text=TEXT)], deadline=soon())
    assert told.value.reason.startswith("llamacloud_")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("total: 723.90  eur", "Total: 723.90 EUR"),
        ("**Total:** 723.90 EUR", "Total: 723.90 EUR"),
        ("Total: 724.90 EUR", None),
        ("", None),
    ],
)
def test_words_are_found_whatever_space_case_or_markup(words: str, expected: str | None) -> None:
    found = locate(TEXT, words)
    assert (TEXT[slice(*found)] if found else None) == expected


def test_a_long_chunk_is_found_by_most_of_its_lines() -> None:
    lines = TEXT.split("\n\n")
    chunk = "\n".join((lines[0], "A line the cloud made up", *lines[1:]))
    found = locate_long(TEXT, chunk)
    assert found == (0, len(TEXT))
    assert locate_long(TEXT, "Nothing of this\nis in the text") is None
