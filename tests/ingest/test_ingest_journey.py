"""A file becomes served chunks: once, completely, and with an honest end."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.ingest.journey import OWNER, UNREADABLE, Desk
from tests.ingest.pages import bytes_of

from foliotrace.errors import Conflict, FileRefused, InvalidRequest, NotFound, NothingToIndex
from foliotrace.ingest.publish import (
    compact,
    delete_document,
    delete_orphaned_originals,
    hold_originals,
)
from foliotrace.ingest.upload import Accepted
from foliotrace.ingest.workflow import (
    IngestDocument,
    Ingested,
    IngestWorkflow,
    cancel_ingest,
)
from foliotrace.jobs import Progress
from foliotrace.model import DocumentStatus, JobStatus

pytestmark = pytest.mark.anyio


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    made = Desk(tmp_path / "data")
    yield made
    made.close()


async def test_every_page_is_stored_chunked_and_found(desk: Desk) -> None:
    done = await desk.ingest("notes.txt", *(f"Page {n} tells of topic{n}." for n in range(1, 8)))
    assert (done.pages, done.chunks, done.pages_unreadable) == (7, 7, 0)
    assert [len(call) for call in desk.parser.calls] == [2, 2, 2, 1]
    (passage,) = await desk.ask("topic6")
    page = await desk.library.page("t1", done.document_id, 6)
    assert page.text[passage.start : passage.end] == passage.text
    document = await desk.library.document("t1", done.document_id)
    assert (document.status, document.pages_stored) == (DocumentStatus.READY, 7)


async def test_progress_tells_stage_pages_and_chunks_and_the_audit_log_is_called_first_and_last(
    desk: Desk,
) -> None:
    accepted = await desk.upload("notes.txt", "One.", "Two.", "Three.")
    start = IngestDocument(document_id=accepted.document.id, job_id=accepted.job.id)
    handler = IngestWorkflow(desk.services).run(start_event=start)
    told = [
        (event.stage, event.pages_done, event.pages_total, event.chunks)
        async for event in handler.stream_events()
        if isinstance(event, Progress)
    ]
    await handler
    assert told == [
        ("parse", 0, 3, 0),
        ("parse", 2, 3, 2),
        ("index", 3, 3, 3),
        ("completed", 3, 3, 3),
    ]
    assert [entry.event for entry in desk.audit.entries] == ["ingest_received", "ingest_completed"]
    job = await desk.jobs.job("t1", accepted.job.id)
    assert (job.status, job.pages_done, job.chunks) == (JobStatus.COMPLETED, 3, 3)


async def test_an_unchanged_file_is_not_parsed_again(desk: Desk) -> None:
    await desk.ingest("notes.txt", "One.", "Two.")
    calls = len(desk.parser.calls)
    again = await desk.upload("notes.txt", "One.", "Two.")
    assert (again.unchanged, again.settled, again.job.chunks) == (True, True, 2)
    assert len(desk.parser.calls) == calls


async def test_equal_bytes_under_another_name_are_not_parsed_again(desk: Desk) -> None:
    await desk.ingest("notes.txt", "One alpha.", "Two beta.")
    calls = len(desk.parser.calls)
    copy = await desk.ingest("copy.txt", "One alpha.", "Two beta.")
    assert len(desk.parser.calls) == calls
    assert {p.document_name for p in await desk.ask("alpha")} == {"notes.txt", "copy.txt"}
    await delete_document(desk.services, OWNER, copy.document_id, run_id="r")
    assert {p.document_name for p in await desk.ask("alpha")} == {"notes.txt"}


async def test_a_changed_file_replaces_its_chunks_at_once_and_completely(desk: Desk) -> None:
    first = await desk.ingest("notes.txt", "Old alpha.", "Old beta.", "Old gamma.")
    changed = await desk.upload("notes.txt", "New delta.", "New epsilon.", "New zeta.")
    served = [chunk.text for chunk in await desk.library.document_chunks("t1", first.document_id)]
    assert served == ["Old alpha.", "Old beta.", "Old gamma."]
    done = await desk.run(changed)
    assert done.document_id == first.document_id
    assert await desk.ask("alpha beta gamma old") == []
    assert len(await desk.ask("delta epsilon zeta")) == 3
    assert len(list(await desk.blobs.hashes("t1"))) == 1


async def test_a_failing_document_says_why_and_the_others_go_on(desk: Desk) -> None:
    with pytest.raises(FileRefused):
        await desk.ingest("bad.txt", "%broken")
    await desk.ingest("good.txt", "All is well.")
    bad, good = sorted(await desk.library.documents("t1"), key=lambda d: d.name)
    assert (bad.status, bad.problem) == (DocumentStatus.FAILED, "file_malformed")
    assert good.status is DocumentStatus.READY
    (job,) = await desk.jobs.jobs("t1", document_id=bad.id)
    assert (job.status, job.problem) == (JobStatus.FAILED, "file_malformed")
    assert desk.audit.entries[1].event == "ingest_failed"


async def test_zero_chunks_are_a_failure_that_names_the_pages_problems(desk: Desk) -> None:
    with pytest.raises(NothingToIndex, match="2 of 2 pages: needs_ocr"):
        await desk.ingest("scan.txt", UNREADABLE, UNREADABLE)
    (document,) = await desk.library.documents("t1")
    assert (document.status, document.problem) == (DocumentStatus.FAILED, "zero_chunks")
    assert (await desk.library.page("t1", document.id, 2)).problem == "needs_ocr"


async def test_an_unreadable_page_is_counted_and_the_rest_is_served(desk: Desk) -> None:
    done = await desk.ingest("mixed.txt", "Readable alpha.", UNREADABLE)
    assert (done.pages, done.pages_unreadable, done.chunks) == (2, 1, 1)


async def test_a_failed_change_leaves_the_served_revision(desk: Desk) -> None:
    first = await desk.ingest("notes.txt", "Old alpha.")
    with pytest.raises(FileRefused):
        await desk.ingest("notes.txt", "%broken")
    assert [p.document_id for p in await desk.ask("alpha")] == [first.document_id]
    document = await desk.library.document("t1", first.document_id)
    assert (document.status, document.problem) == (DocumentStatus.FAILED, "file_malformed")


async def test_a_run_that_starts_again_parses_only_the_missing_windows(desk: Desk) -> None:
    class Stopped(Exception):
        pass

    async def stop() -> None:
        raise Stopped

    pages = [f"Page {n} tells of topic{n}." for n in range(1, 8)]
    desk.parser.before[5] = stop
    with pytest.raises(Stopped):
        await desk.ingest("notes.txt", *pages)
    calls = len(desk.parser.calls)
    done = await desk.ingest("notes.txt", *pages)
    assert [call.start for call in desk.parser.calls[calls:]] == [5, 7]
    assert (done.pages, done.chunks) == (7, 7)


async def test_a_cancelled_job_leaves_nothing_behind(desk: Desk) -> None:
    accepted = await desk.upload("notes.txt", *(f"Page {n} alpha." for n in range(1, 9)))
    desk.parser.before[5] = lambda: cancel_ingest(desk.services, OWNER, accepted.job.id)
    with pytest.raises(Conflict):
        await desk.run(accepted)
    job = await desk.jobs.job("t1", accepted.job.id)
    document = await desk.library.document("t1", accepted.document.id)
    assert (job.status, document.problem) == (JobStatus.CANCELLED, "job_cancelled")
    assert document.pending_revision is None
    with pytest.raises(NotFound):
        await desk.library.page("t1", document.id, 1)
    with pytest.raises(Conflict, match="already"):
        await cancel_ingest(desk.services, OWNER, accepted.job.id)


async def test_newer_bytes_end_the_ingestion_of_older_ones(desk: Desk) -> None:
    old = await desk.upload("notes.txt", *(f"Old {n} alpha." for n in range(1, 9)))
    newer: list[Accepted] = []

    async def upload_newer() -> None:
        newer.append(await desk.upload("notes.txt", "New beta."))

    desk.parser.before[5] = upload_newer
    with pytest.raises(Conflict):
        await desk.run(old)
    done = await desk.run(newer[0])
    assert done.chunks == 1
    assert await desk.ask("alpha") == []
    assert (await desk.jobs.job("t1", old.job.id)).problem == "ingest_superseded"
    assert (await desk.library.document("t1", done.document_id)).status is DocumentStatus.READY


async def test_an_idempotency_key_gives_the_same_job_and_refuses_another_file(desk: Desk) -> None:
    first = await desk.upload("notes.txt", "One.", key="k1")
    again = await desk.upload("notes.txt", "One.", key="k1")
    assert again.job.id == first.job.id
    with pytest.raises(Conflict) as refused:
        await desk.upload("notes.txt", "Two.", key="k1")
    assert refused.value.error_code == "idempotency_conflict"
    assert (await desk.library.document("t1", first.document.id)).content_hash == (
        first.document.content_hash
    )


async def test_two_uploads_of_one_file_under_way_share_a_job(desk: Desk) -> None:
    first = await desk.upload("notes.txt", "One.")
    assert (await desk.upload("notes.txt", "One.")).job.id == first.job.id


async def test_two_jobs_of_the_same_bytes_under_way_both_complete(desk: Desk) -> None:
    pages = [f"Page {n} tells of topic{n}." for n in range(1, 8)]
    first = await desk.upload("notes.txt", *pages)
    twin = await desk.upload("notes.txt", *pages, key="k1")
    assert twin.job.id != first.job.id

    async def run_the_first() -> None:
        await desk.run(first)

    desk.parser.before[5] = run_the_first
    done = await desk.run(twin)
    assert (done.pages, done.chunks) == (7, 7)
    for accepted in (first, twin):
        job = await desk.jobs.job("t1", accepted.job.id)
        assert (job.status, job.problem) == (JobStatus.COMPLETED, None)
    assert (await desk.library.document("t1", done.document_id)).status is DocumentStatus.READY
    assert [p.page for p in await desk.ask("topic6")] == [6]


async def test_an_empty_or_too_large_file_is_refused_and_nothing_is_kept(desk: Desk) -> None:
    for content, code in ((b"", "file_empty"), (b"x" * 20_000, "file_too_large")):
        with pytest.raises(FileRefused) as refused:
            await desk.blobs.put("t1", "a.txt", bytes_of(content), limit_bytes=10_000)
        assert refused.value.error_code == code
    assert [p for p in (desk.folder / "blobs").rglob("*") if p.is_file()] == []


@pytest.mark.parametrize(
    "name", ["", "../a", "/etc/passwd", "a\x00b", "a//b", "x" * 300, "\u202e", "a\u200db"]
)
async def test_a_name_that_could_mislead_is_refused(desk: Desk, name: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await desk.upload(name, "One.")
    assert refused.value.error_code == "invalid_name"


async def test_nothing_deleted_can_be_found_in_the_data_folder(desk: Desk) -> None:
    secret = "xylophonecanary"
    kept = await desk.ingest("kept.txt", "Nothing to hide here.")
    gone = await desk.ingest("gone.txt", *(f"{secret} on page {n}." for n in range(1, 6)))
    await desk.ingest("changed.txt", f"{secret} was here.")
    await desk.ingest("changed.txt", "And is no more.")
    await delete_document(desk.services, OWNER, gone.document_id, run_id="r1")
    await compact(desk.services)
    desk.index.close()
    holding = [
        p for p in desk.folder.rglob("*") if p.is_file() and secret.encode() in p.read_bytes()
    ]
    assert holding == []
    assert desk.forgotten == [("t1", gone.document_id)]
    assert [p.document_id for p in await desk.ask("nothing to hide")] == [kept.document_id]
    with pytest.raises(NotFound):
        await desk.library.document("t1", gone.document_id)
    assert desk.audit.entries[-1].event == "delete_completed"


@pytest.mark.parametrize(
    "name", ["\u0646\u0627\u0645\u0647\u200c\u0647\u0627.txt", "\U0001f468\u200d\U0001f467.txt"]
)
async def test_joiners_inside_words_and_emoji_are_names(desk: Desk, name: str) -> None:
    assert (await desk.upload(name, "One.")).document.name == name


async def test_bytes_that_an_upload_brings_survive_the_deletion_of_their_last_document(
    desk: Desk,
) -> None:
    old = await desk.ingest("old.txt", "One.")
    content = bytes_of(b"One.")
    async with hold_originals(desk.services, "t1") as keep:
        keep(await desk.blobs.put("t1", "new.txt", content, limit_bytes=100))
        await delete_document(desk.services, OWNER, old.document_id, run_id="r")
        assert len(list(await desk.blobs.hashes("t1"))) == 1
    assert list(await desk.blobs.hashes("t1")) == []
    assert desk.services.uploads_in_flight == {}


async def test_an_original_that_no_document_has_is_swept(desk: Desk) -> None:
    await desk.ingest("notes.txt", "One.")
    for tenant in ("t1", "t2"):
        await desk.blobs.put(tenant, "lost.txt", bytes_of(b"lost"), limit_bytes=100)
    assert await delete_orphaned_originals(desk.services) == 2
    assert len(list(await desk.blobs.hashes("t1"))) == 1
    assert list(await desk.blobs.hashes("t2")) == []


async def test_a_library_that_was_lost_takes_no_originals_with_it(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    await desk.ingest("notes.txt", "One.")
    desk.close()
    for path in tmp_path.glob("library.db*"):
        path.unlink()
    anew = Desk(tmp_path)
    assert await delete_orphaned_originals(anew.services) == 0
    assert len(list(await anew.blobs.hashes("t1"))) == 1
    anew.close()


async def test_a_run_without_a_job_makes_one(desk: Desk) -> None:
    accepted = await desk.upload("notes.txt", "One.")
    done = await IngestWorkflow(desk.services).run(
        start_event=IngestDocument(document_id=accepted.document.id)
    )
    assert isinstance(done, Ingested)
    assert done.job_id == accepted.job.id
