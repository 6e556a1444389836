"""A pool of killable parser processes for all formats, with time, CPU and memory limits.

liteparse's own pool fixes the pages to parse when it starts and reads no Office files. A worker
that hangs, crashes, or whose request is cancelled is killed and replaced.
"""

import asyncio
import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from foliotrace.adapters.local.readers.fair_slots import FairSlots
from foliotrace.adapters.local.readers.formats import CONVERTING
from foliotrace.adapters.local.readers.worker import FRAME_LIMIT_BYTES, HEADER, WorkerStart
from foliotrace.catalog import ErrorCode, PageProblem, Reason
from foliotrace.errors import FileRefused, ParserUnavailable
from foliotrace.settings import WORKER_CPU_S, WORKER_IDLE_S, WORKER_MEMORY_BYTES, WORKER_REQUESTS

_READ_AHEAD_BYTES = 1 << 20
_START_LIMIT_S = 60.0
_SNIFF_S = 5.0
_PATIENCE = 10  # times the CPU limit: so long a worker may take on the clock
_LEAST_S = 0.02  # between two looks at the clocks
_PROC = Path("/proc")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


class WorkerLost(ParserUnavailable):
    """A parser process did not finish; `frames` holds what arrived before.

    The pages it left unread have `page_problem`.
    """

    def __init__(self, reason: Reason, frames: list[dict[str, Any]]) -> None:
        super().__init__(reason=reason)
        self.frames = frames
        self.page_problem = PageProblem.parse(f"parse_{reason}")


