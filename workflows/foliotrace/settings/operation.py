"""What operating the service takes: money, retries and the store of runs."""

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import Field

from foliotrace.budget import Price, UnknownPrice
from foliotrace.resilience import BreakerPolicy, RetryPolicy
from foliotrace.settings.section import Section

Money: TypeAlias = Annotated[Decimal, Field(ge=0)]

_MILLION: Final = Decimal(1_000_000)


class PriceSettings(Section):
    """What a model costs, in US dollars per million tokens."""

    input_usd_per_million: Decimal = Field(ge=0, description="Prompt tokens.")
    output_usd_per_million: Decimal = Field(ge=0, description="Completion tokens.")
    cached_input_usd_per_million: Decimal | None = Field(
        default=None, ge=0, description="Cached prompt tokens. None: as the other prompt tokens."
    )

    @property
    def per_token(self) -> Price:
        """US dollars per token."""
        return Price(
            input_usd=self.input_usd_per_million / _MILLION,
            output_usd=self.output_usd_per_million / _MILLION,
            cached_input_usd=None
            if self.cached_input_usd_per_million is None
            else self.cached_input_usd_per_million / _MILLION,
        )


class BudgetSettings(Section):
    """Limits on spending for models and LlamaCloud."""

    max_cost_per_query_usd: Money = Field(
        default=Decimal("0.10"), description="Limit for one question, in US dollars."
    )
    max_cost_per_job_usd: Money | None = Field(
        default=Decimal(5),
        description="Limit for one ingestion or extraction, LlamaCloud credits included, in US "
        "dollars. None: none.",
    )
    usd_per_credit: Money = Field(
        default=Decimal("0.00125"), description="Price of a LlamaCloud credit, in US dollars."
    )
    daily_usd_per_tenant: Money | None = Field(
        default=None, description="Limit for one tenant and day (UTC), in US dollars. None: none."
    )
    unknown_price: UnknownPrice = Field(
        default=UnknownPrice.DEAREST,
        description="How to treat a model that no price table lists: refuse it, charge it as the "
        "most expensive known model, or treat it as free. Mark a model of your own with "
        "`llm.free`.",
    )
    prices: dict[str, PriceSettings] = Field(
        default_factory=dict, description="Your prices by model name; they override the table."
    )


class ResilienceSettings(Section):
    """How calls to a failing service are retried and stopped; one breaker for each service."""

    attempts: int = Field(
        default=3, ge=1, le=10, description="Requests of one call, the first one included."
    )
    first_wait_s: float = Field(
        default=4.0,
        ge=0,
        description="Base of the wait before the first retry, of which half is random.",
    )
    longest_wait_s: float = Field(
        default=60.0,
        ge=0,
        description="Cap of the doubling wait between retries; Retry-After may exceed it.",
    )
    breaker_failures: int = Field(
        default=3, ge=1, description="Consecutive failed calls that open the circuit breaker."
    )
    breaker_rest_s: float = Field(
        default=5.0,
        gt=0,
        description="How long the breaker stays open at first; doubled while probes fail.",
    )
    breaker_longest_rest_s: float = Field(
        default=120.0, gt=0, description="How long the breaker stays open at most."
    )
    calls_at_once: int = Field(default=32, gt=0, description="Concurrent calls to one service.")

    def retry(self, *, attempts: int | None = None) -> RetryPolicy:
        """The retry rule; `attempts` overrides the setting."""
        return RetryPolicy(
            attempts=attempts or self.attempts,
            base_s=self.first_wait_s,
            cap_s=self.longest_wait_s,
        )

    @property
    def breaker(self) -> BreakerPolicy:
        """The breaker rule."""
        return BreakerPolicy(
            failures=self.breaker_failures,
            rest_s=self.breaker_rest_s,
            cap_s=self.breaker_longest_rest_s,
        )


class RunsSettings(Section):
    """What is stored about runs."""

    keep_content: Literal["off", "redacted", "encrypted"] = Field(
        default="off",
        description="The texts of questions and answers in their runs. `off`: not stored. "
        "`redacted`: stored without personal data and keys. `encrypted`: stored whole, under "
        "`content_key_file`.",
    )
    content_key_file: Path | None = Field(
        default=None,
        description="File with the key of `encrypted`; made if it is missing. None: "
        "`run-content.key` in the data folder, which backups leave out.",
    )
    project: str = Field(
        default="default",
        pattern=r"^[A-Za-z0-9_.-]{1,64}$",
        description="Project of runs whose metadata names none as `project`.",
    )
    retention_days: float = Field(
        default=30.0,
        gt=0,
        description="Runs, their feedback and finished handlers are deleted after this time.",
    )
    retention_days_by_project: dict[str, float] = Field(
        default_factory=dict, description="The same for the runs of single projects."
    )
