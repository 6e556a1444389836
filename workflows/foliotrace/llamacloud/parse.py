"""`LlamaParse`: files to LlamaIndex Documents, one for each page."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llama_index.core.schema import Document

from foliotrace.adapters.llamacloud.parser import CloudParseOptions
from foliotrace.llamacloud.arguments import PARSE, translate, warn
from foliotrace.llamacloud.embedded import Desk, Setup
from foliotrace.llamacloud.event_loop import hand_over, wait_for
from foliotrace.llamacloud.facade import Door, access, as_list, existing
from foliotrace.model import Deadline, ParsedPage, SourceFile

_HIDDEN = ["file_path", "content_hash", "engine", "status", "problem", "degraded_from"]
_CLOUD_ONLY = ("tier", "version", "custom_prompt", "languages", "disable_cache")


class LlamaParse(Door):
    """Parses in this process, or with `api_key` at LlamaParse.

    `tier`, `version`, `custom_prompt`, `languages`, `disable_cache` and `delete_after_use` are
    LlamaParse's; `where` is a region or a URL. With `fall_back` a page that the cloud cannot read
    is read here and says so. `folder` keeps what was bought, so that a restart buys nothing twice;
    without one it is forgotten with the process. Raises Misconfigured for wrong arguments.
    """

    def __init__(
        self,
        api_key: str | None = None,
        *,
        folder: str | Path | None = None,
        fall_back: bool = True,
        limit_s: float = 600.0,
        **options: Any,  # noqa: ANN401 - today's and former arguments
    ) -> None:
        super().__init__()
        named = (*_CLOUD_ONLY, "delete_after_use", "where", "project_id", "organization_id")
        today = {name: options.pop(name) for name in named if name in options}
        today.update(translate("LlamaParse", options, PARSE))
        limit_s = today.pop("limit_s", limit_s)
        if isinstance(today.get("languages"), str):
            today["languages"] = (today["languages"],)
        reached = access(api_key, today)
        if reached is None:
            for name in today:
                warn("LlamaParse", name, "without a key everything is parsed here")
        self._setup = Setup(
            access=reached,
            folder=Path(folder) if folder else None,
            fall_back=fall_back,
            limit_s=limit_s,
            parsing=CloudParseOptions(**today) if reached else CloudParseOptions(),
            parse_in_cloud=reached is not None,
        )

    def _make(self) -> Desk:
        return Desk(self._setup)

    async def aload_data(
        self,
        file_path: str | Path | Sequence[str | Path],
        extra_info: dict[str, Any] | None = None,
    ) -> list[Document]:
        """The pages of the file or files, in order, with where each came from as metadata.

        A page nobody could read is there, without text, with its `status` and `problem`. Raises
        FileRefused, InvalidRequest for a missing file, ParserUnavailable, DeadlineExceeded.
        """
        return await hand_over(self._load(file_path, extra_info or {}))

    def load_data(
        self,
        file_path: str | Path | Sequence[str | Path],
        extra_info: dict[str, Any] | None = None,
    ) -> list[Document]:
        """As `aload_data`, from plain code or inside a running loop (which it blocks)."""
        return wait_for(self._load(file_path, extra_info or {}))

    async def _load(
        self, file_path: str | Path | Sequence[str | Path], extra_info: dict[str, Any]
    ) -> list[Document]:
        desk = await self._opened()
        found: list[Document] = []
        for given in as_list(file_path):
            source = await asyncio.to_thread(desk.source, existing(Path(str(given))))
            deadline = Deadline(desk.clock.monotonic_s() + self._setup.limit_s)
            seen = await desk.parser.inspect(source, deadline=deadline)
            pages = range(1, seen.pages_total + 1)
            parsed = desk.parser.parse(source, pages=pages, deadline=deadline)
            found += [
                document_of(source, page, seen.pages_total, extra_info) async for page in parsed
            ]
        return found


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
    shown = {name: value for name, value in metadata.items() if value is not None}
    hidden = [name for name in _HIDDEN if name in shown]
    return Document(
        id_=f"{source.content_hash[:24]}:{page.number}",
        text=page.text,
        metadata=shown,
        excluded_embed_metadata_keys=hidden,
        excluded_llm_metadata_keys=hidden,
    )
