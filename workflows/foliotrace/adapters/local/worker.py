"""A parser process: reads requests from standard input, answers with frames of JSON.

Started by `workers.Workers`; holds the limits that make hostile files harmless to the service.
"""

import os
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from foliotrace.adapters.local.readers.contract import (
    Reader,
    ReadingLimits,
    ReadingOptions,
    Refusal,
)
from foliotrace.adapters.local.wire import page_to_json, read_frame, write_frame

READERS = ("pdf", "image", "docx", "pptx", "xlsx", "csv_table", "html", "markdown", "text")


def main() -> int:
    """Serve requests until standard input ends."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing but frames may reach the parent
    memory_limit_bytes, cpu_limit_s = int(sys.argv[1]), int(sys.argv[2])
    _limit_memory(memory_limit_bytes)
    write_frame(out, {"is": "ready"})
    while (request := read_frame(sys.stdin.buffer)) is not None:
        _limit_cpu(cpu_limit_s)
        for answer in _answers(request):
            write_frame(out, answer)
    return 0


def _answers(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    try:
        yield from _served(request)
    except Refusal as refusal:
        yield {"is": "refused", "code": refusal.error_code, "why": refusal.message}
    except (MemoryError, RecursionError) as error:
        yield {"is": "refused", "code": "file_too_complex", "why": type(error).__name__}
    except Exception as error:  # noqa: BLE001 - a reader's bug must not cost the parent its answer
        yield {"is": "failed", "why": type(error).__name__}


def _served(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    reader = _reader(request["reader"])
    path = Path(request["path"])
    options = _options(request["options"])
    if request["do"] == "overview":
        seen = reader.overview(path, options)
        yield {"is": "overview", "pages_total": seen.pages_total, "title": seen.title}
        return
    numbers = range(request["start"], request["stop"])
    for page in reader.pages(path, numbers, options):
        yield {"is": "page", "page": page_to_json(page)}
    yield {"is": "end"}


def _reader(name: str) -> Reader:
    if name not in READERS:
        raise ValueError(name)
    return cast("Reader", import_module(f"foliotrace.adapters.local.readers.{name}"))


def _options(value: dict[str, Any]) -> ReadingOptions:
    return ReadingOptions(
        tessdata=value["tessdata"],
        ocr_language=value["ocr_language"],
        limits=ReadingLimits(**value["limits"]),
    )


def _limit_memory(limit_bytes: int) -> None:
    if sys.platform == "win32":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit_cpu(limit_s: int) -> None:
    """Let this request use `limit_s` more seconds of CPU; the system kills what goes on longer."""
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
