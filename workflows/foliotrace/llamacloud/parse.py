"""`LlamaParse`: files to LlamaIndex Documents, one for each page."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from llama_index.core.schema import Document

from foliotrace.llamacloud.arguments import PARSE, translate, warn
from foliotrace.llamacloud.embedded import (
    ClientOptions,
    EmbeddedStack,
    cloud_settings,
    execution_mode,
)
from foliotrace.llamacloud.facade import (
    CONNECTION,
    Facade,
    as_list,
    existing,
    refuse_connection_without_key,
    run_in_loop,
    wait_for,
)
from foliotrace.model import Deadline, ParsedPage, SourceFile

_HIDDEN: Final = ["file_path", "content_hash", "engine", "status", "problem", "degraded_from"]
_OF_THE_CLOUD: Final = ("custom_prompt", "languages", "disable_cache", "delete_after_use")


class LlamaParse(Facade):
    """Parses in this process, or with `api_key` at LlamaParse.

    `tier`, `version`, `custom_prompt`, `languages`, `disable_cache` and `delete_after_use` are
    LlamaParse's; `where` is a region or a URL. With `fall_back` a page that the cloud cannot read
    is read locally and marked. `folder` keeps the results, so that a restart buys nothing twice;
    without one they are gone with the process. `limit_s` is the time for one window of pages; by
    default the service's. Raises Misconfigured for wrong arguments.
    """

    def __init__(
        self,
        api_key: str | None = None,
        *,
        folder: str | Path | None = None,
        fall_back: bool = True,
        limit_s: float | None = None,
        tier: str | None = None,
        version: str | None = None,
        **options: Any,  # noqa: ANN401 - today's and former arguments
    ) -> None:
        named = (*_OF_THE_CLOUD, *CONNECTION)
        arguments = {name: options.pop(name) for name in named if name in options}
        arguments.update(translate("LlamaParse", options, PARSE))
        limit_s = arguments.pop("limit_s", limit_s)
        if isinstance(arguments.get("languages"), str):
            arguments["languages"] = (arguments["languages"],)
        chosen = {"parse_tier": tier, "parse_version": version}
        arguments |= {name: value for name, value in chosen.items() if value is not None}
        refuse_connection_without_key(api_key, arguments)
        if api_key is None:
            for name in arguments:
                warn("LlamaParse", name, "without a key everything is parsed here")
            arguments = {}
        parsing = execution_mode(api_key, fall_back=fall_back)
        super().__init__(
            ClientOptions(
                api_key=api_key,
                llamacloud=cloud_settings("LlamaParse", {**arguments, "parsing": parsing}),
                folder=Path(folder) if folder else None,
                limit_s=limit_s,
            )
        )

    async def aload_data(
        self,
        file_path: str | Path | Sequence[str | Path],
        extra_info: dict[str, Any] | None = None,
    ) -> list[Document]:
        """The pages of the file or files, in order, with where each came from as metadata.

        A page nobody could read is there, without text, with its `status` and `problem`. Raises
        FileRefused, InvalidRequest for a missing file, ParserUnavailable, DeadlineExceeded.
        """
        return await run_in_loop(self._load(file_path, extra_info or {}))

    def load_data(
        self,
        file_path: str | Path | Sequence[str | Path],
        extra_info: dict[str, Any] | None = None,
    ) -> list[Document]:
        """`aload_data` for synchronous code; inside a running loop it blocks the loop."""
        return wait_for(self._load(file_path, extra_info or {}))

    async def _load(
        self, file_path: str | Path | Sequence[str | Path], extra_info: dict[str, Any]
    ) -> list[Document]:
        embedded = await self._opened()
        documents: list[Document] = []
        for path in as_list(file_path):
            source = await asyncio.to_thread(embedded.source, existing(Path(str(path))))
            documents += await _documents_of(embedded, source, extra_info)
        return documents


async def _documents_of(
    embedded: EmbeddedStack, source: SourceFile, extra_info: dict[str, Any]
) -> list[Document]:
    """The pages of one file, parsed in the same windows as an upload."""
    parser, settings = embedded.stack.ingest.parser, embedded.settings.ingest

    def deadline() -> Deadline:
        return Deadline(embedded.clock.monotonic_s() + settings.parse_deadline_s)

    inspection = await parser.inspect(source, deadline=deadline())
    total = inspection.pages_total
    documents: list[Document] = []
    for first in range(1, total + 1, settings.window_pages):
        pages = range(first, min(first + settings.window_pages, total + 1))
        parsed = parser.parse(source, pages=pages, deadline=deadline())
        documents += [document_of(source, page, total, extra_info) async for page in parsed]
    return documents


def document_of(
    source: SourceFile, page: ParsedPage, pages_total: int, extra_info: dict[str, Any]
) -> Document:
    """A page as a LlamaIndex Document. Its id is the same whenever the same bytes are read."""
    metadata = {
        "file_name": source.name,
        "file_path": str(source.path),
        "content_hash": source.content_hash,
        "page": page.number,
        "page_label": page.label or str(page.number),
        "pages_total": pages_total,
        "kind": page.kind.value,
        "engine": page.engine,
        "status": page.status.value,
        "problem": page.problem,
        "degraded_from": page.degraded_from,
        "confidence": page.confidence,
        **extra_info,
    }
    known = {name: value for name, value in metadata.items() if value is not None}
    hidden = [name for name in _HIDDEN if name in known]
    return Document(
        id_=f"{source.content_hash[:24]}:{page.number}",
        text=page.text,
        metadata=known,
        excluded_embed_metadata_keys=hidden,
        excluded_llm_metadata_keys=hidden,
    )
