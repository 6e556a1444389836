"""Budget rules, and the ledger of one run: every call that costs something is an entry in it.

Prices are injected (`PriceOf`). A call is reserved at its worst case and settled at its actual
cost, so a cap is exceeded by the estimation error of one call at most.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum
from typing import TypeAlias

from foliotrace.errors import BudgetExceeded, Unavailable
from foliotrace.model import Usage
from foliotrace.ports import Vector

ZERO = Decimal(0)
NO_USAGE = Usage()


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """US dollars per token. Without `cached_input_usd`, cached prompt tokens cost `input_usd`."""

    input_usd: Decimal
    output_usd: Decimal
    cached_input_usd: Decimal | None = None


PriceOf: TypeAlias = Callable[[str], Price | None]
"""Model name -> its price, or None if no table lists it."""


class UnknownPrice(StrEnum):
    """How to price a model that no table lists."""

    DENY = "deny"
    DEAREST = "dearest"  # as the most expensive known model: safe, and still usable
    FREE = "free"


HIGHEST_LLM_PRICE = Price(input_usd=Decimal("0.00015"), output_usd=Decimal("0.0006"))
"""150 and 600 US dollars per million tokens: no listed model costs more (genai-prices, 2026-11)."""

HIGHEST_EMBEDDING_PRICE = Price(input_usd=Decimal("0.000001"), output_usd=ZERO)
"""1 US dollar per million tokens: no listed embedding model costs more (genai-prices, 2026-11)."""

ZERO_PRICE = Price(input_usd=ZERO, output_usd=ZERO)
"""For models that the operator runs."""

SET_A_PRICE = (
    "Set its price in budget.prices, or `free = true` for a model that runs on your own machines;"
    " budget.unknown_price decides about the others."
)


RAISE_THE_CAP = (
    "Raise budget.max_cost_per_query_usd or budget.max_cost_per_job_usd, or use a cheaper model."
)


def price_for(
    model: str, price_of: PriceOf, policy: UnknownPrice, *, highest_price: Price = HIGHEST_LLM_PRICE
) -> Price:
    """The price to use. Raises BudgetExceeded if it is unknown and the policy denies that."""
    price = price_of(model)
    if price is not None:
        return price
    if policy is UnknownPrice.FREE:
        return ZERO_PRICE
    if policy is UnknownPrice.DEAREST:
        return highest_price
    raise BudgetExceeded(
        f"The price of model {model} is unknown.",
        hint=SET_A_PRICE,
    )


def to_micro_usd(amount_usd: Decimal) -> int:
    """Whole micro-dollars, rounded up, so that rounding never exceeds a cap."""
    return int((amount_usd * 1_000_000).to_integral_value(rounding=ROUND_CEILING))


def max_tokens_of_text(text: str) -> int:
    """An upper bound for ordinary text: one token per 3 bytes of UTF-8 (English has about 4)."""
    return max_tokens_of_bytes(len(text.encode()))


def max_tokens_of_bytes(text_bytes: int) -> int:
    """The same for a text of this length."""
    return text_bytes // 3 + 8


def cost_usd(usage: Usage, price: Price) -> Decimal:
    """The cost of the tokens in `usage`."""
    cached_usd = price.input_usd if price.cached_input_usd is None else price.cached_input_usd
    uncached = usage.prompt_tokens + usage.embedding_tokens - usage.cached_tokens
    return (
        uncached * price.input_usd
        + usage.cached_tokens * cached_usd
        + usage.completion_tokens * price.output_usd
    )


_BYTES_PER_TOKEN = 4  # of English text, before the model has reported a count of its own


@dataclass(slots=True)
class TokenEstimate:
    """Counts tokens where a provider does not: by the bytes per token that it reported before."""

    bytes_seen: int = 0
    tokens_seen: int = 0

    def learn(self, text_bytes: int, tokens: int) -> None:
        """A reported count for a text of this length."""
        self.bytes_seen += text_bytes
        self.tokens_seen += tokens

    def of(self, text_bytes: int) -> int:
        """The tokens of a text of this length, to the nearest: rounding up would add up."""
        if not self.bytes_seen or not self.tokens_seen:
            return round(text_bytes / _BYTES_PER_TOKEN)
        return round(text_bytes * self.tokens_seen / self.bytes_seen)


def worst_case_usd(prompt_tokens: int, max_tokens: int, price: Price) -> Decimal:
    """The cost of a call that uses every token it may."""
    return prompt_tokens * price.input_usd + max_tokens * price.output_usd


def affordable_tokens(
    left_usd: Decimal, *, prompt_tokens: int, max_tokens: int, price: Price
) -> int:
    """How many of `max_tokens` output tokens `left_usd` pays for; 0 if not even the prompt."""
    left_usd -= prompt_tokens * price.input_usd
    if left_usd < 0:
        return 0
    if price.output_usd == 0:
        return max_tokens
    return min(max_tokens, int(left_usd / price.output_usd))


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetState:
    """What one run may spend, has spent and has reserved, in US dollars."""

    cap_usd: Decimal
    spent_usd: Decimal = ZERO
    reserved_usd: Decimal = ZERO

    @property
    def left_usd(self) -> Decimal:
        """What may still be reserved; never negative."""
        return max(ZERO, self.cap_usd - self.spent_usd - self.reserved_usd)

    def reserve(self, amount_usd: Decimal) -> "BudgetState":
        """Reserve an amount. Raises BudgetExceeded if less is left."""
        if amount_usd > self.left_usd:
            raise BudgetExceeded(
                f"The next call could exceed the {self.cap_usd} USD that this run may spend.",
                hint=RAISE_THE_CAP,
            )
        return replace(self, reserved_usd=self.reserved_usd + amount_usd)

    def settle(self, reserved_usd: Decimal, actual_usd: Decimal) -> "BudgetState":
        """Replace a reservation by what was spent."""
        return replace(
            self,
            reserved_usd=self.reserved_usd - reserved_usd,
            spent_usd=self.spent_usd + actual_usd,
        )


class CallKind(StrEnum):
    """What was called."""

    LLM = "llm"
    EMBEDDING = "embedding"
    PARSE = "parse"
    EXTRACT = "extract"


class CallOutcome(StrEnum):
    """How a call ended, which decides what it is charged."""

    ANSWERED = "answered"  # as reported, or as counted here
    ABANDONED = "abandoned"  # its stream broke off or lost its reader: what had come
    UNKNOWN = "unknown"  # timed out, cancelled, reply lost: the worst case
    FAILED = "failed"  # nothing
    REFUSED = "refused"  # by a budget, before it was sent: nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One call and what it was charged; `usage` includes the cost."""

    kind: CallKind
    model: str
    outcome: CallOutcome
    usage: Usage = NO_USAGE


