"""Language models in their order: each an adapter, paid for, and behind its guard."""

from collections.abc import Callable, Sequence
from decimal import Decimal

import httpx
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.llms import LLM

from foliotrace.adapters.llamaindex.embedding import LlamaIndexEmbedder
from foliotrace.adapters.llamaindex.llm import LlamaIndexGenerator
from foliotrace.adapters.llamaindex.providers import ModelAccess, embedding_model, language_model
from foliotrace.adapters.local.prices import PriceTable
from foliotrace.budget import NOTHING, Price, PriceOf
from foliotrace.errors import Misconfigured
from foliotrace.ports import BudgetLedger, Clock, Embedder, TextGenerator
from foliotrace.resilient import (
    EmbedOncePerQuery,
    MeteredEmbedder,
    MeteredGenerator,
    ResilientEmbedder,
    ResilientGenerator,
)
from foliotrace.settings import PriceSettings
from foliotrace_server.composing.guards import GuardFactory
from foliotrace_server.composing.plugged import plugged
from foliotrace_server.observing.trace_context import add_traceparent
from foliotrace_server.sections import EmbeddingSettings, LLMSettings
from foliotrace_server.settings import Settings

_MILLION = Decimal(1_000_000)


class Models:
    """The models of a process. `ledger` is opened only when there is something to pay for."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock,
        guards: GuardFactory,
        ledger: Callable[[], BudgetLedger],
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._guards = guards
        self._http = httpx.AsyncClient(
            event_hooks={"request": [add_traceparent] if settings.telemetry.carry_trace else []}
        )
        self._prices = PriceTable({n: price_of(p) for n, p in settings.budget.prices.items()})
        self._ledger = ledger
        self._kept_ledger: BudgetLedger | None = None
        self.generators = self._order()
        self.embedder = self._embedder()

    def _order(self) -> Sequence[TextGenerator]:
        first = self._settings.llm
        if first is None:
            if self._settings.llm_fallbacks:
                raise Misconfigured("llm_fallbacks are set without llm", hint="Set llm first.")
            return ()
        order = (first, *self._settings.llm_fallbacks)
        ledger = self._opened_ledger()
        return tuple(
            self._generator(given, place, ledger, is_last=place + 1 == len(order))
            for place, given in enumerate(order)
        )

    def _generator(
        self, given: LLMSettings, place: int, ledger: BudgetLedger, *, is_last: bool
    ) -> TextGenerator:
        model, name = self._language_model(given, place)
        metered = MeteredGenerator(
            LlamaIndexGenerator(model, clock=self._clock, model=name),
            price_of=self._price_of(given),
            ledger=ledger,
            unknown=self._settings.budget.unknown_price,
        )
        dependency = f"llm_{place + 1}"
        guard = self._guards.make(dependency, limit_s=given.timeout_s, has_lower_rung=not is_last)
        return ResilientGenerator(metered, guard)

    def _language_model(self, given: LLMSettings, place: int) -> tuple[LLM, str]:
        """(the model, the name it is paid and shown by)."""
        if given.provider == "import":
            setting = "llm.model" if place == 0 else f"llm_fallbacks.{place - 1}.model"
            own = plugged(setting, given.model, LLM)  # type: ignore[type-abstract]
            return own, own.metadata.model_name
        access = ModelAccess(
            provider=given.provider,
            model=given.model,
            api_base=given.api_base,
            api_key=self._key(given),
            timeout_s=given.timeout_s,
            context_window=given.context_window,
        )
        return language_model(access, self._http), given.model

    def _embedder(self) -> Embedder | None:
        given = self._settings.embedding
        if given is None:
            return None
        adapter = LlamaIndexEmbedder(
            self._embedding_model(given), clock=self._clock, model=given.model
        )
        metered = MeteredEmbedder(
            adapter,
            price_of=self._price_of(given),
            ledger=self._opened_ledger,
            unknown=self._settings.budget.unknown_price,
        )
        guard = self._guards.make("embedder", limit_s=given.timeout_s)
        return EmbedOncePerQuery(ResilientEmbedder(metered, guard))

    def _opened_ledger(self) -> BudgetLedger:
        """One ledger for all models, opened by the first that costs something."""
        if self._kept_ledger is None:
            self._kept_ledger = self._ledger()
        return self._kept_ledger

    def _embedding_model(self, given: EmbeddingSettings) -> BaseEmbedding:
        if given.provider == "import":
            return plugged("embedding.model", given.model, BaseEmbedding)  # type: ignore[type-abstract]
        access = ModelAccess(
            provider=given.provider,
            model=given.model,
            api_base=given.api_base,
            api_key=self._key(given),
            timeout_s=given.timeout_s,
        )
        return embedding_model(access, self._http)

    def _price_of(self, given: LLMSettings | EmbeddingSettings) -> PriceOf:
        """Nothing for a model that was declared free, else what the table and the operator say."""
        return (lambda model: NOTHING) if given.free else self._prices

    def _key(self, given: LLMSettings | EmbeddingSettings) -> str | None:
        standard = {
            "openai": self._settings.openai_api_key,
            "anthropic": self._settings.anthropic_api_key,
        }
        key = given.api_key or standard.get(given.provider)
        if key is None and given.provider in standard:
            raise Misconfigured(
                f"provider {given.provider} has no key",
                hint=f"Set llm.api_key or {given.provider.upper()}_API_KEY.",
            )
        return key.get_secret_value() if key else None

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()


def price_of(given: PriceSettings) -> Price:
    """US dollars a token."""
    return Price(
        input_usd=given.input_usd_per_million / _MILLION,
        output_usd=given.output_usd_per_million / _MILLION,
    )
