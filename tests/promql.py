"""What the alert rules and the dashboard ask of Prometheus."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import yaml

DEPLOY = Path(__file__).parent.parent / "deploy"
RULES = yaml.safe_load((DEPLOY / "prometheus/rules.yaml").read_text())
DASHBOARD = json.loads((DEPLOY / "grafana/foliotrace.json").read_text())
_METRIC = re.compile(r"\b(?:foliotrace|http|gen_ai|llm|otelcol|traces)_\w+(?=[{\[)\s/]|$)")
_GROUPED = re.compile(r"\b(?:by|on|without)\s*\([^)]*\)")
_SELECTED = re.compile(r"\{([^}]*)\}")


def expressions() -> Iterator[tuple[str, str]]:
    """Each alert's, record's and panel's name with an expression of it."""
    for group in RULES["groups"]:
        for rule in group["rules"]:
            yield rule.get("alert", rule.get("record")), rule["expr"]
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


def metrics(expression: str) -> set[str]:
    """The names of its series."""
    return set(_METRIC.findall(_SELECTED.sub("", _GROUPED.sub("", expression))))


def labels(expression: str) -> set[str]:
    """The labels it selects or groups by."""
    grouped = {
        name.strip()
        for group in _GROUPED.findall(expression)
        for name in group[group.index("(") + 1 : -1].split(",")
    }
    selected = {
        match.strip()
        for inner in _SELECTED.findall(expression)
        for match in re.findall(r"(\w+)\s*[=!]", inner)
    }
    return grouped | selected
