"""The ASGI door of a fake: logs each request and acts out the faults it meets."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.wire.faults import Fault, FaultPlan
from tests.fakes.wire.log import RequestLog, RequestRecord

HTML_PAGE = b"<!doctype html><html><body><h1>502 Bad Gateway</h1></body></html>"
GARBAGE = b"\x00\xff\xfe\x07not json at all\x9c"
NO_WORK = frozenset({"status", "html", "empty_object", "reset_before_work", "hang"})


@dataclass
class Reply:
    """A captured response."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""


class Gate:
    """Wraps `app`. `label` names a scope's endpoint; `key` reads the client's key."""

    def __init__(
        self,
        app: Any,
        *,
        plan: FaultPlan,
        log: RequestLog,
        label: Callable[[Any], str],
        reset: Callable[[tuple[Any, ...]], None],
        error_body: Callable[[int, str], Any],
    ) -> None:
        self._app = app
        self._plan = plan
        self._log = log
        self._label = label
        self._reset = reset
        self._error_body = error_body

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/_fake"):
            await self._app(scope, receive, send)
            return
        record = self._record(scope, await _read(receive))
        wire, behaviours = self._plan.meet(record.endpoint, record.key)
        record.fault = ",".join(f.kind for f in ((wire,) if wire else ()) + behaviours)
        scope["fake.behaviours"] = behaviours
        scope["fake.record"] = record
        started = time.monotonic()
        try:
            await self._answer(scope, receive, send, wire, record)
        finally:
            record.seconds = time.monotonic() - started

    def _record(self, scope: Any, body: bytes) -> RequestRecord:
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        scope["fake.body"] = body
        record = RequestRecord(
            number=len(self._log.records) + 1,
            at=time.time(),
            endpoint=self._label(scope),
            method=scope["method"],
            path=scope["path"],
            query=scope["query_string"].decode("latin-1"),
            key=headers.get("authorization", "").removeprefix("Bearer ").strip(),
            headers=headers,
            body=_json_or_none(headers, body),
            body_bytes=len(body),
        )
        self._log.records.append(record)
        return record

    async def _answer(
        self, scope: Any, receive: Any, send: Any, fault: Fault | None, record: RequestRecord
    ) -> None:
        replay = _replay(scope["fake.body"], receive)
        if fault is None:

            async def observed(message: Any) -> None:
                if message["type"] == "http.response.start":
                    record.status = message["status"]
                await send(message)

            await self._app(scope, replay, observed)
            return
        reply = Reply()
        if fault.kind not in NO_WORK:
            reply = await _capture(self._app, scope, replay)
        await self._act(fault, reply, scope, receive, send, record)

    async def _act(
        self, fault: Fault, reply: Reply, scope: Any, receive: Any, send: Any, record: RequestRecord
    ) -> None:
        kind = fault.kind
        if kind in ("reset_before_work", "reset_after_work"):
            await self._break_off(scope, receive)
            return
        if kind in ("hang", "hang_after_work"):
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        if kind == "slow_first_byte":
            await asyncio.sleep(fault.seconds)
        reply = self._spoilt(fault, reply)
        record.status = reply.status
        await send(_start(reply))
        if kind == "cut_body":
            await _push(send, reply.body[: max(1, len(reply.body) // 2)])
            await self._break_off(scope, receive)
            return
        if kind == "slow_body":
            await _drip(send, reply.body, fault)
        await send(
            {"type": "http.response.body", "body": b"" if kind == "slow_body" else reply.body}
        )

    async def _break_off(self, scope: Any, receive: Any) -> None:
        self._reset(tuple(scope["client"]))
        while (await receive())["type"] != "http.disconnect":
            pass

    def _spoilt(self, fault: Fault, reply: Reply) -> Reply:
        if fault.kind == "status":
            return self._refusal(fault)
        if fault.kind == "html":
            return Reply(200, [(b"content-type", b"text/html")], HTML_PAGE)
        if fault.kind == "empty_object":
            return Reply(200, [(b"content-type", b"application/json")], b"{}")
        if fault.kind == "garbage":
            return Reply(200, [(b"content-type", b"application/json")], GARBAGE)
        if fault.kind == "truncated_json":
            return Reply(reply.status, reply.headers, reply.body[: max(1, len(reply.body) // 2)])
        return reply

    def _refusal(self, fault: Fault) -> Reply:
        headers = [(b"content-type", b"application/json")]
        if fault.retry_after is not None:
            headers.append((b"retry-after", fault.retry_after.encode()))
        body = json.dumps(self._error_body(fault.status, fault.detail)).encode()
        return Reply(fault.status, headers, body)


def _start(reply: Reply) -> dict[str, Any]:
    headers = [(k, v) for k, v in reply.headers if k.lower() != b"content-length"]
    headers.append((b"content-length", str(len(reply.body)).encode()))
    return {"type": "http.response.start", "status": reply.status, "headers": headers}


async def _push(send: Any, piece: bytes) -> None:
    await send({"type": "http.response.body", "body": piece, "more_body": True})
    await asyncio.sleep(0.01)


async def _drip(send: Any, body: bytes, fault: Fault) -> None:
    size = max(1, -(-len(body) // max(1, fault.amount)))
    pieces = [body[i : i + size] for i in range(0, len(body), size)]
    for piece in pieces:
        await asyncio.sleep(fault.seconds / len(pieces))
        await send({"type": "http.response.body", "body": piece, "more_body": True})


async def _read(receive: Any) -> bytes:
    pieces: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b"".join(pieces)
        pieces.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(pieces)


def _replay(body: bytes, receive: Any) -> Any:
    sent = False

    async def replay() -> Any:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


async def _capture(app: Any, scope: Any, receive: Any) -> Reply:
    reply = Reply()

    async def keep(message: Any) -> None:
        if message["type"] == "http.response.start":
            reply.status, reply.headers = message["status"], list(message["headers"])
        else:
            reply.body += message.get("body", b"")

    await app(scope, receive, keep)
    return reply


def _json_or_none(headers: dict[str, str], body: bytes) -> Any:
    if "json" not in headers.get("content-type", ""):
        return None
    try:
        return json.loads(body)
    except ValueError:
        return None
