"""What every `JobStore` and `Runs` must do."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from tests.ingest.pages import serve

from foliotrace.adapters.local.sqlite.jobs import SqliteJobs
from foliotrace.adapters.local.sqlite.library import SqliteLibrary
from foliotrace.adapters.local.sqlite.runs import SqliteRuns
from foliotrace.errors import NotFound
from foliotrace.model import (
    Anchor,
    Box,
    Citation,
    Degradation,
    Extraction,
    ExtractionMethod,
    FieldResult,
    Job,
    JobKind,
    JobStatus,
    Level,
    PageKind,
    Run,
    Usage,
    Versions,
)
from foliotrace.ports import JobStore, Runs

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture(params=["sqlite"])
async def library(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqliteLibrary]:
    opened = SqliteLibrary.open(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
async def jobs(library: SqliteLibrary) -> JobStore:
    return SqliteJobs(library)


@pytest.fixture
async def runs(library: SqliteLibrary) -> AsyncIterator[Runs]:
    opened = SqliteRuns(library)
    yield opened
    await opened.close()


def job(number: int = 1, **more: object) -> Job:
    moment = NOON + timedelta(seconds=number)
    values: dict[str, object] = {
        "id": f"job_{number}",
        "tenant": "t1",
        "subject": "ann",
        "kind": JobKind.INGEST,
        "document_id": "doc_1",
        "created_at": moment,
        "updated_at": moment,
    }
    return Job(**{**values, **more})  # type: ignore[arg-type]


def cited(document_id: str = "doc_1") -> Citation:
    anchor = Anchor(kind=PageKind.PAGE, page=2, start=3, end=9, boxes=(Box(1, 2, 3, 4.5),))
    return Citation(
        marker=1,
        document_id=document_id,
        document_name="a.pdf",
        chunk_id="c",
        quote="quoted",
        anchor=anchor,
        score=0.5,
    )


def run(number: int = 1, document_id: str = "doc_1", tenant: str = "t1") -> Run:
    return Run(
        id=f"run_{number}",
        tenant=tenant,
        workflow="query",
        versions=Versions(code="1", prompt="p1", model=None, index=7),
        degradation=Degradation(level=Level.LOWER_PATH, reasons=("embedding_pending",)),
        citations=(cited(document_id),),
        usage=Usage(cost_usd=Decimal("0.0012"), llm_calls=1),
        query_hash="ab",
        user_id=None,
        session_id=None,
        tags=("x",),
        metadata={"k": 1},
        trace_id=None,
        created_at=NOON + timedelta(seconds=number),
        elapsed_ms=12.5,
    )


async def test_a_job_comes_back_as_it_was_created(jobs: JobStore) -> None:
    made = job(idempotency_key="k", fingerprint="f", trace_id="t" * 32)
    assert await jobs.create(made) == made
    assert await jobs.job("t1", made.id) == made
    assert await jobs.by_key("t1", JobKind.INGEST, "k") == made
    assert await jobs.by_key("t1", JobKind.EXTRACT, "k") is None


async def test_an_idempotency_key_gives_the_job_that_has_it(jobs: JobStore) -> None:
    first = await jobs.create(job(1, idempotency_key="k"))
    assert await jobs.create(job(2, idempotency_key="k")) == first
    other_tenant = await jobs.create(job(3, idempotency_key="k", tenant="t2"))
    assert other_tenant.id == "job_3"


async def test_creating_a_job_again_changes_nothing(jobs: JobStore) -> None:
    first = await jobs.create(job(1))
    await jobs.update(dataclasses.replace(first, status=JobStatus.RUNNING))
    assert (await jobs.create(job(1))).status is JobStatus.RUNNING


async def test_a_final_state_never_changes_again(jobs: JobStore) -> None:
    made = await jobs.create(job())
    await jobs.update(dataclasses.replace(made, status=JobStatus.CANCELLED, stage="cancelled"))
    await jobs.update(dataclasses.replace(made, status=JobStatus.COMPLETED))
    assert (await jobs.job("t1", made.id)).status is JobStatus.CANCELLED


async def test_an_unknown_job_is_not_found(jobs: JobStore) -> None:
    await jobs.create(job())
    for tenant, job_id in (("t1", "job_9"), ("t2", "job_1")):
        with pytest.raises(NotFound):
            await jobs.job(tenant, job_id)
        with pytest.raises(NotFound):
            await jobs.update(job(id=job_id, tenant=tenant))


async def test_jobs_are_listed_newest_first_and_page_by_page(jobs: JobStore) -> None:
    for number in range(5):
        await jobs.create(job(number, document_id=f"doc_{number % 2}"))
    await jobs.create(job(7, tenant="t2"))
    first = await jobs.jobs("t1", limit=3)
    rest = await jobs.jobs("t1", limit=3, after=first[-1].id)
    assert [j.id for j in [*first, *rest]] == [f"job_{n}" for n in (4, 3, 2, 1, 0)]
    assert [j.id for j in await jobs.jobs("t1", document_id="doc_1")] == ["job_3", "job_1"]


async def test_unfinished_jobs_are_found_again(jobs: JobStore) -> None:
    done = await jobs.create(job(1))
    await jobs.create(job(2))
    await jobs.create(job(3, tenant="t2"))
    await jobs.update(dataclasses.replace(done, status=JobStatus.COMPLETED))
    assert [j.id for j in await jobs.jobs("t1", unfinished=True)] == ["job_2"]
    assert [j.id for j in await jobs.unfinished()] == ["job_2", "job_3"]


async def test_an_extraction_record_comes_back_valid_or_not(jobs: JobStore) -> None:
    made = await jobs.create(job(kind=JobKind.EXTRACT))
    record = Extraction(
        record={"total": 5, "lines": [{"name": None}]},
        fields=(
            FieldResult(
                pointer="/total",
                value=5,
                confidence=0.9,
                citations=(cited(),),
                method=ExtractionMethod.RULES,
            ),
        ),
        valid=False,
        errors=("/lines/0/name: required",),
        usage=Usage(cost_usd=Decimal("0.10")),
    )
    schema = {"type": "object"}
    await jobs.save_extraction("t1", made.id, schema=schema, extraction=record)
    assert await jobs.extraction("t1", made.id) == (schema, record)
    with pytest.raises(NotFound):
        await jobs.extraction("t2", made.id)
    with pytest.raises(NotFound):
        await jobs.save_extraction("t2", made.id, schema=schema, extraction=record)


async def test_a_run_can_be_read_at_once_and_after_it_was_written(
    runs: Runs, library: SqliteLibrary
) -> None:
    await runs.save(run())
    assert await runs.run("t1", "run_1") == run()
    again = SqliteRuns(library)
    assert isinstance(runs, SqliteRuns)
    await runs.flush()
    assert await again.run("t1", "run_1") == run()
    for tenant, run_id in (("t2", "run_1"), ("t1", "run_9")):
        with pytest.raises(NotFound):
            await again.run(tenant, run_id)


async def test_old_runs_are_forgotten(runs: Runs) -> None:
    for number in range(4):
        await runs.save(run(number))
    assert await runs.expire(before=NOON + timedelta(seconds=2)) == 2
    with pytest.raises(NotFound):
        await runs.run("t1", "run_1")
    assert (await runs.run("t1", "run_2")).id == "run_2"


async def test_a_deleted_document_takes_its_jobs_records_and_runs_along(
    library: SqliteLibrary, jobs: JobStore, runs: SqliteRuns
) -> None:
    gone = await serve(library, "Alpha.")
    await jobs.create(job(1, document_id=gone.id))
    await runs.save(run(1, document_id=gone.id))
    await runs.save(run(2))
    await runs.flush()
    await library.delete("t1", gone.id)
    with pytest.raises(NotFound):
        await jobs.job("t1", "job_1")
    with pytest.raises(NotFound):
        await runs.run("t1", "run_1")
    assert (await runs.run("t1", "run_2")).id == "run_2"


async def test_runs_saved_while_others_are_written_are_written_too(library: SqliteLibrary) -> None:
    runs = SqliteRuns(library)
    for number in range(20):
        await runs.save(run(number))
        if number % 5 == 0:
            await asyncio.gather(runs.flush(), runs.flush(), runs.save(run(100 + number)))
    await runs.close()
    again = SqliteRuns(library)
    for number in [*range(20), 100, 105, 110, 115]:
        assert (await again.run("t1", f"run_{number}")).id == f"run_{number}"


async def test_runs_expire_by_project(runs: SqliteRuns) -> None:
    for number, project in enumerate(("short", "long", "other"), 1):
        await runs.save(dataclasses.replace(run(number), project=project))
    later = NOON + timedelta(days=1)
    gone = await runs.expire(before=NOON, by_project={"short": later, "long": NOON})
    assert gone == 1
    left: list[str] = []
    await runs.visit("t1", lambda found: left.append(found.project) is None)
    assert left == ["other", "long"]


async def test_a_trace_id_names_its_newest_run(runs: SqliteRuns) -> None:
    trace = "a" * 32
    for number in (1, 2):
        await runs.save(dataclasses.replace(run(number), trace_id=trace))
    assert (await runs.run("t1", trace)).id == "run_2"
    await runs.flush()
    assert (await runs.run("t1", trace)).id == "run_2"
    with pytest.raises(NotFound):
        await runs.run("t2", trace)
