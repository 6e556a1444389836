"""A real OTLP server on sockets, gRPC and HTTP, that keeps what it received and can misbehave.

with OtlpSink() as sink:
    ... export to sink.grpc_endpoint or sink.http_endpoint ...
    assert sink.wait_for_spans(3)
    sink.fail(Failure(http_status=429))      # from now on; sink.heal() ends it
"""

import gzip
import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SHUT_RDWR, socket
from typing import Any

import grpc
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as trace_pb2
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

SIGNALS: dict[str, tuple[str, Any, Any]] = {
    "traces": (
        "opentelemetry.proto.collector.trace.v1.TraceService",
        trace_pb2.ExportTraceServiceRequest,
        trace_pb2.ExportTraceServiceResponse,
    ),
    "metrics": (
        "opentelemetry.proto.collector.metrics.v1.MetricsService",
        metrics_pb2.ExportMetricsServiceRequest,
        metrics_pb2.ExportMetricsServiceResponse,
    ),
    "logs": (
        "opentelemetry.proto.collector.logs.v1.LogsService",
        logs_pb2.ExportLogsServiceRequest,
        logs_pb2.ExportLogsServiceResponse,
    ),
}


@dataclass(frozen=True)
class Failure:
    """How to misbehave: `delay_s` first, then refuse with these codes; `times` requests long.

    `until`: no request is answered before it is set.
    """

    http_status: int = 0
    grpc_status: grpc.StatusCode | None = None
    delay_s: float = 0.0
    retry_after_s: int | None = None
    hang_up: bool = False
    times: int | None = None
    until: threading.Event | None = None

    def wait(self) -> None:
        """Be slow."""
        time.sleep(self.delay_s)
        if self.until is not None:
            self.until.wait(60)


@dataclass(frozen=True)
class Received:
    """One request that was taken: `raw` is the message's bytes, after gzip."""

    signal: str
    transport: str
    path: str
    headers: Mapping[str, str]
    raw: bytes
    wire_bytes: int
    message: Any = field(repr=False)


