"""Checks of where traces go: the variables of OpenTelemetry, and the collector that they name."""

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Final
from urllib.parse import SplitResult, urlsplit

import httpx

from foliotrace.errors import Misconfigured
from foliotrace_otel import OTelSettings, read_environment
from foliotrace_otel.setup.exporters import collector_answers
from foliotrace_otel.setup.sdk_variables import unusable
from foliotrace_server.doctor.registry import Call, Outcome, Warned, check, probe
from foliotrace_server.settings import Settings, environment

COLLECTOR_S: Final = 5.0
_GRPC_PORT: Final = 4317
_HTTP_PORT: Final = 4318
_PATH: Final = "/v1/traces"
_GENERAL: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
_OF_TRACES: Final = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
_PROTOCOL: Final = "OTEL_EXPORTER_OTLP_PROTOCOL"
_HEADER_NAME: Final = re.compile(r"[\w!#$%&'*+.^`|~-]+")


@check(
    "traces",
    checks="the variables that say where traces go can be read, and fit each other",
    hint="traces in Jaeger or LangSmith: set OTEL_EXPORTER_OTLP_ENDPOINT",
)
def _traces(settings: Settings) -> Outcome:
    if not settings.telemetry.enabled:
        return "off", "telemetry.enabled is false"
    exporter = read_environment()
    if ignored := (*exporter.ignored, *unusable(environment())):
        return "warning", "; ".join(map(str, ignored)), "Correct that variable, or unset it."
    has_key = environment().get("LANGSMITH_API_KEY") or environment().get("LANGCHAIN_API_KEY")
    if environment().get("LANGSMITH_TRACING", "").lower() in ("true", "1") and not has_key:
        return "problem", "LANGSMITH_TRACING is set without a key", "Set LANGSMITH_API_KEY."
    if exporter.endpoint_named and (why := _switched_off(exporter)):
        return "warning", f"a collector is named, and gets nothing: {why}", "Unset that variable."
    if exporter.disabled or exporter.exporter != "otlp" or not exporter.endpoint_named:
        key = "LANGSMITH_API_KEY is set, LANGSMITH_TRACING is not; "
        unused = has_key and exporter.langsmith is None
        return "off", (key if unused else "") + "no collector is named"
    return wrong_address(environment(), exporter.protocol) or (
        "on",
        f"to the collector over {exporter.protocol}",
    )


def _switched_off(exporter: OTelSettings) -> str:
    if exporter.disabled:
        return "OTEL_SDK_DISABLED is true"
    if exporter.exporter == "none":
        return "OTEL_TRACES_EXPORTER is none"
    if exporter.sampler.endswith("always_off"):
        return f"OTEL_TRACES_SAMPLER is {exporter.sampler}"
    return "OTEL_TRACES_SAMPLER_ARG is 0" if not exporter.sample_ratio else ""


def wrong_address(variables: Mapping[str, str], protocol: str) -> Outcome | None:
    """What is wrong with the variables of the exporter, as far as they show it by themselves."""
    variable, url = _address(variables)
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    if "://" not in url:
        return "problem", f"{variable} has no scheme", f"Write {variable}=http://{_bare(url)}"
    for name in ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"):
        if not _are_headers(variables.get(name, "")):
            hint = f"Write {name}=authorization=Bearer%20... (name=value, a comma between two)."
            return "problem", f"{name} is not a list of name=value", hint
    if _port(parts) == (_HTTP_PORT if protocol == "grpc" else _GRPC_PORT):
        return "problem", f"{variable} has port {_port(parts)}, {protocol} is spoken", _other(parts)
    if protocol == "grpc":
        return None
    if variable == _GENERAL and path.endswith(_PATH):
        hint = f"Remove {_PATH} from {variable}: it is appended."
        return "problem", f"{variable} ends in {_PATH}, which is sent twice", hint
    if variable == _OF_TRACES and not path:
        hint = f"Append {_PATH} to {variable}, or set {_GENERAL} instead."
        return "problem", f"{variable} has no path, and is used as it stands", hint
    return None


def _other(parts: SplitResult) -> str:
    """The two ways to make port and protocol fit."""
    grpc, http = f"{_PROTOCOL}=grpc", f"{_PROTOCOL}=http/protobuf"
    fits, other = (grpc, _HTTP_PORT) if _port(parts) == _GRPC_PORT else (http, _GRPC_PORT)
    return f"Set {fits}, or use port {other}: gRPC has {_GRPC_PORT}, HTTP {_HTTP_PORT}."


