"""The sections that only a server has: the process, secrets, and what observes it.

The other sections are the core's: `foliotrace.settings`.
"""

from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from foliotrace.settings import MODEL_CALL_S, LlamaCloudSettings, Section

_TRACE_URL = r"^https?://\S+\{trace_(id|uuid)\}\S*$"
_MIB = 1024 * 1024
_PRIVATE = tuple(
    ip_network(each)
    for each in (
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "::1/128",
        "fc00::/7",
    )
)


def is_safe_url(url: str) -> bool:
    """Whether keys may be fetched from `url`: by TLS, or from this machine or a private address."""
    return url.startswith("https://") or (url.startswith("http://") and is_private(url))


def is_private(url: str | None) -> bool:
    """Whether the host of `url` is a loopback or private address; names other than localhost no."""
    host = urlsplit(url or "").hostname or ""
    if host == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return any(address in network for network in _PRIVATE)


class ServerSettings(Section):
    """The HTTP service."""

    host: str = Field(default="127.0.0.1", description="Address to bind.")
    port: int = Field(default=8080, ge=0, le=65535, description="Port to bind; 0 takes a free one.")
    allow_remote: bool = Field(
        default=False,
        description="Allow an address other than loopback without any API key: whoever reaches "
        "the port can then read every document. Not needed once a key exists.",
    )
    tls_certificate: Path | None = Field(
        default=None,
        description="PEM file of the certificate and its chain: the service then speaks HTTPS. "
        "SIGHUP has it read again.",
    )
    tls_key: Path | None = Field(
        default=None, description="PEM file of its key. None: in the file of the certificate."
    )
    trusted_proxies: tuple[str, ...] = Field(
        default=(),
        description="Addresses and networks of reverse proxies whose `X-Forwarded-For`, `-Proto` "
        "and `-Host` count, such as `10.0.0.0/8`. On other connections they are ignored.",
    )
    cors_origins: tuple[str, ...] = Field(
        default=(), description="Origins whose pages may call the API from a browser."
    )
    max_body_bytes: int = Field(
        default=1 * _MIB, gt=0, description="Largest request body except uploads, in bytes."
    )
    max_header_bytes: int = Field(
        default=64 * 1024,
        gt=0,
        description="Largest header of a request, in bytes; a larger one is answered with 431.",
    )
    slow_header_s: float = Field(
        default=10.0,
        gt=0,
        description="Time a request's header may take; after it the connection is closed with 408.",
    )
    max_connections: int = Field(
        default=900,
        gt=0,
        description="Open connections; further ones get 429 and are closed. Keep it below the "
        "limit on open files (`ulimit -n`).",
    )
    slow_body_s: float = Field(
        default=20.0,
        gt=0,
        description="Slack for slow uploads: a body of n KiB must arrive within about n seconds "
        "plus this; otherwise the request fails with 408.",
    )
    max_concurrent_queries: int = Field(
        default=64,
        gt=0,
        description="Questions answered concurrently. Keep it above `resilience.calls_at_once`, so "
        "that a service that hangs cannot occupy every slot.",
    )
    max_waiting_queries: int = Field(
        default=128, ge=0, description="Questions that may wait for a slot; further ones get 429."
    )
    max_query_wait_s: float = Field(
        default=5.0,
        gt=0,
        description="How long a question may wait for its turn; one that has waited longer gets "
        "429 before any work is spent on it.",
    )
    max_concurrent_uploads: int = Field(
        default=4, gt=0, description="Uploads received concurrently; further ones get 429."
    )
    max_pending_jobs: int = Field(
        default=1000, gt=0, description="Unfinished jobs; further uploads and extractions get 429."
    )
    max_event_streams: int = Field(
        default=200, gt=0, description="Open event streams; further ones get 429."
    )
    shutdown_grace_s: float = Field(
        default=10.0,
        ge=0,
        description="Time that running requests get to finish when the server stops.",
    )

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, addresses: tuple[str, ...]) -> tuple[str, ...]:
        for each in addresses:
            ip_network(each, strict=False)
        return addresses


