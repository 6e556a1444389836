"""One question over HTTP is walked with a profiler: how deep the index is, and in which order.

A frame is ours when its file is in one of the product's packages. A wrapper is a frame on the way
to the index that calls nothing else of ours, observability apart: it only passes through.
"""

import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from tests.server.observed_service import Observed, observed

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
SOURCES = tuple(str(ROOT / name) + "/" for name in ("workflows", "instrumentation", "deploy"))
OBSERVABILITY = ("foliotrace/events/", "foliotrace_otel/")
QUERY = "workflows/foliotrace/query/"

MAX_HOPS = 12
MAX_WRAPPERS = 5


@dataclass
class Walk:
    """What a profiler saw of one question."""

    way: list[str] = field(default_factory=list)  # our frames from the socket to the index
    wrappers: list[str] = field(default_factory=list)
    rooms: list[str] = field(default_factory=list)  # of query/, as the stages enter them
    _frames: dict[int, FrameType] = field(default_factory=dict)  # held, so that no id comes twice
    _callees: dict[int, set[int]] = field(default_factory=dict)
    _path: list[FrameType] = field(default_factory=list)

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and is_ours(frame) and id(frame) not in self._frames:
            self._frames[id(frame)] = frame
            self._enter(frame)
        elif event == "c_call" and not self._path and is_index_search(argument, frame):
            self._path = [each for each in (frame, *callers(frame)) if is_ours(each)][::-1]

    def _enter(self, frame: FrameType) -> None:
        caller = next((each for each in callers(frame) if is_ours(each)), None)
        if caller is None:
            return
        if not any(part in frame.f_code.co_filename for part in OBSERVABILITY):
            self._callees.setdefault(id(caller), set()).add(id(frame))
        room = room_of(frame)
        if room and room != room_of(caller) and self.rooms[-1:] != [room]:
            self.rooms.append(room)

    def finish(self) -> None:
        self.way = [where(each) for each in self._path]
        for frame, following in pairwise(self._path):
            if self._callees[id(frame)] <= {id(following)}:
                self.wrappers.append(where(frame))


def is_ours(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(SOURCES)


def is_index_search(function: Any, frame: FrameType) -> bool:
    owner = type(getattr(function, "__self__", None))
    named = getattr(function, "__name__", "") == "search" and owner.__name__ == "Searcher"
    return named and frame.f_code.co_qualname == "KeywordStore.search"


def callers(frame: FrameType) -> list[FrameType]:
    found = []
    while (back := frame.f_back) is not None:
        found.append(back)
        frame = back
    return found


def where(frame: FrameType) -> str:
    file = frame.f_code.co_filename.removeprefix(str(ROOT) + "/")
    return f"{file} {frame.f_code.co_qualname}"


def room_of(frame: FrameType) -> str:
    """The room or module of query/ that holds a stage; empty elsewhere."""
    _, inside, rest = where(frame).partition(QUERY)
    name = rest.split("/")[0].split(".py")[0]
    return name if inside and name in ("validate", "cache", "retrieve", "answer") else ""


@pytest.fixture
async def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Observed]:
    async with observed(tmp_path, monkeypatch) as service:
        await service.ingest()
        yield service


@pytest.fixture
async def walk(service: Observed) -> Walk:
    await service.ask("Who pays for shipping?")  # caches are warm, imports done
    walk = Walk()
    before = sys.getprofile()
    sys.setprofile(walk)
    try:
        answer = await service.ask()
    finally:
        sys.setprofile(before)
    assert answer.json()["citations"]
    walk.finish()
    return walk


async def test_the_index_is_at_most_twelve_frames_behind_the_socket(walk: Walk) -> None:
    assert "KeywordStore.search" in walk.way[-1]
    assert len(walk.way) <= MAX_HOPS, "\n".join(walk.way)


async def test_at_most_five_frames_only_pass_through(walk: Walk) -> None:
    assert len(walk.wrappers) <= MAX_WRAPPERS, "\n".join(walk.wrappers)


async def test_each_room_is_entered_once_and_the_cache_again_to_store(walk: Walk) -> None:
    assert walk.rooms == ["validate", "cache", "retrieve", "answer", "cache"]
