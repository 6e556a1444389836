"""A service's checkpoints through the real collector into a file that an auditor verifies with."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.collector.processes import Collector, eventually
from tests.server.observed_service import observed
from tests.server.test_checkpoints_leave_the_box import verify

from foliotrace_audit import write_new_keys
from foliotrace_audit.checkpoint import signed_lines

pytestmark = [pytest.mark.anyio, pytest.mark.real_servers]


async def test_a_collectors_file_proves_the_log_and_finds_its_truncation(
    run_collector: Callable[..., Collector], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported = tmp_path / "elsewhere" / "otel-logs.jsonl"
    collector = run_collector(LOGS_EXPORTER="file/logs", LOGS_FILE=str(exported))
    write_new_keys(tmp_path / "keys", dev_key=False)
    audit = {"keys_folder": tmp_path / "keys", "durability": "strict"}
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{collector.grpc}"}
    async with observed(
        tmp_path / "data", monkeypatch, env=env, audit=audit, telemetry={"shutdown_s": 60}
    ) as service:
        await service.ingest()
        await service.ask()
    (log,) = (tmp_path / "data" / "audit").iterdir()
    signed = (log / "checkpoints.jsonl").read_bytes().splitlines()

    def left() -> list[bytes]:
        lines = exported.read_bytes().splitlines(keepends=True) if exported.exists() else []
        return [one for line in lines if line.endswith(b"\n") for one in signed_lines(line)]

    assert eventually(lambda: len(left()) >= len(signed) and left()) == signed
    sound = verify(tmp_path, exported)
    assert (sound.exit_code, sound.output.split(":")[0]) == (0, "sound"), sound.output

    segment = log / "0000.jsonl"
    segment.write_bytes(b"".join(segment.read_bytes().splitlines(keepends=True)[:-2]))
    found = verify(tmp_path, exported)
    assert (found.exit_code, found.output.split(":")[0]) == (1, "TAMPERED"), found.output