class OidcSettings(Section):
    """Bearer tokens of an OpenID Connect provider. Needs `issuer` and `audience`."""

    issuer: str = Field(
        description="The provider, as the claim `iss` of its tokens names it: `https://...`."
    )
    audience: str = Field(
        min_length=1, description="This service, as the claim `aud` of tokens names it."
    )
    jwks_url: str | None = Field(
        default=None,
        description="URL of the provider's keys. None: as `/.well-known/openid-configuration` of "
        "the issuer says.",
    )
    algorithms: tuple[
        Literal[
            "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
        ],
        ...,
    ] = Field(
        default=("RS256", "PS256", "ES256", "EdDSA"),
        min_length=1,
        description="Algorithms of signatures that are accepted.",
    )
    clock_skew_s: float = Field(
        default=60.0, ge=0, le=600, description="How far the provider's clock may be from ours."
    )
    refetch_s: float = Field(
        default=10.0,
        ge=1,
        description="Shortest time between two fetches of the keys because a token names a key "
        "that is not known.",
    )
    tenant: str = Field(
        default="default", description="The tenant of every token, if `tenant_claim` is not set."
    )
    tenant_claim: str | None = Field(
        default=None, description="The claim that names the tenant; tokens without it are refused."
    )
    scopes_claim: str = Field(
        default="scope",
        description="The claim that lists scopes, as a text or an array; `a.b` for `b` inside `a`.",
    )
    scope_prefix: str = Field(
        default="",
        description="What stands before `read`, `ingest`, `extract` and `admin` in that claim.",
    )
    collections_claim: str | None = Field(
        default=None,
        description="The claim that lists the collections a token may use; tokens without it are "
        "refused. None: all collections of the tenant.",
    )

    @model_validator(mode="after")
    def _fetched_safely(self) -> "OidcSettings":
        if not all(map(is_safe_url, (self.issuer, self.jwks_url or self.issuer))):
            raise ValueError("issuer and jwks_url need https, except on private addresses")
        return self


class ProxyAuthSettings(Section):
    """Callers as a reverse proxy names them, which has authenticated them.

    Believed only on connections from `server.trusted_proxies`. The proxy must remove these headers
    from what clients send.
    """

    subject_header: str | None = Field(
        default=None,
        description="The header that names the caller, such as `X-Forwarded-User`. None: no header "
        "is believed.",
    )
    tenant_header: str | None = Field(
        default=None, description="The header that names the tenant. None: `default`."
    )
    scopes_header: str | None = Field(
        default=None,
        description="The header that lists scopes. None: `read`, `ingest` and `extract`.",
    )


class AuthSettings(Section):
    """Who may call the HTTP service."""

    required: Literal["auto", "always"] = Field(
        default="auto",
        description="`auto`: requests need an API key as soon as one was made with `foliotrace "
        "keys create`, or `oidc` or `proxy` is set. `always`: they need one from the start.",
    )
    oidc: OidcSettings | None = Field(
        default=None, description="Bearer tokens of an OpenID Connect provider, beside API keys."
    )
    proxy: ProxyAuthSettings = Field(
        default=ProxyAuthSettings(), description="Callers as a trusted reverse proxy names them."
    )


def _amount_per(number: str) -> str:
    return rf"^{number}/(\d+ )?(second|minute|hour|day|month)s?$"


class QuotaSettings(Section):
    """What one key, or one tenant, may use in a time; None: no limit."""

    requests: str | None = Field(
        default=None,
        pattern=_amount_per(r"[1-9]\d*"),
        description="Requests, such as `600/minute` or `50/10 seconds`; further ones get 429.",
    )
    tokens: str | None = Field(
        default=None,
        pattern=_amount_per(r"[1-9]\d*"),
        description="Tokens of models, such as `2000000/day`. Once they are used, questions and "
        "extractions get 429; the ones that run are finished.",
    )
    pages: str | None = Field(
        default=None,
        pattern=_amount_per(r"[1-9]\d*"),
        description="Pages parsed, such as `10000/day`. Once they are used, uploads get 429.",
    )
    usd: str | None = Field(
        default=None,
        pattern=_amount_per(r"\d+(\.\d+)?"),
        description="US dollars spent on models, such as `5.00/day`. Once they are spent, "
        "questions, uploads and extractions get 429.",
    )


