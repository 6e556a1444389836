"""A parser process: reads requests from standard input and answers on standard output.

Started by `worker_pool.WorkerPool`; sets the limits that make hostile files harmless.
Messages are frames: a four-byte big-endian length and a JSON object. JSON and never pickle: a
worker that a hostile file has taken over can send wrong pages, and nothing else.
"""

import os
import struct
import sys
import tempfile
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson

from foliotrace.adapters.local.files.filetype import sniff
from foliotrace.adapters.local.page_codec import page_from_values, page_to_values
from foliotrace.adapters.local.readers.formats import reader_called
from foliotrace.adapters.local.readers.reading_options import (
    Reader,
    ReadingLimits,
    ReadingOptions,
    Refusal,
)
from foliotrace.adapters.local.readers.sandbox import confine
from foliotrace.catalog import ErrorCode
from foliotrace.model import ParsedPage, Words

HEADER: Final = struct.Struct(">I")
FRAME_LIMIT_BYTES: Final = 256 * 1024 * 1024
_FILE_BYTES: Final = 1 << 30  # a temporary file
_OPEN_FILES: Final = 256
_NICENESS: Final = 15
WHOLE_FILE_PAGES: Final = 8
"""A file with more pages is not read together with others."""


def write_frame(stream: BinaryIO, message: dict[str, Any]) -> None:
    """Write one frame and flush it."""
    body = orjson.dumps(message)
    stream.write(HEADER.pack(len(body)) + body)
    stream.flush()


def read_frame(stream: BinaryIO) -> dict[str, Any] | None:
    """The next frame, or None when the stream has ended."""
    header = stream.read(HEADER.size)
    if len(header) < HEADER.size:
        return None
    message: dict[str, Any] = orjson.loads(stream.read(HEADER.unpack(header)[0]))
    return message


def page_to_frame(page: ParsedPage) -> dict[str, Any]:
    """A page as the frame that carries it."""
    words = b64encode(page.words.packed).decode()
    return {"is": "page", "page": page_to_values(page), "words": words}


def page_from_frame(frame: dict[str, Any]) -> ParsedPage:
    """The page of `page_to_frame`. Raises KeyError, TypeError, ValueError for anything else."""
    return page_from_values(frame["page"], Words(b64decode(frame["words"])))


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStart:
    """What a parser process is started with, as JSON in its only argument.

    It may read the folders `readable` (None: all) and write to `folder`. `converts`: it may start
    programs.
    """

    folder: str
    readable: list[str] | None
    converts: bool
    memory_bytes: int
    cpu_s: int


def main() -> int:
    """Answer requests until standard input ends."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever else prints must not mix with the frames
    start = WorkerStart(**orjson.loads(sys.argv[1]))
    tempfile.tempdir = start.folder
    _limit_resources(start.memory_bytes)
    in_force = confine(own=Path(start.folder), readable=start.readable, converts=start.converts)
    write_frame(out, {"is": "ready", "isolation": in_force})
    while (request := read_frame(sys.stdin.buffer)) is not None:
        _limit_cpu(start.cpu_s)
        for answer in _answer_or_refuse(request):
            write_frame(out, answer)
    return 0


def _answer_or_refuse(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    try:
        yield from _answer(request)
    except Refusal as refusal:
        yield {"is": "refused", "code": refusal.error_code, "why": refusal.message}
    except (MemoryError, RecursionError) as error:
        yield {"is": "refused", "code": ErrorCode.FILE_TOO_COMPLEX, "why": type(error).__name__}
    except Exception as error:  # noqa: BLE001 - a reader's bug must not cost the parent its answer
        yield {"is": "failed", "why": type(error).__name__}


def _answer(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    path = Path(request["path"])
    if request["do"] == "sniff":
        yield {"is": "type", "type": sniff(path, request["name"])}
        return
    reader = reader_called(request["reader"])
    options = _options(request["options"])
    if request["do"] == "whole files":
        files = [_whole(reader, Path(each), options) for each in request["paths"]]
        yield {"is": "files", "files": files}
        return
    if request["do"] == "overview":
        seen = reader.overview(path, options)
        yield {"is": "overview", "pages_total": seen.pages_total, "title": seen.title}
        return
    numbers = range(request["start"], request["stop"])
    for page in reader.pages(path, numbers, options):
        yield page_to_frame(page)
    yield {"is": "end"}


def _whole(reader: Reader, path: Path, options: ReadingOptions) -> dict[str, Any] | None:
    """Every page of a small file; None if it has many, or cannot be read."""
    try:
        seen = reader.overview(path, options)
        if not 1 <= seen.pages_total <= WHOLE_FILE_PAGES:
            return None
        pages = [
            page_to_frame(p) for p in reader.pages(path, range(1, seen.pages_total + 1), options)
        ]
    except Exception:  # noqa: BLE001 - the file is read by itself then, and its error reported
        return None
    return {"title": seen.title, "pages": pages}


def _options(value: dict[str, Any]) -> ReadingOptions:
    return ReadingOptions(
        tessdata=value["tessdata"],
        ocr_language=value["ocr_language"],
        limits=ReadingLimits(**value["limits"]),
    )


def _limit_resources(limit_bytes: int) -> None:
    if sys.platform == "win32":
        return
    import resource

    os.nice(_NICENESS)  # a question asked meanwhile gets the processor first
    # Address space, not resident memory: Linux does not enforce RLIMIT_RSS.
    resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold document text
    resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE_BYTES, _FILE_BYTES))
    open_files = min(_OPEN_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_files, open_files))


def _limit_cpu(limit_s: int) -> None:
    """Allow this request `limit_s` more seconds of CPU; the kernel kills the process after that."""
    if sys.platform == "win32":
        return
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(
        resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + limit_s + 1, hard)
    )


if __name__ == "__main__":
    sys.exit(main())
