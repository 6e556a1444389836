"""Documents and jobs over HTTP, through the typed client: accepted, followed, deleted wholly."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.server.small_service import serving, small_engine

from foliotrace_server.bodies import AcceptedBody
from foliotrace_server.client import AsyncFoliotraceClient, ServerProblem
from foliotrace_server.client.api_requests import ServerEvent

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[AsyncFoliotraceClient]:
    async with (
        serving(small_engine(tmp_path)) as http,
        AsyncFoliotraceClient(str(http.base_url)) as client,
    ):
        yield client


async def followed(client: AsyncFoliotraceClient, job_id: str, **last: str) -> list[ServerEvent]:
    return [event async for event in client.follow(job_id, **last)]


async def ingested(client: AsyncFoliotraceClient, name: str, text: str) -> AcceptedBody:
    """An upload whose job has ended."""
    upload = await client.upload([(name, text.encode())])
    await followed(client, upload.accepted[0].job.id)
    return upload.accepted[0]


async def test_an_upload_is_ingested_and_found(client: AsyncFoliotraceClient) -> None:
    upload = await client.upload([("a.txt", b"the blue whale sings")], metadata={"year": 1999})
    accepted = upload.accepted[0]
    events = await followed(client, accepted.job.id)
    assert [event.name for event in events][-2:] == ["progress", "end"]
    assert events[-1].value["status"] == "completed"
    assert (await client.ask("whale")).answer == "the blue whale sings"
    document = await client.document(accepted.document.id)
    assert (document.status, document.metadata) == ("ready", {"year": 1999})
    assert (await client.page(document.id, 1)).text == "the blue whale sings"
    assert [d.id for d in (await client.documents()).documents] == [document.id]
    assert [j.id for j in (await client.jobs()).jobs] == [accepted.job.id]


async def test_the_same_file_again_is_not_parsed_again(client: AsyncFoliotraceClient) -> None:
    first = await ingested(client, "a.txt", "whale")
    again = (await client.upload([("a.txt", b"whale")])).accepted[0]
    assert (again.unchanged, again.document.id) == (True, first.document.id)
    assert again.job.status == "completed"
    assert [e.name for e in await followed(client, again.job.id)] == ["end"]


async def test_one_bad_file_does_not_stop_the_others(client: AsyncFoliotraceClient) -> None:
    upload = await client.upload(
        [("good.txt", b"whale"), ("empty.txt", b""), ("large.txt", b"x" * 100_001)]
    )
    assert [a.document.name for a in upload.accepted] == ["good.txt"]
    assert {r.name: r.problem.code for r in upload.refused} == {
        "empty.txt": "file_empty",
        "large.txt": "file_too_large",
    }


async def test_an_idempotency_key_names_one_upload(client: AsyncFoliotraceClient) -> None:
    first = await client.upload([("a.txt", b"whale")], idempotency_key="k")
    again = await client.upload([("a.txt", b"whale")], idempotency_key="k")
    assert again.accepted[0].job.id == first.accepted[0].job.id
    with pytest.raises(ServerProblem) as refused:
        await client.upload([("a.txt", b"another")], idempotency_key="k")
    assert (refused.value.status, refused.value.error_code) == (409, "idempotency_conflict")


async def test_progress_resumes_behind_the_last_event(client: AsyncFoliotraceClient) -> None:
    accepted = await ingested(client, "a.txt", "one\x0ctwo\x0cthree")
    events = await followed(client, accepted.job.id)
    assert events[0].id is not None
    resumed = await followed(client, accepted.job.id, last_id=events[0].id)
    assert resumed == events[1:]


async def test_a_running_job_is_cancelled_and_says_so(client: AsyncFoliotraceClient) -> None:
    pages = "\x0c".join(f"slow {n}" for n in range(500)).encode()
    job = (await client.upload([("slow.txt", pages)])).accepted[0].job
    assert (await client.cancel_job(job.id)).status == "cancelled"
    assert (await followed(client, job.id))[-1].value["status"] == "cancelled"
    with pytest.raises(ServerProblem) as refused:
        await client.cancel_job(job.id)
    assert refused.value.error_code == "job_already_final"


async def test_a_job_that_waits_for_a_place_is_cancelled(client: AsyncFoliotraceClient) -> None:
    pages = "\x0c".join(f"slow {n}" for n in range(500))
    uploads = [(await client.upload([(f"{n}.txt", f"{n} {pages}".encode())])) for n in range(4)]
    last = uploads[-1].accepted[0].job.id
    assert (await client.cancel_job(last)).status == "cancelled"
    assert (await followed(client, last))[-1].value["status"] == "cancelled"
    for upload in uploads[:-1]:
        await client.cancel_job(upload.accepted[0].job.id)


async def test_a_deleted_document_is_gone(client: AsyncFoliotraceClient) -> None:
    accepted = await ingested(client, "a.txt", "the blue whale sings")
    await client.delete_document(accepted.document.id)
    assert (await client.ask("whale")).answer == "nothing"
    with pytest.raises(ServerProblem) as refused:
        await client.document(accepted.document.id)
    assert refused.value.error_code == "document_not_found"


async def test_a_file_that_cannot_be_read_fails_with_a_reason(
    client: AsyncFoliotraceClient,
) -> None:
    accepted = await ingested(client, "bad.txt", "%broken")
    job = await client.job(accepted.job.id)
    assert (job.status, job.problem) == ("failed", "file_malformed")


async def test_an_extraction_is_a_job(client: AsyncFoliotraceClient) -> None:
    accepted = await ingested(client, "a.txt", "whale")
    started = await client.extract(accepted.document.id, {"type": "object"})
    await followed(client, started.id)
    found = await client.extraction(started.id)
    assert (found.status, found.job.problem) == ("failed", "internal_error")


async def test_an_answer_comes_in_pieces(client: AsyncFoliotraceClient) -> None:
    await ingested(client, "a.txt", "the blue whale sings")
    events = [event async for event in client.ask_in_pieces("whale")]
    assert [event.name for event in events] == ["start", "delta", "answer"]
    assert events[-1].value["answer"] == "the blue whale sings"


async def test_a_stream_tells_its_problem_inside(client: AsyncFoliotraceClient) -> None:
    with pytest.raises(ServerProblem) as refused:
        _ = [event async for event in client.ask_in_pieces("refuse")]
    assert refused.value.error_code == "invalid_query"


async def test_what_the_caller_gives_is_sent_also_when_it_is_nothing(
    client: AsyncFoliotraceClient,
) -> None:
    with pytest.raises(ServerProblem) as refused:
        await client.ask("whale", top_k=0)
    assert refused.value.status == 400
