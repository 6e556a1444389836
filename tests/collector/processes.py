"""The real collector and the real Jaeger as child processes on free ports, and what they answer."""

import json
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

from tests.free_ports import free_port

ROOT = Path(__file__).parents[2]
T = TypeVar("T")


def eventually(look: Callable[[], T], *, within_s: float = 20.0, what: str = "") -> T:
    """Look again and again until the answer is true, and give it; fail with the last answer."""
    end = time.monotonic() + within_s
    while True:
        answer = look()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(
                f"not within {within_s:g} s: {what or look}; last answer: {answer!r}"
            )
        time.sleep(0.05)


def http_get(url: str) -> tuple[int, bytes]:
    """Status and body; status 0 when nobody listens."""
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read()
    except (OSError, urllib.error.URLError):
        return 0, b""


class Server:
    """A child process with its own folder, environment and log."""

    def __init__(self, command: list[str], env: Mapping[str, str], folder: Path, health: str):
        self.command, self.env, self.folder, self.health = command, dict(env), folder, health
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / "server.log"
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                self.command, cwd=self.folder, env=self.env, stdout=log, stderr=log
            )
        eventually(self._is_up, what=f"{self.command[0]} answers; log: {self.log}")

    def _is_up(self) -> bool:
        assert self._child is not None
        if self._child.poll() is not None:
            raise AssertionError(f"exit {self._child.returncode}: {self.log.read_text()[-3000:]}")
        return http_get(self.health)[0] == 200

    def stop(self, *, how: signal.Signals = signal.SIGTERM) -> int:
        """End it by a signal; gives the exit status (0 when it was not running)."""
        if self._child is None:
            return 0
        self._child.send_signal(how)
        status = self._child.wait(timeout=60)
        self._child = None
        return status


class Collector(Server):
    """The collector with `otel-collector.yaml` as it is; what differs is environment."""

    def __init__(self, binary: str, folder: Path, *, script: Path | None = None, **env: str):
        self.grpc, self.http = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
        self.prometheus, self.telemetry_port = f"127.0.0.1:{free_port()}", free_port()
        health = f"127.0.0.1:{free_port()}"
        super().__init__(
            [str(script)] if script else [binary, "--config", str(ROOT / "otel-collector.yaml")],
            {
                "OTELCOL_OTLP_GRPC": self.grpc,
                "OTELCOL_OTLP_HTTP": self.http,
                "OTELCOL_PROMETHEUS": self.prometheus,
                "OTELCOL_TELEMETRY_PORT": str(self.telemetry_port),
                "OTELCOL_HEALTH": health,
                "OTELCOL_QUEUE_DIR": str(folder / "queue"),
                "JAEGER_EXPORTER": "nop",
                "LANGSMITH_DECISION_WAIT": "1s",
                "LANGSMITH_DECISION_WAIT_AFTER_ROOT": "200ms",
                **env,
            },
            folder,
            f"http://{health}/",
        )

    def figures(self, name: str, **labels: str) -> float:
        """The sum of one of the collector's own metrics over the series with these labels."""
        _, body = http_get(f"http://127.0.0.1:{self.telemetry_port}/metrics")
        total = 0.0
        for line in body.decode().splitlines():
            if line.startswith(name) and all(f'{k}="{v}"' in line for k, v in labels.items()):
                total += float(line.rsplit(" ", 1)[1])
        return total

    def span_metrics(self) -> str:
        return http_get(f"http://{self.prometheus}/metrics")[1].decode()


class Jaeger(Server):
    """Jaeger v2 with `deploy/jaeger/jaeger.yaml` as it is, asked over its stable API."""

    def __init__(self, binary: str, folder: Path, **env: str):
        self.otlp, self.query = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
        health = f"127.0.0.1:{free_port()}"
        super().__init__(
            [binary, "--config", str(ROOT / "deploy/jaeger/jaeger.yaml")],
            {
                "JAEGER_OTLP": self.otlp,
                "JAEGER_QUERY": self.query,
                "JAEGER_QUERY_GRPC": f"127.0.0.1:{free_port()}",
                "JAEGER_HEALTH": health,
                "JAEGER_TELEMETRY_PORT": str(free_port()),
                **env,
            },
            folder,
            f"http://{health}/status",
        )

    def spans(self, trace_id: str) -> list[dict[str, Any]]:
        """The spans of a trace as OTLP JSON, with the resource's attributes under `resource`."""
        status, body = http_get(f"http://{self.query}/api/v3/traces/{trace_id}")
        if status == 404:
            return []
        assert status == 200, (status, body)
        return [
            {**span, "resource": resource_spans["resource"]}
            for resource_spans in json.loads(body)["result"]["resourceSpans"]
            for scope_spans in resource_spans["scopeSpans"]
            for span in scope_spans["spans"]
        ]

    def get(self, path: str) -> dict[str, Any]:
        status, body = http_get(f"http://{self.query}{path}")
        assert status == 200, (status, body)
        answer: dict[str, Any] = json.loads(body)
        return answer

    def traces(self, service: str) -> list[str]:
        """The ids of this service's traces of the last hour."""
        now = datetime.now(UTC)
        wanted = urlencode(
            {
                "query.service_name": service,
                "query.start_time_min": (now - timedelta(hours=1)).isoformat(),
                "query.start_time_max": (now + timedelta(minutes=1)).isoformat(),
                "query.num_traces": 1000,
            }
        )
        status, body = http_get(f"http://{self.query}/api/v3/traces?{wanted}")
        if status == 404:
            return []
        assert status == 200, (status, body)
        resources = json.loads(body)["result"]["resourceSpans"]
        spans = [s for r in resources for scope in r["scopeSpans"] for s in scope["spans"]]
        return list(dict.fromkeys(span["traceId"] for span in spans))

    def trace_bytes(self, trace_id: str) -> bytes:
        return http_get(f"http://{self.query}/api/v3/traces/{trace_id}")[1]
