"""Small files are ingested together; what does not go smoothly is left for a run of its own."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tests.ingest.ingest_stack import OWNER, FormFeedParser, IngestStack

from foliotrace.errors import IndexUnavailable
from foliotrace.ingest.services import IngestServices
from foliotrace.ingest.together import (
    SMALL_FILE_BYTES,
    IngestedFile,
    QueuedFile,
    ingest_together,
)
from foliotrace.ingest.upload import Accepted
from foliotrace.ingest.workflow import cancel_ingest
from foliotrace.model import Deadline, DocumentStatus, JobStatus, ParsedPage, SourceFile
from foliotrace.ports import WholeFile

pytestmark = pytest.mark.anyio


class GroupReader(FormFeedParser):
    """Reads files together, except those that begin with "%"."""

    groups: list[int]

    async def read_whole(
        self, sources: Sequence[SourceFile], *, deadline: Deadline
    ) -> Sequence[WholeFile | None]:
        self.groups.append(len(sources))
        return [self._whole(source) for source in sources]

    def _whole(self, source: SourceFile) -> WholeFile | None:
        text = source.path.read_text()
        if text.startswith("%"):
            return None
        page = ParsedPage(number=1, text=text, engine=self.engine)
        return WholeFile(title=None, pages=[page])


class FailingIndex:
    """An index that is out of order."""

    async def catch_up(self) -> int:
        raise IndexUnavailable

    compact = rebuild = catch_up


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[IngestStack]:
    made = IngestStack(tmp_path / "data", upload_bytes=100_000)
    reader = GroupReader()
    reader.groups = []
    made.use_parser(reader)
    yield made
    made.close()


async def together(stack: IngestStack, *files: Accepted) -> Mapping[str, IngestedFile]:
    queued = [QueuedFile(job_id=f.job.id, document_id=f.document.id) for f in files]
    return await ingest_together(stack.services, "t1", queued)


async def test_many_files_are_served_after_one_parser_call_and_one_index_update(
    stack: IngestStack,
) -> None:
    files = [await stack.upload(f"{n}.txt", f"A note about bird{n}.") for n in range(5)]
    ingested = await together(stack, *files)
    assert stack.parser.groups == [5]  # type: ignore[attr-defined] # the fixture's reader
    assert set(ingested) == {file.job.id for file in files}
    assert {each.index_version for each in ingested.values()} == {5}
    for number, file in enumerate(files):
        (passage,) = await stack.ask(f"bird{number}")
        assert passage.document_id == file.document.id
        job = await stack.jobs.job("t1", file.job.id)
        assert (job.status, job.stage, job.pages_done, job.chunks) == (
            JobStatus.COMPLETED,
            "completed",
            1,
            1,
        )
        assert [e.event for e in stack.audit.entries if e.run_id == file.job.id] == [
            "ingest_received",
            "ingest_completed",
        ]


async def test_a_file_gets_the_chunks_that_a_run_of_its_own_gives_it(stack: IngestStack) -> None:
    text = "Birds sing in spring. " * 100
    alone = await stack.run(await stack.upload("alone.txt", text))
    file = await stack.upload("together.txt", text)
    (ingested,) = (await together(stack, file)).values()
    assert ingested.document.revision == alone.revision

    async def spans(document_id: str) -> list[tuple[int, int, str]]:
        chunks = await stack.library.document_chunks("t1", document_id)
        return [(chunk.start, chunk.end, chunk.text) for chunk in chunks]

    assert await spans(ingested.document.id) == await spans(alone.document_id) != []


async def test_what_cannot_be_read_is_left_as_it_was_and_the_others_are_served(
    stack: IngestStack,
) -> None:
    good = await stack.upload("good.txt", "whale")
    broken = await stack.upload("broken.txt", "%broken")
    blank = await stack.upload("blank.txt", " \n ")
    large = await stack.upload("large.txt", "x" * (SMALL_FILE_BYTES + 1))
    assert set(await together(stack, good, broken, blank, large)) == {good.job.id}
    for left in (broken, blank, large):
        assert (await stack.jobs.job("t1", left.job.id)).status is JobStatus.QUEUED
        document = await stack.library.document("t1", left.document.id)
        assert (document.status, document.pending_revision) == (DocumentStatus.QUEUED, None)
        assert not await stack.library.document_chunks("t1", left.document.id)


async def test_a_cancelled_a_deleted_and_a_replaced_file_are_not_served(
    stack: IngestStack,
) -> None:
    cancelled = await stack.upload("cancelled.txt", "whale one")
    await cancel_ingest(stack.services, OWNER, cancelled.job.id)
    deleted = await stack.upload("deleted.txt", "whale two")
    await stack.library.delete("t1", deleted.document.id)
    replaced = await stack.upload("replaced.txt", "whale three")
    newer = await stack.upload("replaced.txt", "whale four")
    ingested = await together(stack, cancelled, deleted, replaced, newer)
    assert set(ingested) == {newer.job.id}
    assert [passage.text for passage in await stack.ask("whale")] == ["whale four"]


async def test_newer_bytes_that_arrive_while_a_file_is_read_win(stack: IngestStack) -> None:
    old = await stack.upload("a.txt", "old whale")
    reader = stack.parser
    read_whole = reader.read_whole  # type: ignore[attr-defined] # the fixture's reader

    async def interrupted(
        sources: Sequence[SourceFile], *, deadline: Deadline
    ) -> Sequence[WholeFile | None]:
        files: Sequence[WholeFile | None] = await read_whole(sources, deadline=deadline)
        await stack.upload("a.txt", "new whale")
        return files

    reader.read_whole = interrupted  # type: ignore[attr-defined] # the fixture's reader
    assert await together(stack, old) == {}
    document = await stack.library.document("t1", old.document.id)
    assert (document.status, document.revision) == (DocumentStatus.QUEUED, None)


async def test_a_changed_file_replaces_its_chunks(stack: IngestStack) -> None:
    await together(stack, await stack.upload("a.txt", "old whale"))
    await together(stack, await stack.upload("a.txt", "new whale"))
    assert [passage.text for passage in await stack.ask("whale")] == ["new whale"]


async def test_a_run_of_its_own_completes_what_a_dying_group_has_published(
    stack: IngestStack,
) -> None:
    file = await stack.upload("a.txt", "whale")
    services = stack.services
    stack.services = _with_failing_index(services)
    with pytest.raises(IndexUnavailable):
        await together(stack, file)
    stack.services = services
    assert (await stack.run(file)).chunks == 1
    assert (await stack.jobs.job("t1", file.job.id)).status is JobStatus.COMPLETED
    (passage,) = await stack.ask("whale")
    assert passage.document_id == file.document.id


def _with_failing_index(services: IngestServices) -> IngestServices:
    return replace(services, indexes=(FailingIndex(),))
