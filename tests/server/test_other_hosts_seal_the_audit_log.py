"""A process of another host (llamactl) ends without a word: its audit is sealed, its spans sent."""

import os
import subprocess
import sys
from pathlib import Path

from tests.audit.log_reading import all_records
from tests.otlp_sink import OtlpSink

from foliotrace_audit import CHECKPOINT_EVENT
from foliotrace_audit.checkpoint import read_checkpoint

HOSTED = """
import asyncio
from foliotrace_server.llamactl import _assembly, server

async def ask():
    query = _assembly.query()
    return (await query.run(query="Who pays?")).answer

answer = asyncio.run(ask())
print("traced", answer.trace_id)
"""


def test_a_process_that_llamactl_hosts_seals_its_audit_and_sends_its_spans(tmp_path: Path) -> None:
    with OtlpSink() as sink:
        ended = subprocess.run(
            [sys.executable, "-c", HOSTED],
            cwd=tmp_path,
            env={
                "PATH": os.defpath,
                "FOLIOTRACE_DATA_DIR": str(tmp_path / "data"),
                "OTEL_EXPORTER_OTLP_ENDPOINT": sink.grpc_endpoint,
                "OTEL_BSP_SCHEDULE_DELAY": "3600000",
                "FOLIOTRACE_TELEMETRY__SHUTDOWN_S": "60",
            },
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert ended.returncode == 0, ended.stderr
        trace_id = bytes.fromhex(ended.stdout.partition("traced ")[2].split()[0])
        assert "invoke_workflow QueryWorkflow" in {
            span.name for span in sink.spans if span.trace_id == trace_id
        }
        sent = [r for r in sink.log_records if r.event_name == CHECKPOINT_EVENT]
        assert len(sent) == 2
    (stream,) = (tmp_path / "data" / "audit").iterdir()
    last = read_checkpoint((stream / "checkpoints.jsonl").read_bytes().splitlines()[-1])
    events = [record["event"] for record in all_records(tmp_path / "data" / "audit")]
    assert events[-3:] == ["query_received", "query_completed", "segment.sealed"]
    assert last.final
