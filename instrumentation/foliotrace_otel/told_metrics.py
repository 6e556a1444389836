"""Which told event moves which metric: names of events and attributes, nothing of who tells them.

An event here is any LlamaIndex event with a `name` and `span_attributes()`. It counts whether or
not its trace is sampled. docs/reference/telemetry.md lists the pairs.
"""

from collections.abc import Callable, Mapping
from typing import Final

from foliotrace_otel.metrics import Metrics
from foliotrace_otel.semconv import ERROR_TYPE, REQUEST_MODEL, Attribute

Told = Mapping[str, Attribute]


def _word(told: Told, name: str) -> str:
    return str(told.get(name, ""))


def _answered(metrics: Metrics, told: Told) -> None:
    """A degraded answer counts once, under its first reason, so that a share can be taken."""
    state = _word(told, "foliotrace.cache.state")
    if state:
        metrics.count("foliotrace.cache.requests", 1, {"cache": "answer", "result": state})
    level = _word(told, "foliotrace.degradation.level")
    if level in {"", "0"}:
        return
    reason = _word(told, "foliotrace.degradation.reasons").partition(",")[0]
    metrics.count("foliotrace.degraded_answers", 1, {"level": level, "reason": reason})


def _retry(metrics: Metrics, told: Told) -> None:
    labels = {
        "dependency": _word(told, "foliotrace.retry.dependency"),
        "reason": _word(told, ERROR_TYPE),
    }
    metrics.count("foliotrace.retries", 1, labels)


def _breaker(metrics: Metrics, told: Told) -> None:
    dependency = _word(told, "foliotrace.breaker.dependency")
    to = _word(told, "foliotrace.breaker.status")
    metrics.count("foliotrace.breaker.transitions", 1, {"dependency": dependency, "to": to})
    metrics.record("foliotrace.breaker.open", float(to == "open"), {"dependency": dependency})


def _spent(metrics: Metrics, told: Told) -> None:
    cost = told.get("foliotrace.cost.usd", 0.0)
    if isinstance(cost, int | float):
        metrics.count("foliotrace.cost.usd", cost, {"model": _word(told, REQUEST_MODEL)})


def _path_failed(metrics: Metrics, told: Told) -> None:
    path = _word(told, "foliotrace.retrieval.failed_path")
    metrics.count("foliotrace.fallbacks", 1, {"from": path, "to": "next"})


def _generator_failed(metrics: Metrics, told: Told) -> None:
    model = _word(told, REQUEST_MODEL)
    metrics.count("foliotrace.fallbacks", 1, {"from": model, "to": "next"})


def _extracted(metrics: Metrics, told: Told) -> None:
    outcome = "valid" if told.get("foliotrace.extract.valid") else "invalid"
    metrics.count("foliotrace.extract.records", 1, {"outcome": outcome})


def _ingested(metrics: Metrics, told: Told) -> None:
    outcome = _word(told, "foliotrace.ingest.outcome")
    metrics.count("foliotrace.ingest.documents", 1, {"outcome": outcome})
    for what, labels in (
        ("pages", {"parser": _word(told, "foliotrace.ingest.parser")}),
        ("chunks", {}),
    ):
        number = told.get(f"foliotrace.ingest.{what}", 0)
        if isinstance(number, int):
            metrics.count(f"foliotrace.ingest.{what}", number, labels)
    code = _word(told, ERROR_TYPE)
    if code:
        metrics.count("foliotrace.ingest.failures", 1, {"code": code})


TOLD_METRICS: Final[Mapping[str, Callable[[Metrics, Told], None]]] = {
    "foliotrace.answered": _answered,
    "foliotrace.retry": _retry,
    "foliotrace.breaker": _breaker,
    "foliotrace.spent": _spent,
    "foliotrace.path_failed": _path_failed,
    "foliotrace.generator_failed": _generator_failed,
    "extract.completed": _extracted,
    "foliotrace.ingested": _ingested,
}
