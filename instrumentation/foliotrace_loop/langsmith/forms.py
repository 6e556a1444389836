"""The multipart bodies that LangSmith takes: runs and dataset examples."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias
from uuid import uuid4

import orjson

Part: TypeAlias = tuple[str, bytes]
RUN_FIELDS: Final = ("inputs", "outputs", "events", "extra", "error", "serialized")
"""Fields of a run that travel in a part of their own."""


def form(parts: Iterable[Part]) -> tuple[bytes, str]:
    """Body and content type of a form of JSON parts."""
    boundary = uuid4().hex
    pieces: list[bytes] = []
    start = f'--{boundary}\r\nContent-Disposition: form-data; name="'
    kind = '"\r\nContent-Type: application/json\r\nContent-Length: '
    for name, content in parts:
        pieces += (f"{start}{name}{kind}{len(content)}\r\n\r\n".encode(), content, b"\r\n")
    pieces.append(f"--{boundary}--\r\n".encode())
    return b"".join(pieces), f"multipart/form-data; boundary={boundary}"


def run_parts(run: Mapping[str, Any]) -> Iterator[Part]:
    """The parts that create one run."""
    name = f"post.{run['id']}"
    rest = {key: each for key, each in run.items() if key not in RUN_FIELDS}
    yield name, orjson.dumps(rest)
    for key in RUN_FIELDS:
        if run.get(key) is not None:
            yield f"{name}.{key}", orjson.dumps(run[key])


def example_parts(example: Mapping[str, Any]) -> Iterator[Part]:
    """The parts that create or change one example."""
    id_ = example["id"]
    rest = {k: v for k, v in example.items() if k not in ("id", "inputs", "outputs")}
    yield id_, orjson.dumps(rest)
    for key in ("inputs", "outputs"):
        if example.get(key) is not None:
            yield f"{id_}.{key}", orjson.dumps(example[key])
