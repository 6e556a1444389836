"""The standard variables, read here and nowhere else in this package.

`OTEL_*` as OpenTelemetry defines them (endpoint, headers, TLS, time-outs, compression, resource and
attribute limits are read by the SDK itself), `LANGSMITH_*` and the older `LANGCHAIN_*`. As the
standard asks, a value that cannot be used is ignored with a warning, and stops no program.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Final, Literal, TypeAlias, cast, get_args

from foliotrace_otel.content.capture import BackEnd, ContentPolicy
from foliotrace_otel.semconv import Version
from foliotrace_otel.setup.sdk_variables import IgnoredVariable, unusable, warn_of
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
    ignored: tuple[IgnoredVariable, ...] = ()

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

    A value that cannot be used counts as not set and stands in `ignored`; `configure` warns of it.
    """
    env = _Variables(os.environ if variables is None else variables)
    endpoint = env.text("OTEL_EXPORTER_OTLP_ENDPOINT")
    installed = (entry.name for entry in entry_points(group=SAMPLER_GROUP))
    samplers = tuple(dict.fromkeys((*SAMPLERS, *installed)))
    sampler = env.one_of("OTEL_TRACES_SAMPLER", samplers, "parentbased_always_on")
    own_sampler = sampler in SAMPLERS
    traces = env.exporters("OTEL_TRACES_EXPORTER", "otlp")
    stability = env.text("OTEL_SEMCONV_STABILITY_OPT_IN").split(",")
    return OTelSettings(
        disabled=env.boolean("OTEL_SDK_DISABLED"),
        exporter=traces[0],
        also_console=traces[0] != "console" and "console" in traces,
        protocol=env.protocol("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"),
        endpoint_named=bool(env.text("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or endpoint),
        sampler=sampler,
        sampler_arg="" if own_sampler else env.text("OTEL_TRACES_SAMPLER_ARG"),
        sample_ratio=env.number("OTEL_TRACES_SAMPLER_ARG", 1.0, low=0.0, high=1.0)
        if own_sampler
        else 1.0,
        queue_size=int(env.number("OTEL_BSP_MAX_QUEUE_SIZE", 32_768, low=1)),
        batch_size=int(env.number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512, low=1)),
        delay_ms=env.number("OTEL_BSP_SCHEDULE_DELAY", 1_000.0, low=1),
        metrics_exporter=env.exporters("OTEL_METRICS_EXPORTER", "none")[0],
        metrics_protocol=env.protocol("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL"),
        metrics_interval_ms=env.number("OTEL_METRIC_EXPORT_INTERVAL", 60_000.0, low=1),
        logs_exporter=env.exporters("OTEL_LOGS_EXPORTER", "otlp")[0],
        logs_protocol=env.protocol("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL"),
        logs_endpoint_named=bool(env.text("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT") or endpoint),
        capture_content=env.capture("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"),
        content_chars=int(env.number("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", 4_096, low=0)),
        semconv="latest" if "gen_ai_latest_experimental" in map(str.strip, stability) else "1.41",
        openinference=env.flag("FOLIOTRACE_OPENINFERENCE"),
        detects_resource=bool(env.text("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS")),
        langfuse=env.flag("FOLIOTRACE_LANGFUSE"),
        detail="all" if env.text("FOLIOTRACE_SPAN_DETAIL") == "all" else "semantic",
        langsmith=_langsmith(env),
        ignored=tuple(env.ignored),
    )


def set_aside_unusable() -> None:
    """Take out of the process's environment what the SDK would raise on, with a warning for each.

    An empty value and `none` need no warning: what they mean holds anyway.
    """
    for ignored in unusable(os.environ):
        del os.environ[ignored.name]
        if ignored.value.strip().lower() not in ("", "none"):
            warn_of(ignored)


@dataclass(frozen=True, slots=True)
class _Variables:
    """Reads one variable after the other and notes those that cannot be used."""

    env: Mapping[str, str]
    ignored: list[IgnoredVariable] = field(default_factory=list)

    def text(self, name: str) -> str:
        return self.env.get(name, "").strip()

    def flag(self, name: str) -> bool:
        return self.text(name).lower() in {"true", "1"}

    def boolean(self, name: str) -> bool:
        """As the standard has it: only `true` is true, and `1` is a mistake."""
        value = self.text(name).lower()
        if value not in {"", "true", "false"}:
            self._ignore(name, "true or false")
        return value == "true"

    def one_of(self, name: str, known: tuple[str, ...], default: str) -> str:
        value = self.text(name).lower() or default
        named = {each.lower(): each for each in known}
        if value not in named:
            self._ignore(name, f"one of {', '.join(known)}")
        return named.get(value, default)

    def protocol(self, of_signal: str) -> OtlpProtocol:
        known = get_args(OtlpProtocol)
        general = self.one_of("OTEL_EXPORTER_OTLP_PROTOCOL", known, "grpc")
        return cast("OtlpProtocol", self.one_of(of_signal, known, general))

    def exporters(self, name: str, default: ExporterName) -> tuple[ExporterName, ...]:
        """A list such as `otlp,console`; the standard allows one for each signal."""
        known = get_args(ExporterName)
        named = [each.strip().lower() for each in self.text(name).split(",") if each.strip()]
        if unknown := [each for each in named if each not in known]:
            self._ignore(name, f"{', '.join(known)}, not {', '.join(unknown)}")
        chosen = {each for each in named if each in known} or {default}
        return cast("tuple[ExporterName, ...]", tuple(sorted(chosen, key=known.index)))

    def number(self, name: str, default: float, *, low: float, high: float = 1e12) -> float:
        text = self.text(name)
        if not text:
            return default
        try:
            number = float(text)
        except ValueError:
            number = float("nan")
        if not low <= number <= high:  # false for NaN as well
            self._ignore(name, f"a number from {low:g} to {high:g}")
            return default
        return number

    def capture(self, name: str) -> bool:
        parsed = ContentPolicy.parse(self.text(name))
        if parsed is None:
            self._ignore(name, "NO_CONTENT, SPAN_ONLY, true or false")
        return parsed or False

    def _ignore(self, name: str, usable: str) -> None:
        found = IgnoredVariable(name, self.text(name), usable)
        if found not in self.ignored:
            self.ignored.append(found)


def _langsmith(env: _Variables) -> LangSmith | None:
    def either(name: str) -> str:
        return env.text(f"LANGSMITH_{name}") or env.text(f"LANGCHAIN_{name}")

    wanted = env.flag("LANGSMITH_TRACING") or env.flag("LANGSMITH_TRACING_V2")
    if not (wanted or env.flag("LANGCHAIN_TRACING_V2")) or not either("API_KEY"):
        return None
    return LangSmith(
        endpoint=(either("ENDPOINT") or LANGSMITH_ENDPOINT).rstrip("/"),
        api_key=either("API_KEY"),
        project=either("PROJECT") or "default",
    )
