"""`LlamaParse`: files to LlamaIndex Documents, one for each page."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, Final, TypeAlias

from llama_index.core.schema import Document

from foliotrace.errors import InvalidRequest, Misconfigured
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
    existing,
    refuse_connection_without_key,
    run_in_loop,
    wait_for,
)
from foliotrace.model import Deadline, ParsedPage, SourceFile

File: TypeAlias = str | Path | bytes | BinaryIO
Files: TypeAlias = File | Sequence[File]

_HIDDEN: Final = ["file_path", "content_hash", "engine", "status", "problem", "degraded_from"]
_OF_THE_CLOUD: Final = ("custom_prompt", "languages", "disable_cache", "delete_after_use")


class LlamaParse(Facade):
    """Parses in this process, or with `api_key` at LlamaParse.

    `tier`, `version`, `custom_prompt`, `languages`, `disable_cache` and `delete_after_use` are
    LlamaParse's; `where` is a region or a URL. `target_pages` names pages from 0: `"0,2-4"`. With
    `fall_back` a page that the cloud cannot read is read locally and marked. `folder` keeps the
    results, so that a restart buys nothing twice; without one they are gone with the process.
    `limit_s` is the time for one window of pages; by default the service's. Raises Misconfigured
    for wrong arguments.
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
        target_pages: str | None = None,
        **options: Any,  # noqa: ANN401 - today's and former arguments
    ) -> None:
        self._wanted = page_ranges(target_pages)
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
        self, file_path: Files, extra_info: dict[str, Any] | None = None
    ) -> list[Document]:
        """The pages of the file or files, in order, with where each came from as metadata.

        A file is a path, bytes or a binary stream; `extra_info["file_name"]` names the last two.
        A page nobody could read is there, without text, with its `status` and `problem`. Raises
        FileRefused, InvalidRequest for a missing file, ParserUnavailable, DeadlineExceeded.
        """
        return await run_in_loop(self._load(file_path, extra_info or {}))

    def load_data(
        self, file_path: Files, extra_info: dict[str, Any] | None = None
    ) -> list[Document]:
        """`aload_data` for synchronous code; inside a running loop it blocks the loop."""
        return wait_for(self._load(file_path, extra_info or {}))

    async def aparse(
        self, file_path: Files, extra_info: dict[str, Any] | None = None
    ) -> "ParseResult | list[ParseResult]":
        """The pages of each file with their blocks; one result for one file.

        Raises as `aload_data` does.
        """
        return await run_in_loop(self._parse(file_path, extra_info or {}))

    def parse(
        self, file_path: Files, extra_info: dict[str, Any] | None = None
    ) -> "ParseResult | list[ParseResult]":
        """`aparse` for synchronous code; inside a running loop it blocks the loop."""
        return wait_for(self._parse(file_path, extra_info or {}))

    async def aget_json(
        self, file_path: Files, extra_info: dict[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """For each file `{"file_path", "pages": [{"page", "text", "items", ...}]}`."""
        results = await self.aparse(file_path, extra_info)
        return [each.json() for each in (results if isinstance(results, list) else [results])]

    def get_json_result(
        self, file_path: Files, extra_info: dict[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """`aget_json` for synchronous code."""
        return wait_for(self.aget_json(file_path, extra_info))

    async def _load(self, files: Files, extra_info: dict[str, Any]) -> list[Document]:
        results = [await self._read(each, extra_info) for each in _as_files(files)]
        return [document for result in results for document in result.get_text_documents()]

    async def _parse(
        self, files: Files, extra_info: dict[str, Any]
    ) -> "ParseResult | list[ParseResult]":
        results = [await self._read(each, extra_info) for each in _as_files(files)]
        return results if isinstance(files, Sequence) and not _is_one(files) else results[0]

    async def _read(self, file: File, extra_info: dict[str, Any]) -> "ParseResult":
        """The wanted pages of one file, parsed in the same windows as an upload."""
        embedded = await self._opened()
        if isinstance(file, str | Path):
            source = await asyncio.to_thread(embedded.source, existing(Path(file)))
            return await self._pages_of(embedded, source, extra_info)
        content = file if isinstance(file, bytes) else await asyncio.to_thread(file.read)
        name = extra_info.get("file_name") or getattr(file, "name", None)
        if not isinstance(name, str):
            raise InvalidRequest(
                "bytes and streams need a name", hint='Pass extra_info={"file_name": "a.pdf"}.'
            )
        with TemporaryDirectory() as folder:
            path = Path(folder) / Path(name).name
            await asyncio.to_thread(path.write_bytes, content)
            source = await asyncio.to_thread(embedded.source, path)
            return await self._pages_of(embedded, source, extra_info)

    async def _pages_of(
        self, embedded: EmbeddedStack, source: SourceFile, extra_info: dict[str, Any]
    ) -> "ParseResult":
        parser, settings = embedded.stack.ingest.parser, embedded.settings.ingest

        def deadline() -> Deadline:
            return Deadline(embedded.clock.monotonic_s() + settings.parse_deadline_s)

        inspection = await parser.inspect(source, deadline=deadline())
        total = inspection.pages_total
        pages: list[ParsedPage] = []
        for wanted in self._wanted or (range(1, total + 1),):
            last = min(wanted.stop, total + 1)
            for first in range(wanted.start, last, settings.window_pages):
                window = range(first, min(first + settings.window_pages, last))
                pages += [
                    page async for page in parser.parse(source, pages=window, deadline=deadline())
                ]
        return ParseResult(source, tuple(pages), total, extra_info)


@dataclass(frozen=True, slots=True)
class ParseResult:
    """The pages of one file."""

    source: SourceFile
    pages: tuple[ParsedPage, ...]
    pages_total: int
    extra_info: dict[str, Any]

    def get_text_documents(self, *, split_by_page: bool = True) -> list[Document]:
        """LlamaIndex Documents, one for each page or one for the file."""
        each = [document_of(self.source, p, self.pages_total, self.extra_info) for p in self.pages]
        if split_by_page or not each:
            return each
        text = "\n\n".join(page.text for page in self.pages)
        return [Document(id_=self.source.content_hash[:24], text=text, metadata=self.extra_info)]

    def json(self) -> dict[str, Any]:
        """What `get_json_result` returns for the file."""
        pages = [
            {"page": page.number, "items": _items(page), **_plain(page)} for page in self.pages
        ]
        return {"file_path": str(self.source.path), "pages": pages}


def _items(page: ParsedPage) -> list[dict[str, Any]]:
    """The blocks of a page, with their texts and boxes."""
    return [
        {
            "type": block.kind.value,
            "value": page.text[block.start : block.end],
            "bbox": asdict(block.box) if block.box else None,
        }
        for block in page.blocks
    ]


def _plain(page: ParsedPage) -> dict[str, Any]:
    names = ("text", "width", "height", "engine", "problem", "degraded_from", "confidence")
    return {"status": page.status.value, **{name: getattr(page, name) for name in names}}


def _is_one(files: Files) -> bool:
    return isinstance(files, str | Path | bytes) or hasattr(files, "read")


def _as_files(files: Files) -> list[File]:
    return [files] if _is_one(files) else list(files)  # type: ignore[list-item, arg-type] # `_is_one` tells


def page_ranges(target_pages: str | None) -> tuple[range, ...]:
    """Pages from 1 of a list that counts from 0, as LlamaParse's argument does: `"0,2-4"`.

    Raises Misconfigured.
    """
    ranges = []
    for part in (target_pages or "").replace(" ", "").split(",") if target_pages else ():
        first, dash, last = part.partition("-")
        if not first.isdigit() or (dash and not last.isdigit()) or int(last or first) < int(first):
            raise Misconfigured(
                f"LlamaParse: target_pages has no range {part!r}",
                hint='Write page numbers from 0, as in "0,2-4".',
            )
        ranges.append(range(int(first) + 1, int(last or first) + 2))
    return tuple(ranges)


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