def _address(variables: Mapping[str, str]) -> tuple[str, str]:
    """(variable, URL) in force."""
    name = _OF_TRACES if variables.get(_OF_TRACES) else _GENERAL
    return name, variables.get(name, "").strip()


def _bare(url: str) -> str:
    return url.rpartition("@")[2]  # without what may be a password


def _port(parts: SplitResult) -> int | None:
    try:
        return parts.port
    except ValueError:
        return None


def _are_headers(text: str) -> bool:
    pairs = [each.partition("=") for each in text.split(",") if each.strip()]
    return all(equal and _HEADER_NAME.fullmatch(name.strip()) for name, equal, _ in pairs)


@probe(checks="the collector that the environment names takes an empty export; else a warning")
async def _collector(settings: Settings) -> AsyncIterator[Call]:
    exporter = _named_collector(settings)
    if exporter is None or wrong_address(environment(), exporter.protocol):
        return

    async def export() -> str:
        ask = partial(collector_answers, exporter, timeout_s=COLLECTOR_S)
        if not await asyncio.to_thread(ask):
            await asyncio.to_thread(_say_why, exporter)
        return f"accepts spans over {exporter.protocol}"

    yield "collector", export


def _named_collector(settings: Settings) -> OTelSettings | None:
    """The exporter's settings, if the environment names a collector."""
    exporter = read_environment()
    exports = not exporter.disabled and exporter.exporter == "otlp"
    return exporter if settings.telemetry.enabled and exports and exporter.endpoint_named else None


def _say_why(exporter: OTelSettings) -> None:
    """Raises Misconfigured, or Warned for a collector that does not answer now."""
    variable, url = _address(environment())
    parts = urlsplit(url)
    default = _GRPC_PORT if exporter.protocol == "grpc" else 443 if parts.scheme == "https" else 80
    place = (parts.hostname or "", _port(parts) or default)
    address = f"{place[0]}:{place[1]}"
    try:
        socket.create_connection(place, COLLECTOR_S).close()
    except OSError as error:
        why = error.strerror or type(error).__name__
        hint = f"Start the collector, or correct {variable}. The service works without it."
        raise Warned(f"nothing answers at {address}: {why}", hint=hint) from error
    if parts.scheme == "https" and not _speaks_tls(place):
        said = f"{address} speaks plain text, {variable} says https"
        raise Misconfigured(said, hint=f"Write http:// in {variable}.")
    status = _http_status(url if variable == _OF_TRACES else url.rstrip("/") + _PATH)
    if exporter.protocol == "grpc" and status is not None:
        hint = f"Set {_PROTOCOL}=http/protobuf, or correct {variable}."
        raise Misconfigured(f"{address} speaks HTTP, not gRPC", hint=hint)
    if exporter.protocol != "grpc" and status is None:
        hint = f"Set {_PROTOCOL}=grpc, or use the port of HTTP ({_HTTP_PORT})."
        raise Misconfigured(f"{address} does not speak HTTP", hint=hint)
    if status in (401, 403):
        hint = "Set OTEL_EXPORTER_OTLP_HEADERS to what the collector wants."
        raise Misconfigured(f"{address} refused the headers: status {status}", hint=hint)
    hint = f"Check {variable} and {_PROTOCOL}."
    answered = "" if status is None else f" (status {status})"
    raise Warned(f"{address} accepted no span within {COLLECTOR_S:g} s{answered}", hint=hint)


def _speaks_tls(place: tuple[str, int]) -> bool:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection(place, COLLECTOR_S) as plain,
            context.wrap_socket(plain, server_hostname=place[0]),
        ):
            return True
    except ssl.SSLError as error:
        return "ALERT" in (error.reason or "")  # only what speaks TLS sends one
    except OSError:
        return False


def _http_status(url: str) -> int | None:
    """The status of an empty export over HTTP; None where nothing like HTTP answers."""
    headers = {"content-type": "application/x-protobuf"}
    try:
        return httpx.post(url, content=b"", headers=headers, timeout=COLLECTOR_S).status_code
    except (httpx.HTTPError, httpx.InvalidURL):
        return None
