"""The standard variables, read here and nowhere else in this package.

`OTEL_*` as OpenTelemetry defines them (endpoint, headers, TLS, time-outs, compression, resource and
attribute limits are read by the SDK itself), `LANGSMITH_*` and the older `LANGCHAIN_*`.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import ClassVar, Final, Literal, TypeAlias, cast, get_args

from foliotrace_otel.content.capture import BackEnd, ContentPolicy
from foliotrace_otel.semconv import Version
from foliotrace_otel.spans.span_tree import Detail

OtlpProtocol: TypeAlias = Literal["grpc", "http/protobuf"]
ExporterName: TypeAlias = Literal["otlp", "console", "none"]

LANGSMITH_ENDPOINT: Final = "https://api.smith.langchain.com"
SAMPLERS: Final = (
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
)
SAMPLER_GROUP: Final = "opentelemetry_traces_sampler"
"""The group of entry points under which other packages offer samplers."""


class TelemetryError(Exception):
    """Root of every error this package raises.

    `code` never changes once released; `hint` says what to do next.
    """

    code: ClassVar[str] = "telemetry_error"
    hint: ClassVar[str] = "See the message."


class TelemetrySettingInvalid(TelemetryError):
    """An `OTEL_*` or `LANGSMITH_*` variable, or an argument of `configure`, cannot be used."""

    code = "telemetry_setting_invalid"
    hint = "Correct the named variable; docs/reference/telemetry.md lists them with their forms."


@dataclass(frozen=True, slots=True, repr=False)
class LangSmith:
    """Where to send spans directly; `api_key` never appears in a repr."""

    endpoint: str
    api_key: str
    project: str

    def __repr__(self) -> str:
        return f"LangSmith(endpoint={self.endpoint!r}, project={self.project!r})"


@dataclass(frozen=True, slots=True)
class OTelSettings:
    """The telemetry settings, validated."""

    disabled: bool = False
    exporter: ExporterName = "otlp"
    also_console: bool = False
    protocol: OtlpProtocol = "grpc"
    endpoint_named: bool = False
    sampler: str = "parentbased_always_on"
    sample_ratio: float = 1.0
    sampler_arg: str = ""
    queue_size: int = 32_768
    batch_size: int = 512
    delay_ms: float = 1_000.0
    metrics_exporter: ExporterName = "none"
    metrics_protocol: OtlpProtocol = "grpc"
    metrics_interval_ms: float = 60_000.0
    logs_exporter: ExporterName = "otlp"
    logs_protocol: OtlpProtocol = "grpc"
    logs_endpoint_named: bool = False
    capture_content: bool = False
    content_chars: int = 4_096
    semconv: Version = "1.41"
    content_share: float = 1.0
    content_tenants: frozenset[str] = frozenset()
    content_people: frozenset[str] = frozenset()
    openinference: bool = False
    langfuse: bool = False
    detects_resource: bool = False
    detail: Detail = "semantic"
    langsmith: LangSmith | None = None

    @property
    def back_ends(self) -> frozenset[BackEnd]:
        """Whose attribute names are written."""
        named: dict[BackEnd, bool] = {
            "langsmith": True, "openinference": self.openinference, "langfuse": self.langfuse
        }  # fmt: skip
        return frozenset(back_end for back_end, wanted in named.items() if wanted)

    @property
    def content(self) -> ContentPolicy:
        """Whose content goes on spans, and how much of it."""
        return ContentPolicy(
            capture=self.capture_content,
            most_chars=self.content_chars,
            share=self.content_share,
            tenants=self.content_tenants,
            back_ends=self.back_ends,
            people=self.content_people,
        )

    @property
    def sends_log_events(self) -> bool:
        """Whether events leave as OTLP log records."""
        return not self.disabled and self.logs_exporter != "none"


def read_environment(variables: Mapping[str, str] | None = None) -> OTelSettings:
    """The settings in `variables`, by default the process's environment.

    Raises TelemetrySettingInvalid, naming the variable, for a value that cannot be used.
    """
    env = os.environ if variables is None else variables
    endpoint = env.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    installed = tuple(entry.name for entry in entry_points(group=SAMPLER_GROUP))
    sampler = _one_of(env, "OTEL_TRACES_SAMPLER", (*SAMPLERS, *installed), "parentbased_always_on")
    traces = _exporters(env, "OTEL_TRACES_EXPORTER", "otlp")
    stability = env.get("OTEL_SEMCONV_STABILITY_OPT_IN", "").split(",")
    return OTelSettings(
        disabled=_flag(env, "OTEL_SDK_DISABLED"),
        exporter=traces[0],
        also_console=traces[0] != "console" and "console" in traces,
        protocol=_protocol(env, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"),
        endpoint_named=bool(env.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or endpoint),
        sampler=sampler,
        sampler_arg=env.get("OTEL_TRACES_SAMPLER_ARG", "") if sampler not in SAMPLERS else "",
        sample_ratio=_number(env, "OTEL_TRACES_SAMPLER_ARG", 1.0, low=0.0, high=1.0)
        if sampler in SAMPLERS
        else 1.0,
        queue_size=int(_number(env, "OTEL_BSP_MAX_QUEUE_SIZE", 32_768, low=1)),
        batch_size=int(_number(env, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512, low=1)),
        delay_ms=_number(env, "OTEL_BSP_SCHEDULE_DELAY", 1_000.0, low=1),
        metrics_exporter=_exporter(env, "OTEL_METRICS_EXPORTER", "none"),
        metrics_protocol=_protocol(env, "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL"),
        metrics_interval_ms=_number(env, "OTEL_METRIC_EXPORT_INTERVAL", 60_000.0, low=1),
        logs_exporter=_exporter(env, "OTEL_LOGS_EXPORTER", "otlp"),
        logs_protocol=_protocol(env, "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL"),
        logs_endpoint_named=bool(env.get("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT") or endpoint),
        capture_content=_capture(env),
        content_chars=int(_number(env, "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", 4_096, low=16)),
        semconv="latest" if "gen_ai_latest_experimental" in map(str.strip, stability) else "1.41",
        openinference=_flag(env, "FOLIOTRACE_OPENINFERENCE"),
        detects_resource=bool(env.get("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS")),
        langfuse=_flag(env, "FOLIOTRACE_LANGFUSE"),
        detail="all" if env.get("FOLIOTRACE_SPAN_DETAIL", "").strip() == "all" else "semantic",
        langsmith=_langsmith(env),
    )


def _langsmith(env: Mapping[str, str]) -> LangSmith | None:
    def either(name: str) -> str:
        return (env.get(f"LANGSMITH_{name}") or env.get(f"LANGCHAIN_{name}") or "").strip()

    wanted = _flag(env, "LANGSMITH_TRACING") or _flag(env, "LANGSMITH_TRACING_V2")
    if not (wanted or _flag(env, "LANGCHAIN_TRACING_V2")) or not either("API_KEY"):
        return None
    return LangSmith(
        endpoint=(either("ENDPOINT") or LANGSMITH_ENDPOINT).rstrip("/"),
        api_key=either("API_KEY"),
        project=either("PROJECT") or "default",
    )


def _capture(env: Mapping[str, str]) -> bool:
    name = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
    parsed = ContentPolicy.parse(env.get(name, ""))
    if parsed is None:
        raise TelemetrySettingInvalid(f"{name} is none of NO_CONTENT, SPAN_ONLY, true, false ...")
    return parsed


def _protocol(env: Mapping[str, str], of_signal: str) -> OtlpProtocol:
    name = of_signal if env.get(of_signal, "").strip() else "OTEL_EXPORTER_OTLP_PROTOCOL"
    return cast("OtlpProtocol", _one_of(env, name, get_args(OtlpProtocol), "grpc"))


def _exporter(env: Mapping[str, str], name: str, default: ExporterName) -> ExporterName:
    return cast("ExporterName", _one_of(env, name, get_args(ExporterName), default))


def _exporters(
    env: Mapping[str, str], name: str, default: ExporterName
) -> tuple[ExporterName, ...]:
    """A list such as `otlp,console`; the standard allows one for each signal."""
    named = [each.strip() for each in env.get(name, "").split(",") if each.strip()]
    chosen = tuple(_exporter({name: each}, name, default) for each in named or [default])
    return tuple(sorted(set(chosen), key=("otlp", "console", "none").index))


def _one_of(env: Mapping[str, str], name: str, known: tuple[str, ...], default: str) -> str:
    value = env.get(name, "").strip() or default
    if value not in known:
        raise TelemetrySettingInvalid(f"{name} is {value!r}; use one of {', '.join(known)}")
    return value


def _flag(env: Mapping[str, str], name: str) -> bool:
    return env.get(name, "").strip().lower() in {"true", "1"}


def _number(
    env: Mapping[str, str], name: str, default: float, *, low: float, high: float = 1e12
) -> float:
    text = env.get(name, "").strip()
    if not text:
        return default
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not low <= number <= high:  # false for NaN as well
        raise TelemetrySettingInvalid(f"{name} is {text!r}; give a number from {low} to {high}")
    return number