class LimitSettings(Section):
    """Rate limits and quotas of callers, counted in memory, or on Redis if `redis.url` is set."""

    per_key: QuotaSettings = Field(
        default=QuotaSettings(), description="What each key or token subject may use."
    )
    per_tenant: QuotaSettings = Field(
        default=QuotaSettings(), description="What all callers of a tenant together may use."
    )


class LLMSettings(Section):
    """One language model."""

    provider: Literal["openai", "openai_like", "anthropic", "ollama", "import"] = Field(
        description="`openai`; `openai_like` for any server with OpenAI's API (vLLM, LM Studio, "
        "Ollama at `/v1`); `ollama`; `anthropic` (an extra of the same name); `import` for any "
        "LlamaIndex LLM."
    )
    model: str = Field(
        min_length=1,
        description="Name of the model. With `import`: `pkg.mod:object`, an LLM or a function that "
        "returns one.",
    )
    api_base: str | None = Field(default=None, description="Base URL of the API.")
    api_key: SecretStr | None = Field(
        default=None,
        description="API key. None: the provider's standard variable, such as `OPENAI_API_KEY`.",
    )
    timeout_s: float = Field(default=MODEL_CALL_S, gt=0, description="Time limit of one call.")
    context_window: int = Field(
        default=8192, gt=0, description="Context window in tokens, for `openai_like` only."
    )
    free: bool | None = Field(
        default=None,
        description="The model runs on your own machines: its tokens cost nothing, even if a price "
        "table lists its name. None: true for `ollama` and `openai_like` on a loopback or private "
        "address, unless `budget.prices` names the model. Set it to false for a proxy to a "
        "provider that costs money.",
    )

    @property
    def runs_at_home(self) -> bool:
        """Whether the model is served from a loopback or private address."""
        if self.provider == "ollama" and self.api_base is None:
            return True
        return self.provider in ("ollama", "openai_like") and is_private(self.api_base)


class EmbeddingSettings(Section):
    """The embedding model; without one, retrieval is by keyword."""

    provider: Literal["openai", "openai_like", "import"] = Field(
        description="`openai`; `openai_like` for any server with OpenAI's API; `import` for any "
        "LlamaIndex embedding."
    )
    model: str = Field(
        min_length=1,
        description="Name of the model. With `import`: `pkg.mod:object`, an embedding or a "
        "function that returns one.",
    )
    api_base: str | None = Field(default=None, description="Base URL of the API.")
    api_key: SecretStr | None = Field(
        default=None,
        description="API key. None: the provider's standard variable, such as `OPENAI_API_KEY`.",
    )
    timeout_s: float = Field(default=MODEL_CALL_S, gt=0, description="Time limit of one call.")
    free: bool | None = Field(
        default=None,
        description="The model runs on your own machines: its tokens cost nothing. None: true for "
        "`openai_like` on a loopback or private address, unless `budget.prices` names the model.",
    )

    @property
    def runs_at_home(self) -> bool:
        """Whether the model is served from a loopback or private address."""
        return self.provider == "openai_like" and is_private(self.api_base)


class LlamaCloudSection(LlamaCloudSettings):
    """LlamaCloud with its secrets."""

    api_key: SecretStr | None = Field(
        default=None, description="API key. None: the variable `LLAMA_CLOUD_API_KEY`."
    )
    webhook_secret: SecretStr | None = Field(
        default=None,
        description="Secret that LlamaCloud signs webhooks with. Enables `POST /v1/webhooks/"
        "llamacloud`, which ends polling early.",
    )

    @model_validator(mode="after")
    def _signed(self) -> "LlamaCloudSection":
        if self.webhook_url is not None and self.webhook_secret is None:
            raise ValueError("webhook_url needs webhook_secret: unsigned events are refused")
        return self


class RedisSettings(Section):
    """A Redis server that several processes share."""

    url: SecretStr | None = Field(
        default=None,
        description="`redis://...` or `unix://...`: answers and budgets are then kept there, "
        "not in the process and its data folder.",
    )
    timeout_s: float = Field(default=0.5, gt=0, description="Time limit of one command.")


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
