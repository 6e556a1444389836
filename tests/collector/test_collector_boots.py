"""The collector's one file is valid, and starts on a machine with no key and no backend."""

import json
import subprocess
from collections.abc import Callable

import pytest
import yaml
from tests.collector.processes import ROOT, Collector, eventually

pytestmark = pytest.mark.real_servers
CONFIG = ROOT / "otel-collector.yaml"


def test_the_file_is_valid_with_an_empty_environment(collector_binary: str) -> None:
    checked = subprocess.run(
        [collector_binary, "validate", "--config", CONFIG], env={}, capture_output=True, text=True
    )
    assert (checked.returncode, checked.stderr) == (0, "")


def test_it_boots_with_no_key_and_no_backend(run_collector: Callable[..., Collector]) -> None:
    collector = run_collector(JAEGER_EXPORTER="otlp_grpc/jaeger", JAEGER_OTLP="127.0.0.1:9")
    capacity = lambda: collector.figures("otelcol_exporter_queue_capacity")  # noqa: E731
    assert eventually(capacity) == 200_000
    assert collector.stop() == 0
    lines = [json.loads(line) for line in collector.log.read_text().splitlines()]
    assert not [line for line in lines if line["level"] not in ("info", "warn")]


def test_the_binary_holds_the_components_the_file_names_and_no_other(collector_binary: str) -> None:
    listed = subprocess.run([collector_binary, "components"], capture_output=True, check=True)
    components = yaml.safe_load(listed.stdout)
    config = yaml.safe_load(CONFIG.read_text())
    for kind in ("receivers", "processors", "connectors", "exporters", "extensions"):
        built = {component["name"] for component in components[kind]}
        assert {name.split("/")[0] for name in config[kind]} == built, kind
