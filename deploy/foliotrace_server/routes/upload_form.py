"""Streams multipart uploads from the socket into the blob store, in constant memory."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from foliotrace.catalog import ErrorCode
from foliotrace.errors import BadInput, FileRefused, InvalidRequest
from foliotrace.ports import StoredBlob

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

_MAX_FIELD_BYTES = 64 * 1024
_MAX_FIELDS = 64
_MAX_HEADER_BYTES = 8 * 1024
_STORED_TOGETHER = 32

Put = Callable[[str, AsyncIterator[bytes]], Awaitable[StoredBlob]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One file of an upload: stored, or refused, which does not affect the other files."""

    name: str
    blob: StoredBlob | None = None
    refused: BadInput | None = None


@dataclass(slots=True)
class Form:
    """Files and fields of an upload, in order."""

    files: list[Received] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)


async def receive(
    body: AsyncIterator[bytes], content_type: str, put: Put, *, max_files: int
) -> Form:
    """Read a multipart body, storing each file while it arrives.

    Raises BadInput `media_type_unsupported`, InvalidRequest for a malformed body.
    """
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise BadInput(
            "this route reads multipart/form-data",
            code=ErrorCode.MEDIA_TYPE_UNSUPPORTED,
            hint="Send the file as a form field `file`.",
        )
    reader = _Reader(put, max_files)
    try:
        parser = MultipartParser(options[b"boundary"], reader.callbacks())
        async for piece in body:
            parser.write(piece)
            await reader.process_events()
        parser.finalize()
        await reader.process_events()
        await reader.settle()
        if not reader.ended:
            raise InvalidRequest("the upload ended early")
    except FormParserError:
        raise InvalidRequest("the body is not well-formed multipart/form-data") from None
    finally:
        await reader.close()
    return reader.form


class _Reader:
    """Turns the parser's callbacks into stored files and fields."""

    def __init__(self, put: Put, max_files: int) -> None:
        self.form = Form()
        self.ended = False
        self._put, self._max_files = put, max_files
        self._events: list[tuple[str, bytes]] = []
        self._headers: dict[bytes, bytes] = {}
        self._header: tuple[bytearray, bytearray] = (bytearray(), bytearray())
        self._name = ""
        self._value = bytearray()
        self._pieces: asyncio.Queue[bytes | None] | None = None
        self._storing: asyncio.Task[StoredBlob] | None = None
        self._unsettled: list[tuple[str, asyncio.Task[StoredBlob]]] = []

    def callbacks(self) -> "MultipartCallbacks":
        """The parser's callbacks: each queues an event for `process_events`."""

        def mark(event: str) -> Callable[[], None]:
            return lambda: self._events.append((event, b""))

        def data_of(event: str) -> Callable[[bytes, int, int], None]:
            return lambda data, start, end: self._events.append((event, data[start:end]))

        return {
            "on_part_begin": mark("begin"),
            "on_header_field": data_of("header"),
            "on_header_value": data_of("header_value"),
            "on_header_end": mark("header_end"),
            "on_headers_finished": mark("headers"),
            "on_part_data": data_of("data"),
            "on_part_end": mark("part_end"),
            "on_end": mark("end"),
        }

    async def process_events(self) -> None:
        """Handle the events of the last chunk."""
        events, self._events = self._events, []
        for event, data in events:
            match event:
                case "begin":
                    self._headers = {}
                case "header" | "header_value":
                    part = self._header[event == "header_value"]
                    part += data
                    if len(part) > _MAX_HEADER_BYTES:
                        raise InvalidRequest("the header of a part is too long")
                case "header_end":
                    self._headers[bytes(self._header[0]).lower()] = bytes(self._header[1])
                    self._header = (bytearray(), bytearray())
                case "headers":
                    self._begin_part()
                case "data":
                    await self._add_data(data)
                case "part_end":
                    await self._end_part()
                case "end":
                    self.ended = True

    def _begin_part(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._value = bytearray()
        if b"filename" in options:
            if len(self.form.files) + len(self._unsettled) >= self._max_files:
                raise InvalidRequest(f"an upload may have at most {self._max_files} files")
            self._name = options[b"filename"].decode("utf-8", "replace")
            self._pieces = asyncio.Queue(maxsize=4)
            self._storing = asyncio.ensure_future(self._put(self._name, _drain(self._pieces)))
        else:
            self._name = options.get(b"name", b"").decode("utf-8", "replace")

    async def _add_data(self, data: bytes) -> None:
        if self._pieces is None or self._storing is None:
            self._value += data
            if len(self._value) > _MAX_FIELD_BYTES or len(self.form.fields) >= _MAX_FIELDS:
                raise InvalidRequest("the form fields are too large")
            return
        if self._storing.done():  # the store refused the file: drop the rest of it
            return
        await self._send(self._pieces, self._storing, data)

    async def _end_part(self) -> None:
        if self._pieces is None or self._storing is None:
            self.form.fields[self._name] = self._value.decode("utf-8", "replace")
            return
        await self._send(self._pieces, self._storing, None)
        self._unsettled.append((self._name, self._storing))
        self._storing = self._pieces = None
        if len(self._unsettled) >= _STORED_TOGETHER:
            await self.settle()

    async def _send(
        self,
        pieces: "asyncio.Queue[bytes | None]",
        storing: "asyncio.Task[StoredBlob]",
        piece: bytes | None,
    ) -> None:
        """Hand a piece over, or give up once the store has refused the file."""
        if not pieces.full():
            pieces.put_nowait(piece)
            return
        sending = asyncio.ensure_future(pieces.put(piece))
        await asyncio.wait({sending, storing}, return_when=asyncio.FIRST_COMPLETED)
        if not sending.done():
            sending.cancel()

    async def settle(self) -> None:
        """Wait until the files that have arrived are stored: they wait together for the disk."""
        unsettled, self._unsettled = self._unsettled, []
        outcomes = await _outcomes([storing for _, storing in unsettled])
        for (name, _), outcome in zip(unsettled, outcomes, strict=True):
            if isinstance(outcome, StoredBlob):
                self.form.files.append(Received(name=name, blob=outcome))
            elif isinstance(outcome, FileRefused):
                self.form.files.append(Received(name=name, refused=outcome))
            else:
                raise outcome

    async def close(self) -> None:
        """Cancel the storing of files whose upload was interrupted."""
        unfinished = [storing for _, storing in self._unsettled]
        if self._storing is not None:
            unfinished.append(self._storing)
        for storing in unfinished:
            storing.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)


async def _outcomes(
    tasks: "Sequence[asyncio.Task[StoredBlob]]",
) -> "Sequence[StoredBlob | BaseException]":
    """What became of each; if the wait is cancelled, so are they."""
    try:
        return await asyncio.gather(*tasks, return_exceptions=True)
    except asyncio.CancelledError:
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


async def _drain(pieces: "asyncio.Queue[bytes | None]") -> AsyncIterator[bytes]:
    while (piece := await pieces.get()) is not None:
        yield piece


def refuse_other_fields(fields: dict[str, str], known: Sequence[str]) -> None:
    """Raise InvalidRequest if there are unknown form fields."""
    if any(name not in known for name in fields):
        raise InvalidRequest(f"an upload's fields are {', '.join(known)} and the files")