@dataclass(slots=True)
class RunLedger:
    """The entries of one run of a tenant; answer, record, audit and events read `usage`.

    `usage` starts with what earlier steps of the same job have spent. `query_vectors` holds the
    vector of each question, or the failure, so that it is asked for once.
    """

    tenant: str
    state: BudgetState
    usage: Usage = NO_USAGE
    entries: list[LedgerEntry] = field(default_factory=list)
    query_vectors: dict[tuple[str, str], Vector | Unavailable] = field(default_factory=dict)

    def record(self, entry: LedgerEntry) -> None:
        """Add an entry."""
        self.entries.append(entry)
        self.usage = self.usage.plus(entry.usage)


_current: ContextVar[RunLedger | None] = ContextVar("foliotrace_run_ledger", default=None)
UNLIMITED_USD = Decimal("Infinity")


def current_run() -> RunLedger | None:
    """The ledger of the run that is going on, if one is."""
    return _current.get()


@contextmanager
def open_run(
    tenant: str, cap_usd: Decimal | None, *, before: Usage = NO_USAGE
) -> Iterator[RunLedger]:
    """Charge every call inside to one run with this cap; `before` is what it has spent already."""
    cap_usd = UNLIMITED_USD if cap_usd is None else cap_usd
    run = RunLedger(tenant, BudgetState(cap_usd=cap_usd, spent_usd=before.cost_usd), before)
    token = _current.set(run)
    try:
        yield run
    finally:
        _current.reset(token)