@dataclass(eq=False, slots=True)
class _Worker:
    process: asyncio.subprocess.Process
    folder: Path
    converts: bool
    isolation: tuple[str, ...] = ()
    last_file: str = ""
    served: int = 0

    @property
    def alive(self) -> bool:
        return self.process.returncode is None

    def cpu_s(self) -> float:
        """The CPU time the process has used; without /proc, the time on the clock."""
        if not (_PROC / "self/stat").exists():
            return time.monotonic()
        try:
            fields = (_PROC / f"{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0  # the process has ended, and its pipe says so
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S

    async def send(self, request: dict[str, Any]) -> None:
        if self.process.stdin is None:
            raise EOFError
        body = orjson.dumps(request)
        self.process.stdin.write(HEADER.pack(len(body)) + body)
        await self.process.stdin.drain()

    async def receive(self) -> dict[str, Any]:
        if self.process.stdout is None:
            raise EOFError
        (length,) = HEADER.unpack(await self.process.stdout.readexactly(HEADER.size))
        if length > FRAME_LIMIT_BYTES:
            raise ValueError(length)
        frame: dict[str, Any] = orjson.loads(await self.process.stdout.readexactly(length))
        return frame

    async def stop(self) -> None:
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
        await self.process.communicate()  # waits, and closes the pipes
        shutil.rmtree(self.folder, ignore_errors=True)


def _path() -> dict[str, str]:
    return {"PATH": os.pathsep.join(os.get_exec_path())}


async def _receive_all(
    worker: _Worker, request: dict[str, Any], frames: list[dict[str, Any]]
) -> None:
    await worker.send(request)
    while not frames or frames[-1]["is"] == "page":
        frames.append(await worker.receive())


@dataclass(slots=True)
class WorkerPool:
    """At most `size` worker processes, started on demand. Belongs to one event loop.

    A worker has an empty environment and, where the kernel can refuse it, no network and no folder
    but its own to write to. It reads `readable` (None: every file) beside the system. Its limits
    are in `foliotrace.settings`.
    """

    size: int = 2
    memory_bytes: int = WORKER_MEMORY_BYTES
    readable: Sequence[Path] | None = None
    cpu_limit_s: int = field(default=WORKER_CPU_S, init=False)
    idle_s: float = field(default=WORKER_IDLE_S, init=False)
    _idle: list[_Worker] = field(default_factory=list)
    _slots: FairSlots | None = None

    @property
    def isolation(self) -> tuple[str, ...]:
        """What the kernel enforces for the idle workers: `landlock`, `seccomp`."""
        return self._idle[-1].isolation if self._idle else ()

    @property
    def idle_processes(self) -> tuple[int, ...]:
        """The process ids of the idle workers."""
        return tuple(worker.process.pid for worker in self._idle)

    async def ask(
        self, request: dict[str, Any], *, limit_s: float, deadline_s: float = float("inf")
    ) -> list[dict[str, Any]]:
        """All frames of the answer to `request`, for at most `limit_s` of the worker's CPU time.

        CPU time, because on a loaded machine any file takes long; but a worker that does nothing
        is waited for `_PATIENCE` times as long, and nobody beyond `deadline_s` from now. Waiting
        for a free worker does not count. Raises WorkerLost.
        """
        path = Path(request["path"])
        tenant = path.parent.parent  # originals of one tenant have a folder of their own
        slots = self._fair_slots()
        if request["do"] == "overview":
            slots.forget(path)
        async with slots.slot(tenant, path):
            worker = await self._take(str(request["path"]), request["reader"] in CONVERTING)
            was_idle = worker.served > 1
            try:
                return await self._ask(worker, request, limit_s, deadline_s)
            except WorkerLost as lost:
                if not was_idle or lost.frames or lost.reason is not Reason.WORKER_CRASHED:
                    raise
            # The worker may have died while idle, so a new one gets the request once.
            return await self._ask(await self._start(worker.converts), request, limit_s, deadline_s)

    async def _ask(
        self, worker: _Worker, request: dict[str, Any], limit_s: float, deadline_s: float
    ) -> list[dict[str, Any]]:
        frames: list[dict[str, Any]] = []
        loop = asyncio.get_running_loop()
        last_s = loop.time() + min(_PATIENCE * limit_s, deadline_s)
        began_cpu_s = worker.cpu_s()
        last_cpu_s = began_cpu_s + limit_s
        answer = asyncio.create_task(_receive_all(worker, request, frames))
        try:
            while not answer.done():
                left_s = min(last_cpu_s - worker.cpu_s(), last_s - loop.time())
                if left_s <= 0:
                    raise TimeoutError
                await asyncio.wait({answer}, timeout=max(left_s, _LEAST_S))
            answer.result()
        except TimeoutError:
            raise WorkerLost(Reason.WORKER_TIMED_OUT, frames) from None
        except (OSError, EOFError, ValueError, KeyError, TypeError):
            raise WorkerLost(Reason.WORKER_CRASHED, frames) from None
        finally:
            answer.cancel()
            path = Path(request["path"])
            used_s = max(0.0, worker.cpu_s() - began_cpu_s) if worker.alive else limit_s
            self._fair_slots().charge(path.parent.parent, path, used_s)
            await self._give_back(worker, frames)
        return frames

    async def sniff(self, path: Path, name: str) -> str:
        """The media type of a file, as `filetype.sniff` says.

        Raises FileRefused for a file made to exhaust the process that looks at it.
        """
        request = {"do": "sniff", "path": str(path), "name": name, "reader": ""}
        try:
            (frame,) = await self.ask(request, limit_s=_SNIFF_S)
        except WorkerLost as lost:
            if lost.reason is Reason.WORKER_NOT_STARTED:
                raise
            frame = {}
        if frame.get("is") != "type":
            raise FileRefused(
                f"{name}: finding out its type took too much time or memory.",
                name=name,
                code=ErrorCode.FILE_TOO_COMPLEX,
            )
        return str(frame["type"])

    def used_s(self, path: Path) -> float:
        """The CPU time that reading a file has taken since its pages were last counted."""
        return self._fair_slots().used(path)

    def _fair_slots(self) -> FairSlots:
        if self._slots is None:
            self._slots = FairSlots(self.size)
        return self._slots

    async def close(self) -> None:
        """Stop the idle workers; busy ones stop with their request."""
        while self._idle:
            await self._idle.pop().stop()

    async def _take(self, path: str, converts: bool) -> _Worker:
        """An idle worker, preferably the one that read this file last; or a new one.

        A worker that may start programs reads nothing that needs none.
        """
        self._idle.sort(key=lambda w: (w.converts is converts, w.last_file == path))
        while self._idle:
            worker = self._idle.pop()
            if worker.alive and worker.converts is converts:
                break
            await worker.stop()
        else:
            worker = await self._start(converts)
        worker.last_file = path
        worker.served += 1
        return worker

    async def _start(self, converts: bool = False) -> _Worker:
        folder = Path(tempfile.mkdtemp(prefix="foliotrace-"))
        readable = self.readable
        if readable is not None and converts:
            readable = [*readable, *map(Path, os.get_exec_path())]
        start = WorkerStart(
            folder=str(folder),
            readable=None if readable is None else [str(each.resolve()) for each in readable],
            converts=converts,
            memory_bytes=self.memory_bytes,
            cpu_s=self.cpu_limit_s,
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-X",
            "utf8",
            "-c",
            f"import sys; sys.path[:] = {[each for each in sys.path if each]!r}; "
            "from foliotrace.adapters.local.readers.worker import main; sys.exit(main())",
            orjson.dumps(asdict(start)).decode(),
            env={"TMPDIR": str(folder), **(_path() if converts else {})},  # no key, no proxy
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=_READ_AHEAD_BYTES,
        )
        worker = _Worker(process, folder, converts)
        try:
            async with asyncio.timeout(_START_LIMIT_S):
                worker.isolation = tuple((await worker.receive())["isolation"])  # "ready"
        except (TimeoutError, OSError, EOFError, ValueError, KeyError, TypeError):
            await worker.stop()
            raise WorkerLost(Reason.WORKER_NOT_STARTED, []) from None
        except asyncio.CancelledError:
            await asyncio.shield(worker.stop())
            raise
        return worker

    async def _give_back(self, worker: _Worker, frames: list[dict[str, Any]]) -> None:
        finished = bool(frames) and frames[-1].get("is") != "page"
        if finished and worker.alive and worker.served < WORKER_REQUESTS:
            self._idle.append(worker)
            loop = asyncio.get_running_loop()
            loop.call_later(self.idle_s, self._retire, worker, worker.served)
        else:
            await asyncio.shield(worker.stop())

    def _retire(self, worker: _Worker, served: int) -> None:
        """Stop a worker that is still idle after its request number `served`."""
        if worker.served == served and worker in self._idle:
            self._idle.remove(worker)
            if worker.alive:
                worker.process.kill()
            shutil.rmtree(worker.folder, ignore_errors=True)
