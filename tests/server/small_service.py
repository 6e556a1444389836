"""A whole service on a real data folder, with a small real workflow where a journey is not ours.

`python -m tests.server.small_service FOLDER PORT` serves it in a process of its own.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from pydantic import ConfigDict, Field
from tests.ingest.ingest_stack import AuditList, FormFeedParser
from workflows import Context, Workflow, step
from workflows.events import Event, StartEvent, StopEvent

from foliotrace.adapters.local.clock import SystemClock
from foliotrace.adapters.local.files.blobs import FolderBlobs
from foliotrace.adapters.local.keyword.index import KeywordIndex
from foliotrace.adapters.local.outside_files import AllowedFiles
from foliotrace.adapters.local.sqlite.jobs import SqliteJobs
from foliotrace.adapters.local.sqlite.library import SqliteLibrary
from foliotrace.adapters.local.sqlite.runs import SqliteRuns
from foliotrace.errors import InvalidQuery
from foliotrace.ingest.services import IngestServices
from foliotrace.ingest.workflow import IngestWorkflow
from foliotrace.model import Answer, Deadline, Query
from foliotrace.parse import ParserChain
from foliotrace.settings import IngestSettings, OutsideFileSettings
from foliotrace_server.app import build_app
from foliotrace_server.assembly import Assembly
from foliotrace_server.bodies import CapabilityBody
from foliotrace_server.engine import Engine
from foliotrace_server.http.identity import caller
from foliotrace_server.sections import ServerSettings
from foliotrace_server.settings import Settings


class Ask(StartEvent):
    model_config = ConfigDict(extra="forbid")

    query: str = Field(max_length=1000)
    stream: bool = False


class AnswerDelta(Event):
    text: str


class Answered(StopEvent):
    answer: Answer


class ShelfWorkflow(Workflow):
    """Answers with the best passage; "wait" never ends, "break" breaks."""

    def __init__(self, index: KeywordIndex, **options: Any) -> None:
        super().__init__(**options)
        self._index = index

    @step
    async def answer(self, ctx: Context, ev: Ask) -> Answered:
        if ev.query == "break":
            raise RuntimeError("secret detail")
        if ev.query == "refuse":
            raise InvalidQuery("the query holds no text")
        if ev.query == "wait":
            ctx.write_event_to_stream(AnswerDelta(text="..."))
            await asyncio.Event().wait()
        found = await self._index.retrieve(
            Query(text=ev.query, principal=caller()), top_k=1, deadline=Deadline(float("inf"))
        )
        text = found[0].text if found else "nothing"
        ctx.write_event_to_stream(AnswerDelta(text=text))
        return Answered(answer=Answer(text=text, run_id="run_1", trace_id="0" * 31 + "1"))


class Extract(StartEvent):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    document_id: str
    record_schema: dict[str, Any] = Field(alias="schema")
    job_id: str | None = None


class ExtractWorkflow(Workflow):
    """Fails, as an extraction of nothing would."""

    @step
    async def extract(self, ev: Extract) -> StopEvent:
        raise RuntimeError("secret detail")


class Pages(FormFeedParser):
    """Pages of "slow" take long, pages of "die" kill the process."""

    async def parse(self, source: Any, *, pages: range, deadline: Deadline) -> AsyncIterator[Any]:
        async for page in super().parse(source, pages=pages, deadline=deadline):
            if page.text.startswith("die"):
                os._exit(9)
            if page.text.startswith("slow"):
                await asyncio.sleep(0.05)
            yield page


async def _no_capabilities() -> dict[str, CapabilityBody]:
    return {}


_INGEST = IngestSettings(max_file_bytes=100_000, max_files_per_request=3)


def small_engine(folder: Path, own: Mapping[str, Workflow] | None = None, **server: Any) -> Engine:
    folder.mkdir(parents=True, exist_ok=True)
    library = SqliteLibrary.open(folder)
    index = KeywordIndex(folder, library)
    runs = SqliteRuns(library)
    ingest = IngestServices(
        library=library,
        blobs=FolderBlobs(folder, lambda path, name: "text/plain"),
        jobs=SqliteJobs(library),
        parser=ParserChain((Pages(),)),
        indexes=(index,),
        audit=AuditList(),
        clock=SystemClock(),
        identify=caller,
        trace=lambda: None,
        outside_files=AllowedFiles(OutsideFileSettings()),
        settings=_INGEST,
    )

    async def close() -> None:
        await runs.close()
        index.close()
        library.close()

    assembly = Assembly(
        ingest=ingest,
        runs=runs,
        query=lambda: ShelfWorkflow(index),
        durable={"ingest": IngestWorkflow(ingest), "extract": ExtractWorkflow(), **(own or {})},
        capabilities=_no_capabilities,
        check_schema=lambda schema: None,
        closing=(close,),
    )
    settings = Settings.model_construct(
        data_dir=folder,
        server=ServerSettings(**server),
        ingest=_INGEST,
        **{
            name: field.get_default(call_default_factory=True)
            for name, field in Settings.model_fields.items()
            if name not in ("data_dir", "server", "ingest")
        },
    )
    return Engine(settings, assembly, folder)


@asynccontextmanager
async def serving(engine: Engine) -> AsyncIterator[httpx.AsyncClient]:
    """The service on a real socket, and a client for it."""
    config = uvicorn.Config(
        build_app(engine),
        port=0,
        log_level="error",
        timeout_graceful_shutdown=1,
        proxy_headers=False,
    )
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    while not server.started:
        if running.done():
            running.result()
            raise AssertionError("the server did not start")
        await asyncio.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        try:
            yield client
        finally:
            server.should_exit = True
            await running


if __name__ == "__main__":
    engine = small_engine(Path(sys.argv[1]))
    uvicorn.run(build_app(engine), port=int(sys.argv[2]), log_level="error")
