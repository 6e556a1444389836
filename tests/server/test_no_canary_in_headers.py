"""A canary in any header of a request is in nothing that leaves the service or stays as record."""

from pathlib import Path
from typing import Any

import pytest
from tests.server.observed_service import QUESTION, observed

from foliotrace_server.compose import assemble
from foliotrace_server.settings import Settings

pytestmark = pytest.mark.anyio
CANARY = "canary@example.com"
FREE = """user-agent referer cookie baggage x-forwarded-for forwarded x-request-id x-user from b3
x-api-version accept-language x-correlation-id idempotency-key uber-trace-id x-amzn-trace-id via
x-session-id x-b3-traceid x-cloud-trace-context priority te warning x-real-ip x-forwarded-host"""
HEADERS = {
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "tracestate": f"acme={CANARY},key=sk-canary0123456789abcdef",
    **dict.fromkeys(FREE.split(), f"{CANARY} sk-canary0123456789abcdef"),
}


async def test_no_header_of_a_request_reaches_traces_metrics_logs_or_audit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    async with observed(tmp_path, monkeypatch) as service:
        await service.ingest()
        answer = await service.client.post("/v1/query", json={"query": QUESTION}, headers=HEADERS)
        assert answer.status_code == 200, answer.text
        service.trace(answer.headers["x-trace-id"], ends_with="POST /v1/query")
        metrics = (await service.client.get("/metrics")).content
        raw = service.sink.raw()
    assert b"canary" not in raw + metrics
    assert "canary" not in capfd.readouterr().err
    audit = b"".join(p.read_bytes() for p in tmp_path.rglob("*.jsonl"))
    assert audit
    assert b"canary" not in audit


def tokens_of(folder: Path, **telemetry: Any) -> tuple[str, str]:
    assembly = assemble(Settings.model_validate({"data_dir": folder, "telemetry": telemetry}))
    assert assembly.observability is not None
    redactor = assembly.observability.redactor
    try:
        return redactor.redact(CANARY), redactor.pseudonym("jane")
    finally:
        assembly.observability.stop()


def test_tokens_and_pseudonyms_are_the_same_after_a_restart(tmp_path: Path) -> None:
    assert tokens_of(tmp_path / "a") == tokens_of(tmp_path / "a")
    assert tokens_of(tmp_path / "a") != tokens_of(tmp_path / "b")


def test_replicas_with_one_redaction_key_make_the_same_tokens(tmp_path: Path) -> None:
    key = {"redaction_key": "a key of 16 or more"}
    assert tokens_of(tmp_path / "a", **key) == tokens_of(tmp_path / "b", **key)


class CustomerNumbers:
    kind = "CUSTOMER"

    def finds(self, text: str) -> Any:
        return iter(())


def test_rules_and_names_of_the_settings_are_used(tmp_path: Path) -> None:
    telemetry = {"redact_names": ["Jane Doe"], "redaction_rules": [f"{__name__}:CustomerNumbers"]}
    assembly = assemble(Settings.model_validate({"data_dir": tmp_path, "telemetry": telemetry}))
    assert assembly.observability is not None
    redacted = assembly.observability.redactor.redact("for jane doe")
    assembly.observability.stop()
    assert redacted.startswith("for <NAME:")
