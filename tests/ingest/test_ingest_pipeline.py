"""A file becomes served chunks: once, completely, and with an honest end."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
from tests.ingest.ingest_stack import OWNER, UNREADABLE, IngestStack
from tests.ingest.pages import bytes_of
from workflows import Workflow

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
async def stack(tmp_path: Path) -> AsyncIterator[IngestStack]:
    made = IngestStack(tmp_path / "data")
    yield made
    made.close()


async def test_every_page_is_stored_chunked_and_found(stack: IngestStack) -> None:
    done = await stack.ingest("notes.txt", *(f"Page {n} tells of topic{n}." for n in range(1, 8)))
    assert (done.pages, done.chunks, done.pages_unreadable) == (7, 7, 0)
    assert [len(call) for call in stack.parser.calls] == [2, 2, 2, 1]
    (passage,) = await stack.ask("topic6")
    page = await stack.library.page("t1", done.document_id, 6)
    assert page.text[passage.start : passage.end] == passage.text
    document = await stack.library.document("t1", done.document_id)
    assert (document.status, document.pages_stored) == (DocumentStatus.READY, 7)


async def test_progress_tells_stage_pages_and_chunks_and_the_audit_log_is_called_first_and_last(
    stack: IngestStack,
) -> None:
    accepted = await stack.upload("notes.txt", "One.", "Two.", "Three.")
    start = IngestDocument(document_id=accepted.document.id, job_id=accepted.job.id)
    handler = IngestWorkflow(stack.services).run(start_event=start)
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
    assert [entry.event for entry in stack.audit.entries] == ["ingest_received", "ingest_completed"]
    job = await stack.jobs.job("t1", accepted.job.id)
    assert (job.status, job.pages_done, job.chunks) == (JobStatus.COMPLETED, 3, 3)


async def test_an_unchanged_file_is_not_parsed_again(stack: IngestStack) -> None:
    await stack.ingest("notes.txt", "One.", "Two.")
    calls = len(stack.parser.calls)
    again = await stack.upload("notes.txt", "One.", "Two.")
    assert (again.unchanged, again.settled, again.job.chunks) == (True, True, 2)
    assert len(stack.parser.calls) == calls


async def test_equal_bytes_under_another_name_are_not_parsed_again(stack: IngestStack) -> None:
    await stack.ingest("notes.txt", "One alpha.", "Two beta.")
    calls = len(stack.parser.calls)
    copy = await stack.ingest("copy.txt", "One alpha.", "Two beta.")
    assert len(stack.parser.calls) == calls
    assert {p.document_name for p in await stack.ask("alpha")} == {"notes.txt", "copy.txt"}
    await delete_document(stack.services, OWNER, copy.document_id, run_id="r")
    assert {p.document_name for p in await stack.ask("alpha")} == {"notes.txt"}


async def test_a_changed_file_replaces_its_chunks_at_once_and_completely(
    stack: IngestStack,
) -> None:
    first = await stack.ingest("notes.txt", "Old alpha.", "Old beta.", "Old gamma.")
    changed = await stack.upload("notes.txt", "New delta.", "New epsilon.", "New zeta.")
    served = [chunk.text for chunk in await stack.library.document_chunks("t1", first.document_id)]
    assert served == ["Old alpha.", "Old beta.", "Old gamma."]
    done = await stack.run(changed)
    assert done.document_id == first.document_id
    assert await stack.ask("alpha beta gamma old") == []
    assert len(await stack.ask("delta epsilon zeta")) == 3
    assert len(list(await stack.blobs.hashes("t1"))) == 1


async def test_a_failing_document_says_why_and_the_others_go_on(stack: IngestStack) -> None:
    with pytest.raises(FileRefused):
        await stack.ingest("bad.txt", "%broken")
    await stack.ingest("good.txt", "All is well.")
    bad, good = sorted(await stack.library.documents("t1"), key=lambda d: d.name)
    assert (bad.status, bad.problem) == (DocumentStatus.FAILED, "file_malformed")
    assert good.status is DocumentStatus.READY
    (job,) = await stack.jobs.jobs("t1", document_id=bad.id)
    assert (job.status, job.problem) == (JobStatus.FAILED, "file_malformed")
    assert stack.audit.entries[1].event == "ingest_failed"


async def test_zero_chunks_are_a_failure_that_names_the_pages_problems(stack: IngestStack) -> None:
    with pytest.raises(NothingToIndex, match="2 of 2 pages: needs_ocr") as raised:
        await stack.ingest("scan.txt", UNREADABLE, UNREADABLE)
    message = str(raised.value)
    assert "apt install tesseract-ocr" in message
    assert message.startswith("scan.txt: ")  # the command line groups what follows the name
    (document,) = await stack.library.documents("t1")
    assert (document.status, document.problem) == (DocumentStatus.FAILED, "zero_chunks")
    assert (await stack.library.page("t1", document.id, 2)).problem == "needs_ocr"


async def test_an_unreadable_page_is_counted_and_the_rest_is_served(stack: IngestStack) -> None:
    done = await stack.ingest("mixed.txt", "Readable alpha.", UNREADABLE)
    assert (done.pages, done.pages_unreadable, done.chunks) == (2, 1, 1)


async def test_a_failed_change_leaves_the_served_revision(stack: IngestStack) -> None:
    first = await stack.ingest("notes.txt", "Old alpha.")
    with pytest.raises(FileRefused):
        await stack.ingest("notes.txt", "%broken")
    assert [p.document_id for p in await stack.ask("alpha")] == [first.document_id]
    document = await stack.library.document("t1", first.document_id)
    assert (document.status, document.problem) == (DocumentStatus.FAILED, "file_malformed")


async def test_a_run_that_starts_again_parses_only_the_missing_windows(stack: IngestStack) -> None:
    class Stopped(Exception):
        pass

    async def stop() -> None:
        raise Stopped

    pages = [f"Page {n} tells of topic{n}." for n in range(1, 8)]
    stack.parser.before[5] = stop
    with pytest.raises(Stopped):
        await stack.ingest("notes.txt", *pages)
    calls = len(stack.parser.calls)
    done = await stack.ingest("notes.txt", *pages)
    assert [call.start for call in stack.parser.calls[calls:]] == [5, 7]
    assert (done.pages, done.chunks) == (7, 7)


async def test_a_cancelled_job_leaves_nothing_behind(stack: IngestStack) -> None:
    accepted = await stack.upload("notes.txt", *(f"Page {n} alpha." for n in range(1, 9)))
    stack.parser.before[5] = lambda: cancel_ingest(stack.services, OWNER, accepted.job.id)
    with pytest.raises(Conflict):
        await stack.run(accepted)
    job = await stack.jobs.job("t1", accepted.job.id)
    document = await stack.library.document("t1", accepted.document.id)
    assert (job.status, document.problem) == (JobStatus.CANCELLED, "job_cancelled")
    assert document.pending_revision is None
    with pytest.raises(NotFound):
        await stack.library.page("t1", document.id, 1)
    with pytest.raises(Conflict, match="already"):
        await cancel_ingest(stack.services, OWNER, accepted.job.id)


async def test_newer_bytes_end_the_ingestion_of_older_ones(stack: IngestStack) -> None:
    old = await stack.upload("notes.txt", *(f"Old {n} alpha." for n in range(1, 9)))
    newer: list[Accepted] = []

    async def upload_newer() -> None:
        newer.append(await stack.upload("notes.txt", "New beta."))

    stack.parser.before[5] = upload_newer
    with pytest.raises(Conflict):
        await stack.run(old)
    done = await stack.run(newer[0])
    assert done.chunks == 1
    assert await stack.ask("alpha") == []
    assert (await stack.jobs.job("t1", old.job.id)).problem == "ingest_superseded"
    assert (await stack.library.document("t1", done.document_id)).status is DocumentStatus.READY


async def test_an_idempotency_key_gives_the_same_job_and_refuses_another_file(
    stack: IngestStack,
) -> None:
    first = await stack.upload("notes.txt", "One.", key="k1")
    again = await stack.upload("notes.txt", "One.", key="k1")
    assert again.job.id == first.job.id
    with pytest.raises(Conflict) as refused:
        await stack.upload("notes.txt", "Two.", key="k1")
    assert refused.value.error_code == "idempotency_conflict"
    assert (await stack.library.document("t1", first.document.id)).content_hash == (
        first.document.content_hash
    )


async def test_two_uploads_of_one_file_under_way_share_a_job(stack: IngestStack) -> None:
    first = await stack.upload("notes.txt", "One.")
    assert (await stack.upload("notes.txt", "One.")).job.id == first.job.id


async def test_two_jobs_of_the_same_bytes_under_way_both_complete(stack: IngestStack) -> None:
    pages = [f"Page {n} tells of topic{n}." for n in range(1, 8)]
    first = await stack.upload("notes.txt", *pages)
    twin = await stack.upload("notes.txt", *pages, key="k1")
    assert twin.job.id != first.job.id

    async def run_the_first() -> None:
        await stack.run(first)

    stack.parser.before[5] = run_the_first
    done = await stack.run(twin)
    assert (done.pages, done.chunks) == (7, 7)
    for accepted in (first, twin):
        job = await stack.jobs.job("t1", accepted.job.id)
        assert (job.status, job.problem) == (JobStatus.COMPLETED, None)
    assert (await stack.library.document("t1", done.document_id)).status is DocumentStatus.READY
    assert [p.page for p in await stack.ask("topic6")] == [6]


async def test_an_empty_or_too_large_file_is_refused_and_nothing_is_kept(
    stack: IngestStack,
) -> None:
    for content, code in ((b"", "file_empty"), (b"x" * 20_000, "file_too_large")):
        with pytest.raises(FileRefused) as refused:
            await stack.blobs.put("t1", "a.txt", bytes_of(content), limit_bytes=10_000)
        assert refused.value.error_code == code
    assert [p for p in (stack.folder / "blobs").rglob("*") if p.is_file()] == []


@pytest.mark.parametrize(
    "name", ["", "../a", "/etc/passwd", "a\x00b", "a//b", "x" * 300, "\u202e", "a\u200db"]
)
async def test_a_name_that_could_mislead_is_refused(stack: IngestStack, name: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await stack.upload(name, "One.")
    assert refused.value.error_code == "invalid_name"


async def test_nothing_deleted_can_be_found_in_the_data_folder(stack: IngestStack) -> None:
    secret = "xylophonecanary"
    kept = await stack.ingest("kept.txt", "Nothing to hide here.")
    gone = await stack.ingest("gone.txt", *(f"{secret} on page {n}." for n in range(1, 6)))
    await stack.ingest("changed.txt", f"{secret} was here.")
    await stack.ingest("changed.txt", "And is no more.")
    await delete_document(stack.services, OWNER, gone.document_id, run_id="r1")
    await compact(stack.services)
    stack.index.close()
    holding = [
        p for p in stack.folder.rglob("*") if p.is_file() and secret.encode() in p.read_bytes()
    ]
    assert holding == []
    assert stack.forgotten == [("t1", gone.document_id)]
    assert [p.document_id for p in await stack.ask("nothing to hide")] == [kept.document_id]
    with pytest.raises(NotFound):
        await stack.library.document("t1", gone.document_id)
    assert stack.audit.entries[-1].event == "delete_completed"


@pytest.mark.parametrize(
    "name", ["\u0646\u0627\u0645\u0647\u200c\u0647\u0627.txt", "\U0001f468\u200d\U0001f467.txt"]
)
async def test_joiners_inside_words_and_emoji_are_names(stack: IngestStack, name: str) -> None:
    assert (await stack.upload(name, "One.")).document.name == name


async def test_bytes_that_an_upload_brings_survive_the_deletion_of_their_last_document(
    stack: IngestStack,
) -> None:
    old = await stack.ingest("old.txt", "One.")
    content = bytes_of(b"One.")
    async with hold_originals(stack.services, "t1") as keep:
        keep(await stack.blobs.put("t1", "new.txt", content, limit_bytes=100))
        await delete_document(stack.services, OWNER, old.document_id, run_id="r")
        assert len(list(await stack.blobs.hashes("t1"))) == 1
    assert list(await stack.blobs.hashes("t1")) == []
    assert stack.services.uploads_in_flight == {}


async def test_an_original_that_no_document_has_is_swept(stack: IngestStack) -> None:
    await stack.ingest("notes.txt", "One.")
    for tenant in ("t1", "t2"):
        await stack.blobs.put(tenant, "lost.txt", bytes_of(b"lost"), limit_bytes=100)
    assert await delete_orphaned_originals(stack.services) == 2
    assert len(list(await stack.blobs.hashes("t1"))) == 1
    assert list(await stack.blobs.hashes("t2")) == []


async def test_a_library_that_was_lost_takes_no_originals_with_it(tmp_path: Path) -> None:
    stack = IngestStack(tmp_path)
    await stack.ingest("notes.txt", "One.")
    stack.close()
    for path in tmp_path.glob("library.db*"):
        path.unlink()
    anew = IngestStack(tmp_path)
    assert await delete_orphaned_originals(anew.services) == 0
    assert len(list(await anew.blobs.hashes("t1"))) == 1
    anew.close()


async def test_a_run_without_a_job_makes_one(stack: IngestStack) -> None:
    accepted = await stack.upload("notes.txt", "One.")
    done = await IngestWorkflow(stack.services).run(
        start_event=IngestDocument(document_id=accepted.document.id)
    )
    assert isinstance(done, Ingested)
    assert done.job_id == accepted.job.id


async def test_a_file_of_which_most_pages_are_unreadable_fails(stack: IngestStack) -> None:
    with pytest.raises(Exception, match="more than half of its 3 pages"):
        await stack.ingest("mixed.txt", "Readable alpha.", UNREADABLE, UNREADABLE)
    (document,) = await stack.library.documents("t1")
    assert (document.status, document.problem) == ("failed", "file_mostly_unreadable")


def test_the_steps_of_a_job_are_looked_up_once_and_are_those_that_the_engine_finds() -> None:
    workflow = IngestWorkflow(cast("Any", None))
    assert list(Workflow._get_steps(workflow)) == list(workflow._get_steps())
    assert workflow._get_steps() is workflow._get_steps()
