"""Limits of a connection: size and time of a request's header, number of connections.

The one module that relies on the inside of uvicorn's httptools protocol, which has none of these
limits; tests/contracts/test_uvicorn_internals.py holds what it relies on.
"""

import socket
import struct
from asyncio import BaseTransport, TimerHandle, Transport
from dataclasses import dataclass
from http import HTTPStatus
from time import monotonic
from typing import Any, Final, cast

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from foliotrace.catalog import ErrorCode
from foliotrace.errors import FoliotraceError, InvalidRequest, TooBusy
from foliotrace_server.http.overload import ARRIVAL, Arrival
from foliotrace_server.http.problems import problem_of

_log = structlog.get_logger(__name__)
_LINGER_S: Final = 1.0
_LOG_EVERY_S: Final = 1.0
_TCP_INFO: Final = getattr(socket, "TCP_INFO", None)  # Linux
_LAST_DATA_RECEIVED: Final = struct.Struct("=52xI")  # of `tcp_info`: milliseconds ago


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """What one connection, and all of them together, may take."""

    header_bytes: int
    header_s: float
    connections: int


class _RefusalLog:
    """Logs refused connections, at most once a second: whoever floods us must not fill the log."""

    def __init__(self) -> None:
        self._since_last, self._logged_at_s = 0, -_LOG_EVERY_S

    def add(self, code: str) -> None:
        """Count a connection, and log how many were refused since the last line."""
        self._since_last += 1
        if monotonic() - self._logged_at_s >= _LOG_EVERY_S:
            _log.warning("connections.refused", code=code, connections=self._since_last)
            self._since_last, self._logged_at_s = 0, monotonic()


def limited_protocol(limits: ConnectionLimits) -> type[HttpToolsProtocol]:
    """Uvicorn's protocol with `limits`; uvicorn makes one object of it for each connection."""

    class Limited(_LimitedProtocol):
        _limits = limits
        _refusals = _RefusalLog()

    return Limited


class _LimitedProtocol(HttpToolsProtocol):
    """Refuses a connection that exceeds the limits: one answer, then it is closed."""

    _limits: ConnectionLimits
    _refusals: _RefusalLog

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - the base's own
        super().__init__(*args, **kwargs)
        self._unparsed_bytes = 0  # since the parser last completed a header or a part of a body
        self._header_timer: TimerHandle | None = None
        self._is_refused = False
        self._arrival = Arrival()

    def connection_made(self, transport: BaseTransport) -> None:
        """Refuse the connection, or wait for its first header."""
        super().connection_made(cast("Transport", transport))
        if len(self.connections) > self._limits.connections:
            self._refuse(TooBusy("too many connections are open", retry_after_s=1.0))
        else:
            self._await_header()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse the bytes; refuse them if the parser has had too many without a result.

        That covers headers, trailers and the extensions of chunks: it collects each of them whole.
        """
        if self._is_refused:
            return  # read and dropped, until the connection is closed
        if self.cycle is None or self.cycle.response_complete:
            self._await_header()
        self._unparsed_bytes += len(data)
        super().data_received(data)
        if self._unparsed_bytes > self._limits.header_bytes and not self._is_refused:
            self._refuse(InvalidRequest(code=ErrorCode.HEADER_TOO_LARGE))

    def on_message_begin(self) -> None:
        """The first byte of a request has arrived."""
        self._await_header()
        super().on_message_begin()
        self._arrival = Arrival()
        cast("dict[str, object]", self.scope)[ARRIVAL] = self._arrival

    def on_headers_complete(self) -> None:
        """Start the request, unless its header is too large."""
        self._stop_timer()
        self._unparsed_bytes = 0
        size_bytes = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size_bytes > self._limits.header_bytes:
            self._refuse(InvalidRequest(code=ErrorCode.HEADER_TOO_LARGE))
        if not self._is_refused:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Hand a part of the body on."""
        self._unparsed_bytes = 0
        if not self._is_refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request has arrived."""
        self._arrival.at_s = monotonic() - self._unread_s()
        self._unparsed_bytes = 0
        if not self._is_refused:
            super().on_message_complete()

    def _unread_s(self) -> float:
        """How long the kernel has held the last bytes; 0 where it does not say.

        A busy event loop accepts and reads late: seconds that no clock of ours would see.
        """
        connection = self.transport.get_extra_info("socket")
        if _TCP_INFO is None or connection is None:
            return 0.0
        try:
            info = connection.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _LAST_DATA_RECEIVED.size)
        except OSError:  # not TCP, or closed
            return 0.0
        return float(_LAST_DATA_RECEIVED.unpack(info)[0]) / 1000

    def _await_header(self) -> None:
        if self._header_timer is None:
            self._header_timer = self.loop.call_later(self._limits.header_s, self._on_time_out)

    def _stop_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _on_time_out(self) -> None:
        self._header_timer = None
        if self.cycle is not None and not self.cycle.response_complete:
            self._await_header()  # a response is on its way; the next request has time until then
        elif self._unparsed_bytes:
            self._refuse(InvalidRequest(code=ErrorCode.HEADER_TOO_SLOW))
        else:  # not a byte of a request: there is nothing to answer
            self._is_refused = True
            self.transport.close()

    def _refuse(self, error: FoliotraceError) -> None:
        """Answer with a problem and close; a response that is on its way is cut off."""
        self._is_refused = True
        self._stop_timer()
        problem = problem_of(error)
        self._refusals.add(problem.code)
        if self.cycle is None or self.cycle.response_complete:
            response = problem.response()
            status = HTTPStatus(problem.status)
            head = [(name, value) for name, value in response.raw_headers]
            head += [*self.server_state.default_headers, (b"connection", b"close")]
            lines = [b"%s: %s" % pair for pair in head]
            first = f"HTTP/1.1 {status.value} {status.phrase}".encode()
            self.transport.write(b"\r\n".join([first, *lines, b"", bytes(response.body)]))
        if isinstance(error, TooBusy) or not self.transport.can_write_eof():
            self.transport.close()
        else:
            # closing while bytes arrive would reset the connection, and the answer would be lost
            self.transport.write_eof()
            self._header_timer = self.loop.call_later(_LINGER_S, self.transport.close)