class OtlpSink:
    """Listens on two free ports of 127.0.0.1 from `start` to `stop`; `port`s stay for a restart."""

    def __init__(
        self, *, http_path_prefix: str = "", http_port: int = 0, grpc_port: int = 0
    ) -> None:
        self.received: list[Received] = []
        self.refused = 0
        self.http_port = http_port
        self.grpc_port = grpc_port
        self._prefix = http_path_prefix
        self._failure: Failure | None = None
        self._changed = threading.Condition()
        self._connections: set[socket] = set()

    def __enter__(self) -> "OtlpSink":
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    @property
    def grpc_endpoint(self) -> str:
        return f"http://127.0.0.1:{self.grpc_port}"

    @property
    def http_endpoint(self) -> str:
        """The base; traces are at `<base>/v1/traces`."""
        return f"http://127.0.0.1:{self.http_port}{self._prefix}"

    def start(self) -> "OtlpSink":
        self._http = _HttpServer(("127.0.0.1", self.http_port), self._http_handler())
        self._http.daemon_threads = True
        self.http_port = self._http.server_address[1]
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()
        self._pool = ThreadPoolExecutor(8)
        self._grpc = grpc.server(self._pool)
        for signal in SIGNALS:
            self._grpc.add_generic_rpc_handlers((self._grpc_handler(signal),))
        self.grpc_port = self._grpc.add_insecure_port(f"127.0.0.1:{self.grpc_port}")
        self._grpc.start()
        return self

    def stop(self) -> None:
        """Dead at once: kept-alive connections are cut too."""
        self._http.shutdown()
        self._http.server_close()
        for connection in list(self._connections):
            with suppress(OSError):  # the other side was first
                connection.shutdown(SHUT_RDWR)
        self._grpc.stop(None).wait(5)
        self._pool.shutdown(wait=False)

    def fail(self, failure: Failure) -> None:
        """Misbehave from now on."""
        self._failure = failure

    def heal(self) -> None:
        """Behave again."""
        self._failure = None

    @property
    def spans(self) -> list[Span]:
        return [s for r in self.of("traces") for s in spans_in(r.message)]

    @property
    def log_records(self) -> list[LogRecord]:
        return [
            record
            for received in self.of("logs")
            for resource in received.message.resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]

    def of(self, signal: str) -> list[Received]:
        with self._changed:
            return [r for r in self.received if r.signal == signal]

    def raw(self, signal: str | None = None) -> bytes:
        """All message bytes received, for looking for what must not be there."""
        with self._changed:
            return b"".join(r.raw for r in self.received if signal in (None, r.signal))

    def wait_for(self, condition: Any, timeout_s: float = 10.0) -> bool:
        """Wait until `condition(sink)` holds; whether it did in time."""
        deadline = time.monotonic() + timeout_s
        while not condition(self):
            with self._changed:
                self._changed.wait(0.05)
            if time.monotonic() > deadline:
                return bool(condition(self))
        return True

    def wait_for_spans(self, count: int, timeout_s: float = 10.0) -> bool:
        return self.wait_for(lambda sink: len(sink.spans) >= count, timeout_s)

    def _misbehaviour(self) -> Failure | None:
        with self._changed:
            failure = self._failure
            if failure is not None and failure.times is not None:
                left = failure.times - 1
                self._failure = Failure(**{**failure.__dict__, "times": left}) if left else None
            return failure

    def _take(self, received: Received) -> None:
        with self._changed:
            self.received.append(received)
            self._changed.notify_all()

    def _refuse(self) -> None:
        with self._changed:
            self.refused += 1
            self._changed.notify_all()

    def _grpc_handler(self, signal: str) -> grpc.GenericRpcHandler:
        service, request, response = SIGNALS[signal]

        def export(raw: bytes, context: grpc.ServicerContext) -> Message:
            failure = self._misbehaviour()
            if failure is not None:
                failure.wait()
                if failure.grpc_status is not None:
                    self._refuse()
                    context.abort(failure.grpc_status, "told to refuse")
            headers = {k: str(v) for k, v in context.invocation_metadata()}
            message = request.FromString(raw)
            self._take(Received(signal, "grpc", service, headers, raw, len(raw), message))
            return response()

        method = grpc.unary_unary_rpc_method_handler(
            export, response_serializer=response.SerializeToString
        )
        return grpc.method_handlers_generic_handler(service, {"Export": method})

    def _http_handler(self) -> type[BaseHTTPRequestHandler]:
        sink = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                sink._connections.add(self.connection)

            def finish(self) -> None:
                sink._connections.discard(self.connection)
                with suppress(OSError):  # nobody is left to flush to
                    super().finish()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                signal = self.path.rpartition("/")[2]
                failure = sink._misbehaviour()
                if failure is not None and self._misbehave(failure):
                    return
                if signal not in SIGNALS or not self.path.startswith(f"{sink._prefix}/v1/"):
                    self._answer(404)
                    return
                packed = self.headers.get("content-encoding") == "gzip"
                raw = gzip.decompress(body) if packed else body
                _, request, response = SIGNALS[signal]
                headers = {k.lower(): v for k, v in self.headers.items()}
                message = request.FromString(raw)
                sink._take(Received(signal, "http", self.path, headers, raw, len(body), message))
                self._answer(200, response().SerializeToString())

            def _misbehave(self, failure: Failure) -> bool:
                failure.wait()
                if failure.hang_up:
                    sink._refuse()
                    self.close_connection = True
                    self.connection.close()
                    return True
                if failure.http_status:
                    sink._refuse()
                    wait = failure.retry_after_s
                    self._answer(
                        failure.http_status,
                        headers={} if wait is None else {"Retry-After": str(wait)},
                    )
                    return True
                return False

            def _answer(
                self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None
            ) -> None:
                self.send_response(status)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None: ...

        return Handler


class _HttpServer(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Quiet: a client that gave up, or a connection that `stop` cut."""


def spans_in(message: Any) -> Iterable[Span]:
    """The spans of an ExportTraceServiceRequest."""
    return [s for r in message.resource_spans for scope in r.scope_spans for s in scope.spans]


def attributes_of(span: Any) -> dict[str, Any]:
    """The attributes of an OTLP span (or event, link, resource) as Python values."""
    return {pair.key: _value(pair.value) for pair in span.attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: _value(pair.value) for pair in value.kvlist_value.values}
    return getattr(value, kind) if kind else None
