"""A histogram of prometheus_client's registry whose record is one call.

`prometheus_client.Histogram` makes eight calls and takes two locks for each value, and a question
records six: a third of what was left of tracing's CPU in a trace that is not sampled.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import Lock
from time import time
from typing import Final, TypeAlias

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar
from prometheus_client.utils import INF, floatToGoString

MakeExemplar: TypeAlias = Callable[[], Mapping[str, str] | None]
"""The labels of an exemplar for the value that is recorded now; None for none."""
Bucket: TypeAlias = tuple[str, float] | tuple[str, float, Exemplar]
"""Upper bound, count up to it, exemplar."""


class HistogramSeries:
    """The counts under one set of labels."""

    __slots__ = ("_bounds", "_counts", "_exemplars", "_lock", "_make", "_slow", "_sum")

    def __init__(self, bounds: Sequence[float], slow: float, exemplar: MakeExemplar) -> None:
        self._bounds = bounds
        self._counts = [0] * len(bounds)
        self._exemplars: dict[int, Exemplar] = {}
        self._lock = Lock()
        self._make = exemplar
        self._slow = slow
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count `value` in its bucket."""
        place = bisect_left(self._bounds, value)
        with self._lock:
            self._counts[place] += 1
            self._sum += value
        if value >= self._slow and (labels := self._make()):
            self._exemplars[place] = Exemplar(dict(labels), value, time())

    def snapshot(self) -> tuple[list[Bucket], float]:
        """The buckets, cumulative, each with its bound and newest exemplar; and the sum."""
        with self._lock:
            counts, total = list(self._counts), self._sum
        buckets: list[Bucket] = []
        below = 0.0
        for place, (bound, count) in enumerate(zip(self._bounds, counts, strict=True)):
            below += count
            name = str(floatToGoString(bound))  # type: ignore[no-untyped-call] # no types
            exemplar = self._exemplars.get(place)
            buckets.append((name, below, exemplar) if exemplar else (name, below))
        return buckets, total


class Histogram(Collector):
    """All series of one histogram. A value of `slow` or more carries the exemplar that is made."""

    def __init__(
        self,
        name: str,
        documentation: str,
        labelnames: Sequence[str],
        registry: CollectorRegistry,
        *,
        buckets: Sequence[float],
        slow: float = INF,
        exemplar: MakeExemplar = lambda: None,
    ) -> None:
        self._name: Final = name
        self._documentation: Final = documentation
        self._labelnames: Final = labelnames
        self._bounds: Final = (*(float(bound) for bound in buckets), INF)
        self._slow = slow
        self._exemplar = exemplar
        self._series: dict[tuple[str, ...], HistogramSeries] = {}
        self._lock = Lock()
        if not labelnames:
            self.labels()
        registry.register(self)

    def labels(self, *values: str) -> HistogramSeries:
        """The series of these label values, in the order of the names."""
        with self._lock:
            found = self._series.get(values)
            if found is None:
                found = HistogramSeries(self._bounds, self._slow, self._exemplar)
                self._series[values] = found
            return found

    def describe(self) -> Iterable[HistogramMetricFamily]:
        """The family without its series."""
        return [self._family()]

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """The family as it is now."""
        family = self._family()
        with self._lock:
            present = list(self._series.items())
        for values, series in present:
            buckets, total = series.snapshot()
            family.add_metric(values, buckets, total)
        return [family]

    def _family(self) -> HistogramMetricFamily:
        return HistogramMetricFamily(self._name, self._documentation, labels=self._labelnames)
