"""Settings of what lies outside the process: LlamaCloud, money, Redis, and how failures are met."""

from decimal import Decimal
from typing import Annotated, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

Where: TypeAlias = Literal["local", "cloud", "cloud_then_local"]


class Section(BaseModel):
    """A part of the tree: frozen, and refusing names it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CloudSettings(Section):
    """LlamaCloud. Nothing is sent there before a capability is switched to it."""

    api_key: SecretStr | None = Field(
        default=None, description="Key; without it `LLAMA_CLOUD_API_KEY` is used."
    )
    where: str = Field(
        default="us", description="Region (`us`, `eu`) or base URL; keys belong to a region."
    )
    project_id: str | None = Field(default=None, description="Project that everything lands in.")
    organization_id: str | None = Field(default=None, description="Organization of the project.")
    timeout_s: float = Field(default=60.0, gt=0, description="Time for one request.")
    parsing: Where = Field(
        default="local",
        description="Who reads PDF, DOCX, PPTX and images. `cloud_then_local` falls back page by "
        "page; with `cloud` a page that LlamaParse cannot read stays unread.",
    )
    extraction: Where = Field(
        default="local",
        description="Who fills schemas. `cloud_then_local` falls back to the language model and "
        "the rules.",
    )
    index: Where = Field(
        default="local",
        description="Who retrieves. With `cloud_then_local` the local index answers when the "
        "managed one cannot; with `cloud` it is kept, and not asked.",
    )
    parse_tier: Literal["fast", "cost_effective", "agentic", "agentic_plus"] = Field(
        default="cost_effective", description="LlamaParse tier."
    )
    parse_version: str | None = Field(
        default=None, description="LlamaParse version; the one pinned for the tier by default."
    )
    custom_prompt: str | None = Field(
        default=None, description="What LlamaParse is told to mind; not for tier `fast`."
    )
    languages: tuple[str, ...] = Field(default=(), description="Languages for OCR.")
    extract_tier: Literal["cost_effective", "agentic", "agentic_plus", "turbo"] = Field(
        default="cost_effective", description="LlamaExtract tier."
    )
    extract_version: str = Field(default="latest", description="LlamaExtract version.")
    extract_window_pages: int = Field(
        default=20,
        ge=1,
        le=500,
        description="Pages of one LlamaExtract job; a longer document is extracted in windows "
        "whose records are merged. Types without pages (text, sheets, DOCX) go whole.",
    )
    disable_cache: bool = Field(
        default=False, description="Keep LlamaParse from reusing and keeping results."
    )
    delete_after_use: bool = Field(
        default=False,
        description="Delete file and result in the cloud as soon as they have served. Not "
        "together with the managed index, which lives of its files.",
    )
    webhook_secret: SecretStr | None = Field(
        default=None,
        description="Secret that LlamaCloud signs webhooks with; opens `POST /v1/webhooks/"
        "llamacloud`, which ends waiting early.",
    )
    webhook_url: str | None = Field(
        default=None,
        description="Public address of that route (`https://.../v1/webhooks/llamacloud`). Each "
        "billed job asks LlamaCloud to post its end there; asking for it becomes the fallback.",
    )

    @property
    def in_use(self) -> bool:
        """Whether any capability is switched to the cloud."""
        return {self.parsing, self.extraction, self.index} != {"local"}

    @model_validator(mode="after")
    def _consistent(self) -> "CloudSettings":
        if self.delete_after_use and self.index != "local":
            raise ValueError("delete_after_use would take the managed index its files")
        if self.custom_prompt and self.parse_tier == "fast":
            raise ValueError("custom_prompt has no meaning in tier fast: take another tier")
        if self.webhook_url is not None:
            parts = urlsplit(self.webhook_url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError("webhook_url is no http(s) address")
            if self.webhook_secret is None:
                raise ValueError("webhook_url needs webhook_secret: unsigned events are refused")
        return self


class PriceSettings(Section):
    """What a model costs, in US dollars for a million tokens."""

    input_usd_per_million: Decimal = Field(ge=0, description="Prompt tokens.")
    output_usd_per_million: Decimal = Field(ge=0, description="Completion tokens.")


Money: TypeAlias = Annotated[Decimal, Field(ge=0)]


class BudgetSettings(Section):
    """What may be spent on language models."""

    max_cost_per_query_usd: Money = Field(
        default=Decimal("0.10"), description="Cap of one question or extraction, in US dollars."
    )
    daily_usd_per_tenant: Money | None = Field(
        default=None, description="Cap of one tenant's day (UTC), in US dollars. None: no cap."
    )
    unknown_price: Literal["deny", "dearest", "free"] = Field(
        default="dearest",
        description="A model, of whatever provider, that no price table knows: refused, reckoned "
        "as the dearest known model, or taken to be free. One of your own is declared with "
        "`llm.free`.",
    )
    prices: dict[str, PriceSettings] = Field(
        default_factory=dict, description="Your prices by model name; they win over the table."
    )


class RedisSettings(Section):
    """A Redis server shared by several processes."""

    url: SecretStr | None = Field(
        default=None,
        description="`redis://...` or `unix://...`; answers and budgets are then kept there "
        "rather than in the process and its data folder.",
    )
    timeout_s: float = Field(default=0.5, gt=0, description="Time for one command.")


class GuardSettings(Section):
    """How failing dependencies are met: one layer of retries and a breaker for each."""

    attempts: int = Field(default=3, ge=1, le=10, description="Requests of one logical call.")
    first_wait_s: float = Field(default=4.0, ge=0, description="Wait before the first retry.")
    longest_wait_s: float = Field(default=60.0, ge=0, description="Longest wait between retries.")
    breaker_failures: int = Field(
        default=3, ge=1, description="Failures in a row after which a dependency is left alone."
    )
    breaker_rest_s: float = Field(
        default=5.0, gt=0, description="How long at first; doubled while it keeps failing."
    )
    breaker_longest_rest_s: float = Field(default=120.0, gt=0, description="How long at most.")
    calls_at_once: int = Field(
        default=32, gt=0, description="Calls under way to one dependency at the same time."
    )
