"""The synchronous client is generated from the asynchronous one and behaves the same."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from tests.server.small_service import serving, small_engine

from foliotrace_server.client import AsyncFoliotraceClient, FoliotraceClient, ServerProblem
from tools.generate_sync_client import SOURCE, TARGET, synchronous

_ONLY_ASYNC = {"workflows"}  # llama-agents has no synchronous client


def methods(kind: type) -> dict[str, Callable[..., Any]]:
    found = inspect.getmembers(kind, lambda each: callable(each) or isinstance(each, property))
    return {name: each for name, each in found if not name.startswith("_")}


def test_the_generated_file_is_current() -> None:
    assert TARGET.read_text() == synchronous(SOURCE.read_text())


def test_both_have_the_same_methods() -> None:
    assert set(methods(AsyncFoliotraceClient)) - _ONLY_ASYNC == set(methods(FoliotraceClient))


@pytest.mark.parametrize("name", sorted(methods(FoliotraceClient)))
def test_a_method_takes_and_gives_the_same_in_both(name: str) -> None:
    ours, theirs = getattr(FoliotraceClient, name), getattr(AsyncFoliotraceClient, name)
    mine, other = inspect.signature(ours), inspect.signature(theirs)
    assert list(mine.parameters.values()) == list(other.parameters.values())
    returned, promised = get_type_hints(ours)["return"], get_type_hints(theirs)["return"]
    if getattr(promised, "__origin__", None) is AsyncIterator:
        assert returned == Iterator[promised.__args__]
    else:
        assert returned == promised
        assert inspect.iscoroutinefunction(theirs)
    assert not inspect.iscoroutinefunction(ours)
    assert inspect.getdoc(ours) == inspect.getdoc(theirs)


def session(client: FoliotraceClient) -> dict[str, Any]:
    """A whole session through the synchronous client."""
    with client:
        accepted = client.upload([("a.txt", b"the blue whale sings")]).accepted[0]
        events = list(client.follow(accepted.job.id))
        pieces = list(client.ask_in_pieces("whale"))
        with pytest.raises(ServerProblem) as missing:
            client.document("doc_missing")
        with pytest.raises(ServerProblem) as refused:
            list(client.ask_in_pieces("refuse"))
        return {
            "job": events[-1].value["status"],
            "documents": [each.name for each in client.documents().documents],
            "page": client.page(accepted.document.id, 1).text,
            "answer": client.ask("whale").answer,
            "pieces": [piece.name for piece in pieces],
            "missing": missing.value.error_code,
            "refused": refused.value.error_code,
            "deleted": client.delete_document(accepted.document.id).id == accepted.document.id,
        }


async def session_async(client: AsyncFoliotraceClient) -> dict[str, Any]:
    """The same session through the asynchronous one."""
    async with client:
        accepted = (await client.upload([("a.txt", b"the blue whale sings")])).accepted[0]
        events = [event async for event in client.follow(accepted.job.id)]
        pieces = [piece async for piece in client.ask_in_pieces("whale")]
        with pytest.raises(ServerProblem) as missing:
            await client.document("doc_missing")
        with pytest.raises(ServerProblem) as refused:
            [piece async for piece in client.ask_in_pieces("refuse")]
        return {
            "job": events[-1].value["status"],
            "documents": [each.name for each in (await client.documents()).documents],
            "page": (await client.page(accepted.document.id, 1)).text,
            "answer": (await client.ask("whale")).answer,
            "pieces": [piece.name for piece in pieces],
            "missing": missing.value.error_code,
            "refused": refused.value.error_code,
            "deleted": (await client.delete_document(accepted.document.id)).id
            == accepted.document.id,
        }


@pytest.mark.anyio
async def test_both_get_the_same_answers_from_a_real_server(tmp_path: Path) -> None:
    async with serving(small_engine(tmp_path)) as http:
        url = str(http.base_url)
        synchronous = await asyncio.to_thread(session, FoliotraceClient(url))
        asynchronous = await session_async(AsyncFoliotraceClient(url))
    assert synchronous == asynchronous
    assert synchronous["answer"] == synchronous["page"] == "the blue whale sings"
    assert (synchronous["job"], synchronous["missing"]) == ("completed", "document_not_found")
