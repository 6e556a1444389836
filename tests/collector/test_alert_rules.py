"""The alert rules fire on their symptoms and stay silent beside them, by promtool's tests."""

import re
import subprocess

import pytest
import yaml
from tests.collector.processes import ROOT

FOLDER = ROOT / "deploy/prometheus"
RULES = yaml.safe_load((FOLDER / "rules.yaml").read_text())
TESTS = yaml.safe_load((FOLDER / "rules_test.yaml").read_text())["tests"]
ALERTS = [rule for group in RULES["groups"] for rule in group["rules"] if "alert" in rule]


@pytest.mark.real_servers
@pytest.mark.parametrize(
    "command",
    [("check", "config", "prometheus.yaml"), ("check", "rules", "rules.yaml")],
    ids=["configuration", "rules"],
)
def test_prometheus_accepts_the(command: tuple[str, ...], promtool: str) -> None:
    checked = subprocess.run([promtool, *command], cwd=FOLDER, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.real_servers
def test_each_alert_fires_on_its_symptom_and_only_then(promtool: str) -> None:
    tested = subprocess.run(
        [promtool, "test", "rules", "rules_test.yaml"], cwd=FOLDER, capture_output=True, text=True
    )
    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.parametrize("alert", [rule["alert"] for rule in ALERTS])
def test_there_is_a_test_that_fires_and_one_that_stays_silent_for(alert: str) -> None:
    cases = [case for test in TESTS for case in test["alert_rule_test"]]
    expected = [bool(case["exp_alerts"]) for case in cases if case["alertname"] == alert]
    assert {True, False} == set(expected)


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_what_happened_and_where_to_look(rule: dict[str, dict]) -> None:
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert set(rule["annotations"]) == {"summary", "look", "runbook_url"}


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_has_a_section_in_the_runbook(rule: dict[str, dict]) -> None:
    page, _, section = rule["annotations"]["runbook_url"].partition("#")
    headings = re.findall(r"^## (\w+)$", (ROOT / page).read_text(), re.MULTILINE)
    assert rule["alert"] in headings
    assert section == rule["alert"].lower()
