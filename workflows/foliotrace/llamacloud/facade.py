"""What the three doors share: arguments to a setup, a desk opened at first use, and closing."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias

from llama_index.core.schema import Document

from foliotrace.adapters.llamacloud.client import CloudAccess
from foliotrace.errors import InvalidRequest, Misconfigured
from foliotrace.llamacloud.embedded import Desk
from foliotrace.llamacloud.event_loop import hand_over, wait_for

Given: TypeAlias = str | Path | Document
"""A file, or a LlamaIndex Document: its file if it came from `LlamaParse`, else its text."""

ACCESS = ("where", "project_id", "organization_id")


def access(api_key: str | None, given: dict[str, Any]) -> CloudAccess | None:
    """How to reach the cloud; None without a key. Takes its arguments out of `given`."""
    named = {name: given.pop(name) for name in ACCESS if given.get(name) is not None}
    if api_key is None:
        if named:
            raise Misconfigured(
                f"{', '.join(named)} given without a key", hint="Pass api_key as well."
            )
        return None
    return CloudAccess(api_key=api_key, **named)


class Door:
    """One door. Use it in a `with` block, or call `close` when done."""

    def __init__(self) -> None:
        self._desk: Desk | None = None
        self._opening = asyncio.Lock()

    def _make(self) -> Desk:
        raise NotImplementedError

    async def _opened(self) -> Desk:
        async with self._opening:
            if self._desk is None:
                self._desk = self._make()
            return self._desk

    async def aclose(self) -> None:
        """Close connections and files; a temporary folder goes."""
        await hand_over(self._close())

    def close(self) -> None:
        """As `aclose`, from plain code."""
        wait_for(self._close())

    async def _close(self) -> None:
        desk, self._desk = self._desk, None
        if desk is not None:
            await desk.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        await self.aclose()


def as_list(given: Given | Sequence[Given]) -> list[Given]:
    """One or several."""
    return [given] if isinstance(given, str | Path | Document) else list(given)


async def contents(given: Sequence[Given]) -> list[tuple[str, bytes]]:
    """(name, bytes) of each file or document; the pages of one file count once."""
    seen: dict[str, tuple[str, bytes]] = {}
    for each in given:
        path = file_of(each)
        if path is None:
            assert isinstance(each, Document)  # noqa: S101 - `file_of` knows every other
            name = str(each.metadata.get("file_name") or each.id_)
            stem = name.rsplit("/", 1)[-1].replace("\0", "")
            seen[each.id_] = (f"{stem}.txt", each.text.encode())
        elif str(path) not in seen:
            seen[str(path)] = (path.name, await asyncio.to_thread(existing(path).read_bytes))
    return list(seen.values())


def file_of(given: Given) -> Path | None:
    """The file behind what was given; None for a Document that is only text."""
    if isinstance(given, Document):
        path = given.metadata.get("file_path")
        return Path(path) if isinstance(path, str) and Path(path).is_file() else None
    return Path(given)


def existing(path: Path) -> Path:
    """The path of a file. Raises InvalidRequest when there is none."""
    if not path.is_file():
        raise InvalidRequest(f"there is no file {path.name}", hint="Check the path.")
    return path
