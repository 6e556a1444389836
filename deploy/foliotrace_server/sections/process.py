"""The process: its address, limits and quotas, and Redis."""

from ipaddress import ip_network
from pathlib import Path

from pydantic import Field, SecretStr, field_validator

from foliotrace.settings import Section

_MIB = 1024 * 1024


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


class RedisSettings(Section):
    """A Redis server that several processes share."""

    url: SecretStr | None = Field(
        default=None,
        description="`redis://...` or `unix://...`: answers and budgets are then kept there, "
        "not in the process and its data folder.",
    )
    timeout_s: float = Field(default=0.5, gt=0, description="Time limit of one command.")
