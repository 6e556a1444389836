"""The audit log, tracing and logs."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from foliotrace.settings import Section

_TRACE_URL = r"^https?://\S+\{trace_(id|uuid)\}\S*$"


class AuditLogSettings(Section):
    """The audit log."""

    enabled: bool = Field(default=True, description="Write the audit log.")
    folder: Path | None = Field(
        default=None, description="Folder of the log. None: `audit` in the data folder."
    )
    reads: bool = Field(
        default=True,
        description="Record who read documents, pages, originals, runs and results.",
    )
    fail_closed: bool = Field(
        default=True,
        description="Refuse work that cannot be audited (503). False: continue without records.",
    )
    durability: Literal["strict", "group", "relaxed"] = Field(
        default="group",
        description="`strict`: work starts only after its record is synced to disk. `group`: "
        "records are synced within 20 ms and nothing waits. `relaxed`: left to the operating "
        "system.",
    )
    keys_folder: Path | None = Field(
        default=None,
        description="Folder of the keys. None: `audit-keys` in the data folder. Never inside "
        "`folder`.",
    )
    checkpoint_folder: Path | None = Field(
        default=None,
        description="A second folder for signed checkpoints, ideally one to which this host can "
        "only append. None: `checkpoints` in the folder of the keys.",
    )
    retention_days: float | None = Field(
        default=None, gt=0, description="Sealed files are deleted after this time. None: never."
    )


class TracingSettings(Section):
    """Traces. The standard variables (`OTEL_*`, `LANGSMITH_*`) say where they are sent."""

    enabled: bool = Field(default=True, description="Trace requests and jobs.")
    service_name: str = Field(
        default="foliotrace",
        min_length=1,
        description="Service name in traces; `OTEL_SERVICE_NAME` overrides it.",
    )
    detail: Literal["semantic", "all"] = Field(
        default="semantic",
        description="`semantic`: the spans of stages and calls. `all`: every LlamaIndex span.",
    )
    content: Literal["environment", "off", "redacted"] = Field(
        default="environment",
        description="Export questions, answers, passages and records, redacted, with the spans; "
        "the collector keeps them from Jaeger. `environment`: as "
        "`OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT` says, by default off.",
    )
    content_tenants: tuple[str, ...] = Field(
        default=(), description="Export the content of these tenants only; empty: of all."
    )
    content_share: float = Field(
        default=1.0, ge=0, le=1, description="Share of the runs whose content is exported."
    )
    environment: str | None = Field(
        default=None,
        description="Where this is deployed, such as `production`; on every trace as "
        "`deployment.environment.name`.",
    )
    redaction_key: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="Key of the tokens that replace sensitive values and of users' pseudonyms. "
        "Give replicas the same one. None: derived from the audit log's query key.",
    )
    redact_names: tuple[str, ...] = Field(
        default=(),
        description="Names of people that are replaced in traces and logs: users, parties of the "
        "documents. Two words or more, or one of at least four letters.",
    )
    redact_fields: tuple[str, ...] = Field(
        default=(),
        description="Fields of documents' metadata and of extracted records that hold names of "
        "people, such as `author` or `tenant_name`: from the first time that one is seen, the name "
        "is replaced in traces and logs.",
    )
    redaction_rules: tuple[str, ...] = Field(
        default=(),
        description="Your own redaction rules, as `pkg.mod:object`: each has a `kind` and "
        "`finds(text)`.",
    )
    carry_trace: bool = Field(
        default=True,
        description="Send `traceparent` with calls to LlamaCloud and to models, so that the spans "
        "of your gateway or server join the trace. It exposes only the trace and span ids to the "
        "vendor; `tracestate` and baggage are never sent.",
    )
    jaeger_url: str | None = Field(
        default=None,
        pattern=_TRACE_URL,
        description="URL of a trace in Jaeger, containing `{trace_id}`, such as "
        "`http://localhost:16686/trace/{trace_id}`. Answers then link to their trace.",
    )
    langsmith_url: str | None = Field(
        default=None,
        pattern=_TRACE_URL,
        description="The same for LangSmith, containing `{trace_id}` or `{trace_uuid}`.",
    )
    shutdown_s: float = Field(
        default=3.0, ge=0, description="Time for sending the last spans when the process ends."
    )


class LogSettings(Section):
    """The log on standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Lowest level that is written."
    )
    format: Literal["auto", "json", "console"] = Field(
        default="auto", description="`auto`: `console` on a terminal, else `json`."
    )
