"""Signed checkpoints leave as OTel log events, and what left proves or convicts the log on disk."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from google.protobuf.json_format import MessageToJson
from tests.otlp_sink import OtlpSink, attributes_of
from tests.server.observed_service import Observed, observed

from foliotrace_audit import CHECKPOINT_EVENT, write_new_keys
from foliotrace_server.cli import main
from foliotrace_server.doctor import examine
from foliotrace_server.settings import load_settings

pytestmark = pytest.mark.anyio


async def audited(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, shutdown_s: float = 60, **env: str
) -> Observed:
    """A service that answered twice and stopped, under keys of its own."""
    patient = {"shutdown_s": shutdown_s}
    write_new_keys(folder / "keys", dev_key=False)
    audit = {"keys_folder": folder / "keys", "durability": "strict"}
    async with observed(
        folder / "data", monkeypatch, env=env, audit=audit, telemetry=patient
    ) as service:
        await service.ingest()
        await service.ask()
        await service.ask("What else?")
    return service


def checkpoints_in(sink: OtlpSink) -> list[dict[str, Any]]:
    records = [r for r in sink.log_records if r.event_name == CHECKPOINT_EVENT]
    return [attributes_of(record) for record in records]


def as_collected(sink: OtlpSink, file: Path) -> Path:
    """What the sink received, as the collector's file exporter writes it: a batch a line."""
    batches = [MessageToJson(r.message, indent=None) for r in sink.of("logs")]
    file.write_text("".join(f"{batch}\n" for batch in batches))
    return file


def verify(folder: Path, checkpoints: Path) -> Result:
    """What an auditor sees who holds the public key and what left the box, and no secret."""
    (public,) = (folder / "keys").glob("sign-*.pub.pem")
    log = ["--log", str(folder / "data" / "audit"), "--public-key", str(public)]
    return CliRunner().invoke(
        main, ["audit", "verify", *log, "--checkpoints", str(checkpoints), "--jobs", "1"]
    )


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
async def test_what_left_over_otlp_proves_the_log_and_finds_its_truncation(
    protocol: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with OtlpSink() as logs:
        endpoint = logs.grpc_endpoint if protocol == "grpc" else f"{logs.http_endpoint}/v1/logs"
        await audited(
            tmp_path,
            monkeypatch,
            OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=endpoint,
            OTEL_EXPORTER_OTLP_LOGS_PROTOCOL=protocol,
        )
        sent = checkpoints_in(logs)
        collected = as_collected(logs, tmp_path / "otel-logs.jsonl")
    (log,) = (tmp_path / "data" / "audit").iterdir()
    assert [one[CHECKPOINT_EVENT] for one in sent] == (
        (log / "checkpoints.jsonl").read_text().splitlines()
    )
    assert {one["foliotrace.audit.stream"] for one in sent} == {log.name}
    assert [one["foliotrace.audit.final"] for one in sent][-1] is True
    sound = verify(tmp_path, collected)
    assert (sound.exit_code, sound.output.split(":")[0]) == (0, "sound"), sound.output

    segment = log / "0000.jsonl"
    *kept, _, _, _ = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(b"".join(kept))
    (log / "checkpoints.jsonl").unlink()
    found = verify(tmp_path, collected)
    assert (found.exit_code, found.output.split(":")[0]) == (1, "TAMPERED"), found.output


async def test_without_a_collector_a_service_starts_stops_and_keeps_its_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = await audited(
        tmp_path,
        monkeypatch,
        shutdown_s=1,
        OTEL_EXPORTER_OTLP_LOGS_ENDPOINT="http://127.0.0.1:9",
        OTEL_EXPORTER_OTLP_LOGS_PROTOCOL="http/protobuf",
    )
    (log,) = (tmp_path / "data" / "audit").iterdir()
    (file,) = log.glob("checkpoints.jsonl")
    dropped = service.engine.assembly.observability.metrics.registry.get_sample_value(
        "foliotrace_telemetry_log_events_dropped_total", {"reason": "export_failed"}
    )
    assert dropped == len(file.read_text().splitlines())


async def test_checkpoints_stay_at_home_where_logs_are_not_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = await audited(tmp_path, monkeypatch, OTEL_LOGS_EXPORTER="none")
    assert service.sink.of("logs") == []
    assert service.sink.spans


@pytest.mark.parametrize(
    ("env", "audit", "state", "said"),
    [
        ({}, {}, "on", "OpenTelemetry"),
        ({"OTEL_LOGS_EXPORTER": "none"}, {}, "off", "none leaves"),
        ({"OTEL_SDK_DISABLED": "true"}, {"checkpoint_folder": "vault"}, "on", "to vault"),
        ({}, {"enabled": False}, "off", "none leaves"),
        ({"OTEL_LOGS_EXPORTER": "carbon"}, {}, "on", "OpenTelemetry"),  # ignored with a warning
    ],
)
async def test_the_doctor_says_which_way_checkpoints_leave(
    env: dict[str, str],
    audit: dict[str, Any],
    state: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    settings = load_settings(None, data_dir=tmp_path, audit=audit)
    (found,) = (f for f in examine(settings) if f.area == "audit checkpoints")
    assert found.state == state
    assert said in found.said
