"""The multipart bodies of runs, feedback and examples."""

from email.message import Message
from typing import Any

import orjson
import zstandard
from tests.fakes.langsmith.state import Json, Refused, State, uuid_text

RUN_FIELDS = frozenset({"inputs", "outputs", "events", "extra", "error", "serialized"})


def parts_of(headers: dict[str, str], body: bytes) -> list[tuple[str, bytes]]:
    """Name and content of each part. Raises Refused for a body that is no form."""
    if headers.get("content-encoding") == "zstd":
        body = zstandard.ZstdDecompressor().stream_reader(body).read()
    message = Message()
    message["content-type"] = headers.get("content-type", "")
    boundary = message.get_param("boundary")
    if message.get_content_type() != "multipart/form-data" or not isinstance(boundary, str):
        raise Refused(422, "not multipart/form-data with a boundary")
    pieces = (b"\r\n" + body).split(b"\r\n--" + boundary.encode())
    if len(pieces) < 2 or not pieces[-1].startswith(b"--"):
        raise Refused(422, "the form has no end")
    return [_part(piece) for piece in pieces[1:-1]]


def _part(piece: bytes) -> tuple[str, bytes]:
    head, separator, content = piece.partition(b"\r\n\r\n")
    start = head.find(b'name="')
    if not separator or start < 0:
        raise Refused(422, "a part without name")
    name = head[start + 6 : head.index(b'"', start + 6)].decode()
    for line in head.split(b"\r\n"):
        key, _, value = line.partition(b":")
        if key.strip().lower() == b"content-length" and int(value) != len(content):
            raise Refused(422, f"part {name}: length {len(content)}, announced {int(value)}")
    return name, content


def ingest(state: State, parts: list[tuple[str, bytes]]) -> None:
    """Store runs and feedback: all of a request, or nothing. Raises Refused."""
    runs: dict[tuple[str, str], Json] = {}
    feedback: list[Json] = []
    for name, content in parts:
        operation, _, rest = name.partition(".")
        id_, _, field = rest.partition(".")
        if operation == "feedback":
            feedback.append(_json(name, content))
        elif operation == "attachment":
            run = runs.get(("post", id_)) or runs.get(("patch", id_))
            if run is not None:
                run.setdefault("attachments", {})[field] = content
        elif operation in ("post", "patch") and not field:
            body = _json(name, content)
            if uuid_text(body.get("id")) != id_:
                raise Refused(422, f"{name}: the part has another id")
            if unexpected := RUN_FIELDS & set(body):
                raise Refused(422, f"{name}: {min(unexpected)} belongs into a part of its own")
            runs[operation, id_] = body
        elif operation in ("post", "patch") and field in RUN_FIELDS:
            if (operation, id_) not in runs:
                raise Refused(422, f"{name} comes before its run")
            runs[operation, id_][field] = _json(name, content)
        else:
            raise Refused(422, f"no part is called {name}")
    for (operation, _), run in runs.items():
        state.post_run(run) if operation == "post" else state.patch_run(run)
    for each in feedback:
        state.add_feedback(each)


def ingest_examples(
    state: State, dataset_id: str, parts: list[tuple[str, bytes]], *, update: bool
) -> list[str]:
    """Create or change examples: all of a request, or nothing; their ids."""
    bodies: dict[str, Json] = {}
    for name, content in parts:
        id_, _, field = name.partition(".")
        if not field:
            bodies[id_] = {**_json(name, content), "id": id_}
        elif field in ("inputs", "outputs"):
            bodies[id_][field] = _json(name, content)
    known = set(bodies) & set(state.examples)
    if known and not update:
        raise Refused(409, f"example {min(known)} already exists")
    for id_, body in bodies.items():
        if update:
            if id_ not in state.examples:
                raise Refused(404, f"example {id_} not found")
            before = state.examples.pop(id_)
            body = {**before, **body}
        state.add_example(dataset_id, body)
    return list(bodies)


def _json(name: str, content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except ValueError:
        raise Refused(422, f"part {name} is not JSON") from None
