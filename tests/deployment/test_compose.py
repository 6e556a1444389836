"""deploy/compose.yaml: its mounts exist, its settings are read, nothing is open to the network."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.hosts.running_hosts import absent

from foliotrace_server.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "deploy" / "compose.yaml"
SERVICES: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]
NO_HEALTH_CHECK = {  # why a container has none
    "foliotrace": "its image has one",
    "collector": "its image has no program that could ask",
    "jaeger": "its image has no program that could ask",
    "queue-owner": "ends by itself",
}


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_has_limits_a_pinned_image_and_publishes_on_loopback_only(name: str) -> None:
    service = SERVICES[name]
    assert {"cpus", "memory"} <= set(service["deploy"]["resources"]["limits"])
    assert re.search(r":[\w.-]*\d+\.\d+", service["image"]), "a version, not `latest`"
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
    assert "privileged" not in service
    assert ("healthcheck" in service) != (name in NO_HEALTH_CHECK)
    if name != "queue-owner":
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]


def test_everything_that_is_mounted_exists() -> None:
    for service in SERVICES.values():
        for mount in service.get("volumes", ()):
            source = str(mount).split(":", 1)[0]
            if source.startswith("."):
                assert (COMPOSE.parent / source).exists(), source


def test_the_services_settings_are_valid_and_hold_no_secret(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    environment = SERVICES["foliotrace"]["environment"]
    for name, value in environment.items():
        filled = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(value))
        assert not (name.endswith("_KEY") and filled), f"{name} has a value in the file"
        monkeypatch.setenv(name, filled)
    settings = Settings()
    assert settings.auth.required == "always"
    assert settings.redis.url is not None


def test_the_collector_and_jaeger_read_each_variable_that_is_set_for_them() -> None:
    read = (ROOT / "otel-collector.yaml").read_text() + (ROOT / "deploy/collector/run").read_text()
    assert [name for name in SERVICES["collector"]["environment"] if name not in read] == []
    jaeger = (ROOT / "deploy/jaeger/jaeger.yaml").read_text()
    assert [name for name in SERVICES["jaeger"]["environment"] if name not in jaeger] == []


def test_the_containers_prometheus_scrapes_what_the_hosts_scrapes() -> None:
    host, inside = (
        yaml.safe_load((ROOT / "deploy" / path).read_text())["scrape_configs"]
        for path in ("prometheus/prometheus.yaml", "container/prometheus.yaml")
    )
    assert [job["job_name"] for job in host] == [job["job_name"] for job in inside]
    for outside, within in zip(host, inside, strict=True):
        name, port = within["static_configs"][0]["targets"][0].split(":")
        assert name in SERVICES
        assert outside["static_configs"][0]["targets"][0].endswith(f":{port}")


@pytest.mark.real_servers
def test_promtool_accepts_the_containers_configuration(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        absent("promtool is not installed: .ci/install-debian")
    shutil.copy(ROOT / "deploy/prometheus/rules.yaml", tmp_path / "rules.yaml")
    text = (ROOT / "deploy/container/prometheus.yaml").read_text()
    (tmp_path / "metrics-key").write_text("ftk_x")
    (tmp_path / "prometheus.yaml").write_text(text.replace("/run/secrets", str(tmp_path)))
    checked = subprocess.run(
        [promtool, "check", "config", str(tmp_path / "prometheus.yaml")],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": os.defpath},
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
