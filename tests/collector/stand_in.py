"""A backend that speaks OTLP over HTTP or gRPC, keeps what it receives, and fails as told."""

import gzip
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SHUT_RDWR, socket
from threading import Lock, Thread

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from tests.collector.processes import free_port


@dataclass(frozen=True)
class Delivery:
    """One accepted request: its headers (lower case) and its bytes, uncompressed."""

    path: str
    headers: Mapping[str, str]
    body: bytes


class StandIn:
    """Keeps across `stop` and `start` what it accepted, as a durable backend would."""

    def __init__(self) -> None:
        self.port = free_port()
        self.status = 200
        self.delay_s = 0.0
        self.refused = 0
        self.deliveries: list[Delivery] = []
        self._lock = Lock()

    def take(self, delivery: Delivery) -> int:
        """Wait as told, then keep the delivery unless told to refuse; gives the HTTP status."""
        time.sleep(self.delay_s)
        with self._lock:
            status = self.status
            if status == 200:
                self.deliveries.append(delivery)
            else:
                self.refused += 1
        return status

    def spans(self) -> list[Span]:
        with self._lock:
            bodies = [delivery.body for delivery in self.deliveries]
        return [
            span
            for body in bodies
            for resource_spans in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope_spans in resource_spans.scope_spans
            for span in scope_spans.spans
        ]

    def span_ids(self) -> Counter[str]:
        return Counter(span.span_id.hex() for span in self.spans())

    def received_bytes(self) -> bytes:
        with self._lock:
            return b"".join(delivery.body for delivery in self.deliveries)


class HttpStandIn(StandIn):
    """Stands in for LangSmith's OTLP endpoint."""

    def __init__(self) -> None:
        super().__init__()
        self.connections: list[socket] = []
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        backend = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                backend.connections.append(self.connection)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                headers = {name.lower(): value for name, value in self.headers.items()}
                status = backend.take(Delivery(self.path, headers, body))
                self.send_response(status)
                if status in (429, 503):
                    self.send_header("retry-after", "1")
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Quiet: the test reads what was delivered."""

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: object, client_address: object) -> None:
                """Quiet: a connection cut by `stop` is what the test wants."""

        self._server = Server(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        for connection in self.connections:
            with suppress(OSError):  # the other side was first
                connection.shutdown(SHUT_RDWR)
        self.connections.clear()


class GrpcStandIn(StandIn):
    """Stands in for Jaeger's OTLP port where a test must count across its death."""

    def __init__(self) -> None:
        super().__init__()
        self._server: grpc.Server | None = None

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        backend = self

        class Servicer(TraceServiceServicer):  # type: ignore[misc]  # generated, untyped
            def Export(
                self, request: ExportTraceServiceRequest, context: grpc.ServicerContext
            ) -> ExportTraceServiceResponse:
                headers = {str(key): str(value) for key, value in context.invocation_metadata()}
                status = backend.take(Delivery("grpc", headers, request.SerializeToString()))
                if status != 200:
                    context.abort(grpc.StatusCode.UNAVAILABLE, f"told to answer {status}")
                return ExportTraceServiceResponse()

        self._server = grpc.server(ThreadPoolExecutor(8))
        add_TraceServiceServicer_to_server(Servicer(), self._server)
        assert self._server.add_insecure_port(self.endpoint) == self.port
        self._server.start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop(grace=None).wait()
            self._server = None
