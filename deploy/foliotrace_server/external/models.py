"""Language models in their order, each behind its guard and metered."""

from collections.abc import Callable, Sequence

import httpx
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.llms import LLM

from foliotrace.adapters.llamaindex.embedder import LlamaIndexEmbedder
from foliotrace.adapters.llamaindex.generator import keep_reply
from foliotrace.adapters.llamaindex.providers import ModelAccess, embedding_model, language_model
from foliotrace.adapters.local.prices import PriceTable
from foliotrace.budget import HIGHEST_EMBEDDING_PRICE, ZERO_PRICE, CallKind, PriceOf
from foliotrace.errors import Misconfigured
from foliotrace.ports import BudgetLedger, Clock, Embedder, TextGenerator
from foliotrace.resilient import (
    EmbedOncePerQuery,
    GuardFactory,
    Meter,
    MeteredEmbedder,
    ResilientEmbedder,
)
from foliotrace.stack import resilient_generator
from foliotrace_server.external.own_parts import OwnParts, load_object
from foliotrace_server.observing.trace_context import add_traceparent
from foliotrace_server.sections import EmbeddingSettings, LLMSettings
from foliotrace_server.settings import Settings


class Models:
    """The models of a process. `ledger` is called once, when there is something to pay for."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock,
        guards: GuardFactory,
        ledger: Callable[[], BudgetLedger],
        parts: OwnParts,
        prices: PriceTable | None = None,
    ) -> None:
        self._parts = parts
        self._settings = settings
        self._clock = clock
        self._guards = guards
        self._http = httpx.AsyncClient(
            event_hooks={
                "request": [add_traceparent] if settings.telemetry.carry_trace else [],
                "response": [keep_reply],
            }
        )
        self._prices = prices or PriceTable(settings.own_prices)
        self._ledger = ledger
        self._open_ledger: BudgetLedger | None = None
        self.generators = self._order()
        self.embedder = self._embedder()

    def _order(self) -> Sequence[TextGenerator]:
        first = self._settings.llm
        if first is None:
            if self._settings.llm_fallbacks:
                raise Misconfigured("llm_fallbacks are set without llm", hint="Set llm first.")
            return ()
        order = (first, *self._settings.llm_fallbacks)
        return tuple(
            self._generator(llm, position, is_last=position + 1 == len(order))
            for position, llm in enumerate(order)
        )

    def _generator(self, llm: LLMSettings, position: int, *, is_last: bool) -> TextGenerator:
        setting = "llm.model" if position == 0 else f"llm_fallbacks.{position - 1}.model"
        model, name = self._language_model(llm, setting)
        guard = self._guards.make(
            f"llm_{position + 1}", limit_s=llm.timeout_s, has_lower_rung=not is_last
        )
        return resilient_generator(
            model,
            guard,
            clock=self._clock,
            price_of=self._price_of(llm),
            ledger=self._ledger_of_all(),
            unknown_price=self._settings.budget.unknown_price,
            model=name,
            health=self._parts.health(setting) if llm.provider == "import" else None,
        )

    def _language_model(self, llm: LLMSettings, setting: str) -> tuple[LLM, str]:
        """(the model, the name it is charged and reported by)."""
        if llm.provider == "import":
            own = load_object(setting, llm.model, LLM)  # type: ignore[type-abstract] # only for isinstance
            return own, own.metadata.model_name
        access = ModelAccess(
            provider=llm.provider,
            model=llm.model,
            api_base=llm.api_base,
            api_key=self._key(llm),
            timeout_s=llm.timeout_s,
            context_window=llm.context_window,
        )
        return language_model(access, self._http), llm.model

    def _embedder(self) -> Embedder | None:
        embedding = self._settings.embedding
        if embedding is None:
            return None
        adapter = LlamaIndexEmbedder(
            self._embedding_model(embedding),
            clock=self._clock,
            model=embedding.model,
            health=self._parts.health("embedding.model")
            if embedding.provider == "import"
            else None,
        )
        meter = Meter(
            CallKind.EMBEDDING,
            ledger=self._ledger_of_all,
            price_of=self._price_of(embedding),
            unknown=self._settings.budget.unknown_price,
            highest_price=HIGHEST_EMBEDDING_PRICE,
        )
        metered = MeteredEmbedder(adapter, meter)
        guard = self._guards.make("embedder", limit_s=embedding.timeout_s)
        return EmbedOncePerQuery(ResilientEmbedder(metered, guard))

    def _ledger_of_all(self) -> BudgetLedger:
        """One ledger for all models, opened for the first that costs something."""
        if self._open_ledger is None:
            self._open_ledger = self._ledger()
        return self._open_ledger

    def _embedding_model(self, embedding: EmbeddingSettings) -> BaseEmbedding:
        if embedding.provider == "import":
            return load_object("embedding.model", embedding.model, BaseEmbedding)  # type: ignore[type-abstract] # only for isinstance
        access = ModelAccess(
            provider=embedding.provider,
            model=embedding.model,
            api_base=embedding.api_base,
            api_key=self._key(embedding),
            timeout_s=embedding.timeout_s,
        )
        return embedding_model(access, self._http)

    def _price_of(self, model: LLMSettings | EmbeddingSettings) -> PriceOf:
        """Nothing for a model that runs at home, else the user's price or the table's."""
        return (lambda _: ZERO_PRICE) if self._settings.costs_nothing(model) else self._prices

    def _key(self, model: LLMSettings | EmbeddingSettings) -> str | None:
        standard = {
            "openai": self._settings.openai_api_key,
            "anthropic": self._settings.anthropic_api_key,
        }
        key = model.api_key or standard.get(model.provider)
        if key is None and model.provider in standard:
            raise Misconfigured(
                f"provider {model.provider} has no key",
                hint=f"Set llm.api_key or {model.provider.upper()}_API_KEY.",
            )
        return key.get_secret_value() if key else None

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()
