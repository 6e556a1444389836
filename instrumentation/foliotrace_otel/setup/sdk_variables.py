"""Variables that the SDK reads itself, and on whose unusable values it raises.

OpenTelemetry's specification asks for a warning and the default instead. The SDK reads them in many
places, so what it cannot use is taken out of the environment before it looks (environment.py).
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from itertools import product
from math import isfinite
from typing import Final

_LIMITS: Final = (
    *(f"OTEL_{of}ATTRIBUTE_COUNT_LIMIT" for of in ("", "SPAN_", "EVENT_", "LINK_", "LOGRECORD_")),
    *(f"OTEL_{of}ATTRIBUTE_VALUE_LENGTH_LIMIT" for of in ("", "SPAN_", "LOGRECORD_")),
    "OTEL_SPAN_EVENT_COUNT_LIMIT",
    "OTEL_SPAN_LINK_COUNT_LIMIT",
)
_SIGNALS: Final = ("", "TRACES_", "METRICS_", "LOGS_")
_PROVIDERS: Final = {
    "OTEL_PYTHON_TRACER_PROVIDER": "opentelemetry_tracer_provider",
    "OTEL_PYTHON_METER_PROVIDER": "opentelemetry_meter_provider",
}
"""The groups of entry points among which the SDK looks."""
_MOST_SHOWN: Final = 40
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class IgnoredVariable:
    """A variable that is set to what cannot be used; its default holds."""

    name: str
    value: str
    usable: str

    def __str__(self) -> str:
        return f"{self.name} is {self.value[:_MOST_SHOWN]!r} and is ignored; use {self.usable}"


def warn_of(ignored: IgnoredVariable) -> None:
    """Say so in the log, in the message itself: a program without logging shows nothing else."""
    _log.warning("telemetry.variable_ignored: %s", ignored)


def unusable(env: Mapping[str, str]) -> list[IgnoredVariable]:
    """What of `env` the SDK cannot use. An empty value means "not set", as the standard says."""
    general, *others = (env.get(f"OTEL_EXPORTER_OTLP_{of}PROTOCOL", "").strip() for of in _SIGNALS)
    all_http = all((protocol or general) == "http/protobuf" for protocol in others)
    named = ("gzip", "deflate", "none") if all_http else ("gzip",)  # all that gRPC's exporter knows
    limit = ("a whole number from 0 on", _is_limit)
    checks: dict[str, tuple[str, Callable[[str], bool]]] = dict.fromkeys(_LIMITS, limit)
    for what, of in product(("TIMEOUT", "COMPRESSION"), _SIGNALS):
        checks[f"OTEL_EXPORTER_OTLP_{of}{what}"] = (
            ("a number of seconds from 0 on", _is_time)
            if what == "TIMEOUT"
            else (" or ".join(named), lambda text: text.lower() in named)
        )
    for name, group in _PROVIDERS.items():
        checks[name] = ("the name of an installed provider", _is_in(group))
    return [
        IgnoredVariable(name, env[name], usable)
        for name, (usable, check) in checks.items()
        if name in env and not check(env[name].strip())
    ]


def _is_in(group: str) -> Callable[[str], bool]:
    return lambda text: bool(text) and bool(tuple(entry_points(group=group, name=text)))


def _is_limit(text: str) -> bool:
    try:
        return int(text) >= 0
    except ValueError:
        return False


def _is_time(text: str) -> bool:
    try:
        seconds = float(text)
    except ValueError:
        return False
    return isfinite(seconds) and seconds >= 0
