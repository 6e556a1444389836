"""What `http.connection_limits` relies on inside uvicorn; an upgrade fails here."""

import inspect

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

OVERRIDDEN = {
    "connection_made": ["transport"],
    "connection_lost": ["exc"],
    "data_received": ["data"],
    "on_message_begin": [],
    "on_headers_complete": [],
    "on_body": ["body"],
    "on_message_complete": [],
}
READ = ("connections", "cycle", "loop", "transport", "url", "headers", "server_state")


def test_the_methods_that_are_overridden_are_there_with_their_arguments() -> None:
    for name, arguments in OVERRIDDEN.items():
        method = getattr(HttpToolsProtocol, name)
        assert list(inspect.signature(method).parameters)[1:] == arguments, name


def test_the_attributes_that_are_read_are_set_by_the_protocol_itself() -> None:
    source = inspect.getsource(HttpToolsProtocol)
    for name in READ:
        assert f"self.{name}" in source, name
    assert "self.cycle.response_complete" in source
    assert "self.server_state.default_headers" in source


def test_uvicorn_takes_a_protocol_class() -> None:
    config = uvicorn.Config(lambda: None, http=HttpToolsProtocol, ws="none")
    config.load()
    assert config.http_protocol_class is HttpToolsProtocol
    assert config.ws_protocol_class is None


class Seen:
    """Records what the parser calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def on_message_begin(self) -> None:
        self.calls.append("begin")

    def on_header(self, name: bytes, value: bytes) -> None:
        self.calls.append(name.decode())

    def on_headers_complete(self) -> None:
        self.calls.append("headers")

    def on_body(self, body: bytes) -> None:
        self.calls.append("body")

    def on_message_complete(self) -> None:
        self.calls.append("complete")


def test_the_parser_collects_a_header_or_trailer_whole_before_it_calls() -> None:
    seen = Seen()
    parser = httptools.HttpRequestParser(seen)
    parser.feed_data(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nX: x")
    parser.feed_data(b"x" * 1000)
    assert seen.calls == ["begin", "Transfer-Encoding"]
    parser.feed_data(b"\r\n\r\n1\r\nx\r\n0\r\nT: t")
    parser.feed_data(b"t" * 1000)
    assert seen.calls[2:] == ["X", "headers", "body"]
    parser.feed_data(b"\r\n\r\n")
    assert seen.calls[5:] == ["T", "complete"]
