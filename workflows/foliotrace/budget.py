"""Rules of money: what a call may cost at worst, what it did cost, what may still be spent. Pure.

Prices are injected (`PriceOf`). A call is reserved at its worst case and settled at its real cost,
so a cap is passed by one call's estimation error at most.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum
from typing import TypeAlias

from foliotrace.errors import BudgetExceeded
from foliotrace.model import Usage

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """US dollars a token."""

    input_usd: Decimal
    output_usd: Decimal


PriceOf: TypeAlias = Callable[[str], Price | None]
"""model name -> its price, or None when it is in no table."""


class UnknownPrice(StrEnum):
    """What to do with a model that has no price."""

    DENY = "deny"
    DEAREST = "dearest"  # as the dearest known model: safe, and still usable
    FREE = "free"


DEAREST = Price(input_usd=Decimal("0.00015"), output_usd=Decimal("0.0006"))
"""150 and 600 US dollars per million tokens: no listed model is dearer (genai-prices, 2026-11)."""

DEAREST_EMBEDDING = Price(input_usd=Decimal("0.000001"), output_usd=ZERO)
"""1 US dollar per million tokens: no listed embedding model is dearer (genai-prices, 2026-11)."""

NOTHING = Price(input_usd=ZERO, output_usd=ZERO)
"""Of a model that its operator runs."""

SET_A_PRICE = (
    "Give its price in budget.prices, or set `free = true` beside a model that runs on your own"
    " machines; budget.unknown_price says what becomes of the others."
)


def price_for(
    model: str, price_of: PriceOf, policy: UnknownPrice, *, dearest: Price = DEAREST
) -> Price:
    """The price to reckon with. Raises BudgetExceeded when it is unknown and that is denied."""
    price = price_of(model)
    if price is not None:
        return price
    if policy is UnknownPrice.FREE:
        return NOTHING
    if policy is UnknownPrice.DEAREST:
        return dearest
    raise BudgetExceeded(
        f"the price of model {model} is unknown",
        hint=SET_A_PRICE,
    )


def to_micro_usd(amount_usd: Decimal) -> int:
    """Whole micro-dollars, rounded up: a cap is never passed by rounding."""
    return int((amount_usd * 1_000_000).to_integral_value(rounding=ROUND_CEILING))


def tokens_at_most(text: str) -> int:
    """A bound from above for ordinary text: a token a 3 bytes of UTF-8 (English has about 4)."""
    return len(text.encode()) // 3 + 8


def cost_usd(usage: Usage, price: Price) -> Decimal:
    """What `usage` costs."""
    return usage.prompt_tokens * price.input_usd + usage.completion_tokens * price.output_usd


def worst_case_usd(prompt_tokens: int, max_tokens: int, price: Price) -> Decimal:
    """What a call can cost when it uses every token it may."""
    return prompt_tokens * price.input_usd + max_tokens * price.output_usd


def affordable_tokens(
    left_usd: Decimal, *, prompt_tokens: int, max_tokens: int, price: Price
) -> int:
    """How many of `max_tokens` output tokens `left_usd` pays for; 0 when not even the prompt."""
    left_usd -= prompt_tokens * price.input_usd
    if left_usd < 0:
        return 0
    if price.output_usd == 0:
        return max_tokens
    return min(max_tokens, int(left_usd / price.output_usd))


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetState:
    """What one query may spend, has spent and has set aside, in US dollars."""

    cap_usd: Decimal
    spent_usd: Decimal = ZERO
    reserved_usd: Decimal = ZERO

    @property
    def left_usd(self) -> Decimal:
        """What may still be set aside; never negative."""
        return max(ZERO, self.cap_usd - self.spent_usd - self.reserved_usd)

    def reserve(self, amount_usd: Decimal) -> "BudgetState":
        """Set aside. Raises BudgetExceeded when there is not enough left."""
        if amount_usd > self.left_usd:
            raise BudgetExceeded(
                f"this query may spend {self.cap_usd} USD and the next call could pass that",
                hint="Raise budget.max_cost_per_query_usd, or use a cheaper model.",
            )
        return replace(self, reserved_usd=self.reserved_usd + amount_usd)

    def settle(self, reserved_usd: Decimal, actual_usd: Decimal) -> "BudgetState":
        """Replace what was set aside by what was spent."""
        return replace(
            self,
            reserved_usd=self.reserved_usd - reserved_usd,
            spent_usd=self.spent_usd + actual_usd,
        )
