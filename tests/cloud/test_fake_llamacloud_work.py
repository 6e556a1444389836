"""The fake's classify, split and batch calls, through the real SDK, sync and async, strictly."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from llama_cloud import ConflictError, NotFoundError, UnprocessableEntityError
from tests.fakes.llamacloud import FakeLlamaCloud, Pace, running_fake_llamacloud
from tests.fakes.llamacloud.sample import INVOICE, TERMS, invoice_pdf, pdf
from tests.fakes.llamacloud.sdk import client_of, collect, settle

pytestmark = pytest.mark.anyio

RULES = {
    "rules": [
        {"type": "invoice", "description": "an invoice number, a customer and a total due"},
        {"type": "contract", "description": "parties, term and termination"},
    ]
}
CATEGORIES = {
    "categories": [
        {"name": "invoice", "description": "invoice number customer"},
        {"name": "terms", "description": "payment late fee"},
    ]
}


@pytest.fixture
def fake() -> Iterator[FakeLlamaCloud]:
    with running_fake_llamacloud() as running:
        yield running


@pytest.fixture(params=["sync", "async"])
async def client(request: pytest.FixtureRequest, fake: FakeLlamaCloud) -> AsyncIterator[Any]:
    async with client_of(request.param, fake) as made:
        yield made


async def test_classify_chooses_the_rule_that_fits(client: Any, fake: FakeLlamaCloud) -> None:
    fake.pace("classify", Pace(polls=1))
    file_id = fake.preload("invoice.pdf", invoice_pdf())
    asked = {"file_input": file_id, "configuration": RULES}
    job = await settle(client.classify.create(**asked))
    done = await settle(client.classify.get(job.id, expand=["usage"]))
    assert (done.status, done.result.type, done.usage.credits) == ("COMPLETED", "invoice", 2.0)
    other = await settle(
        client.classify.create(file_input=fake.preload("b.txt", b"zzz"), **{"configuration": RULES})
    )
    assert (await settle(client.classify.get(other.id))).result.type is None
    assert len(await collect(client.classify.list(page_size=1))) == 2
    with pytest.raises(UnprocessableEntityError):
        await settle(client.classify.create(file_input=file_id))


async def test_a_transaction_id_makes_a_create_safe_to_repeat(
    client: Any, fake: FakeLlamaCloud
) -> None:
    asked = {"file_input": fake.preload("a.txt", b"x"), "transaction_id": "op-1"}
    first = await settle(client.classify.create(**asked, configuration=RULES))
    second = await settle(client.classify.create(**asked, configuration=RULES))
    split = await settle(client.split.create(**asked, configuration=CATEGORIES))
    assert first.id == second.id != split.id
    assert fake.billing.jobs() == 2
    assert (await settle(client.classify.cancel(first.id))).status == "CANCELLED"
    assert (await settle(client.classify.delete(first.id))).id == first.id
    with pytest.raises(NotFoundError):
        await settle(client.classify.get(first.id))
    with pytest.raises(NotFoundError):
        await settle(client.classify.get(split.id))


async def test_split_cuts_where_the_category_changes(client: Any, fake: FakeLlamaCloud) -> None:
    fake.pace("split", Pace(polls=1))
    file_id = fake.preload("mixed.pdf", pdf(INVOICE, TERMS, TERMS, INVOICE))
    job = await settle(client.split.create(file_input=file_id, configuration=CATEGORIES))
    assert job.status == "pending"
    done = await settle(client.split.get(job.id))
    found = [(segment.category, segment.pages) for segment in done.result.segments]
    assert (done.status, found) == (
        "completed",
        [("invoice", [1]), ("terms", [2, 3]), ("invoice", [4])],
    )
    other = await settle(client.split.create(file_input=file_id, configuration=CATEGORIES))
    assert (await settle(client.split.cancel(other.id))).status == "cancelled"
    assert [j.id for j in await collect(client.split.list(status="cancelled"))] == [other.id]
    await settle(client.split.delete(other.id))
    assert [j.id for j in await collect(client.split.list())] == [job.id]


async def test_a_batch_makes_one_job_per_file(client: Any, fake: FakeLlamaCloud) -> None:
    directory = await settle(client.beta.directories.create(name="inbox"))
    for name, content in (("a.pdf", invoice_pdf()), ("b.txt", b"Total: 5")):
        file_id = fake.preload(name, content)
        await settle(client.beta.directories.files.add(directory.id, file_id=file_id))
    config = {"job": {"type": "parse_v2", "configuration_id": "cfg-PARSE_AGENTIC"}}
    batch = await settle(client.batches.create(config=config, source_directory_id=directory.id))
    states = [batch.status]
    for _ in range(2):
        batch = await settle(client.batches.get(batch.id, expand=["results"]))
        states.append(batch.status)
    assert states == ["PENDING", "RUNNING", "COMPLETED"]
    jobs = [result.job_reference.id for result in batch.results]
    texts = [
        (await settle(client.parsing.get(job_id, expand=["text"]))).text.pages[0].text
        for job_id in jobs
    ]
    assert texts[1] == "Total: 5"
    assert fake.billing.jobs("parse") == 2
    with pytest.raises(ConflictError):
        await settle(client.batches.cancel(batch.id))
    assert [b.id for b in await collect(client.batches.list(status="COMPLETED"))] == [batch.id]


async def test_a_cancelled_batch_stops_its_jobs(client: Any, fake: FakeLlamaCloud) -> None:
    directory = await settle(client.beta.directories.create(name="inbox"))
    file_id = fake.preload("a.txt", b"Total: 5")
    entry = await settle(client.beta.directories.files.add(directory.id, file_id=file_id))
    saved = await settle(
        client.configurations.create(
            name="totals",
            parameters={
                "product_type": "extract_v2",
                "data_schema": {"type": "object", "properties": {"total": {"type": "number"}}},
            },
        )
    )
    config = {"job": {"type": "extract_v2", "configuration_id": saved.id}}
    batch = await settle(client.batches.create(config=config, source_directory_id=directory.id))
    assert (await settle(client.batches.cancel(batch.id))).status == "CANCELLED"
    seen = await settle(client.batches.get(batch.id, expand=["results"]))
    assert seen.results[0].source_directory_file_id == entry.id
    child = await settle(client.extract.get(seen.results[0].job_reference.id))
    assert (child.status, fake.billing.credits) == ("CANCELLED", 0)
    wrong = {"job": {"type": "extract_v2", "configuration_id": "cfg-none"}}
    with pytest.raises(NotFoundError):
        await settle(client.batches.create(config=wrong, source_directory_id=directory.id))
