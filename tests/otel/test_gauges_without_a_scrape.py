"""A gauge that is read when somebody looks is there for OTLP too, where nobody scrapes."""

import asyncio
from pathlib import Path

import pytest
from opentelemetry.sdk.metrics.export import NumberDataPoint
from opentelemetry.sdk.resources import Resource
from tests.server.small_service import serving, small_engine

from foliotrace.events import INSTRUMENTS, NAMESPACE
from foliotrace_otel.metrics.otlp import snapshot
from foliotrace_otel.metrics.registry import Metrics

pytestmark = pytest.mark.anyio
DEPTH = "foliotrace.queue.depth"


def sent(metrics: Metrics, name: str) -> dict[str, float]:
    """What the OTLP sender would send of a gauge: label value -> value."""
    exported = snapshot(metrics, Resource({}), 0).resource_metrics[0].scope_metrics[0].metrics
    points = [p for metric in exported if metric.name == name for p in metric.data.data_points]
    return {
        str(value): point.value
        for point in points
        if isinstance(point, NumberDataPoint)
        for value in (point.attributes or {}).values()
    }


def test_a_watched_gauge_is_read_at_every_look() -> None:
    metrics, waiting = Metrics(INSTRUMENTS, namespace=NAMESPACE), ["a"]
    metrics.watch(DEPTH, lambda: len(waiting), {"queue": "jobs"})
    assert sent(metrics, DEPTH) == {"jobs": 1}
    waiting.clear()
    assert sent(metrics, DEPTH) == {"jobs": 0}


def test_only_a_gauge_can_be_watched() -> None:
    with pytest.raises(TypeError, match=r"foliotrace\.retries"):
        Metrics(INSTRUMENTS, namespace=NAMESPACE).watch("foliotrace.retries", lambda: 1, {})


async def test_waiting_jobs_are_told_before_anybody_scrapes(tmp_path: Path) -> None:
    engine = small_engine(tmp_path)
    async with serving(engine) as client:
        assert sent(engine.metrics, DEPTH) == {"jobs": 0}
        files = {"file": ("slow.txt", b"\x0c".join([b"slow"] * 40))}
        job = (await client.post("/v1/documents", files=files)).json()["accepted"][0]["job"]
        assert sent(engine.metrics, DEPTH) == {"jobs": 1}
        await client.post(f"/v1/jobs/{job['id']}/cancel")
        while sent(engine.metrics, DEPTH) != {"jobs": 0}:  # the test's time limit ends it
            await asyncio.sleep(0.01)
