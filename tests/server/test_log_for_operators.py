"""The log reads from left to right, and nobody's absence fills it."""

import json
import subprocess
import sys

LOGS = """
import logging
import structlog
from foliotrace_server.logging import set_up_logging

set_up_logging("info", "json")
structlog.get_logger().info("server.starting", url="http://127.0.0.1:8080")
exporter = logging.getLogger("opentelemetry.exporter.otlp.proto.grpc.exporter")
for attempt in range(3):
    exporter.warning("Transient error, retrying in %.2fs", attempt)
exporter.error("Failed to export")
for _ in range(2):
    logging.getLogger("uvicorn.error").warning("said twice")
"""


def test_a_line_begins_with_time_level_and_event_and_exporters_do_not_repeat_themselves() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", LOGS], capture_output=True, text=True, check=True, timeout=60
    )
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    assert {tuple(line)[:3] for line in lines} == {("timestamp", "level", "event")}
    assert [line["event"] for line in lines] == [
        "server.starting",
        "Transient error, retrying in 0.00s",
        "Failed to export",
        "said twice",
        "said twice",
    ]
