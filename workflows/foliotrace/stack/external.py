"""Services outside the data folder that a host has connected to, each behind its guard."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from foliotrace.budget import PriceOf, UnknownPrice
from foliotrace.ports import AnswerCache, BudgetLedger, Clock, Embedder, TextGenerator
from foliotrace.query.retrieve.paths import RetrievalPath
from foliotrace.resilient import CircuitGuard, MeteredGenerator, ResilientGenerator

if TYPE_CHECKING:
    from llama_index.core.llms import LLM

    from foliotrace.stack.cloud_services import CloudServices


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalServices:
    """What the settings enable beyond the data folder. `generators` are in order of preference.

    `retriever` is the user's own retrieval path, tried before all others. `cache` may be in this
    process or shared. `closing` is awaited, in order, when the stack closes.
    """

    generators: Sequence[TextGenerator] = ()
    embedder: Embedder | None = None
    retriever: RetrievalPath | None = None
    cache: AnswerCache | None = None
    cloud: "CloudServices | None" = None
    closing: Sequence[Callable[[], Awaitable[None]]] = ()


def resilient_generator(
    llm: "LLM",
    guard: CircuitGuard,
    *,
    clock: Clock,
    price_of: PriceOf,
    ledger: BudgetLedger,
    unknown_price: UnknownPrice,
    model: str | None = None,
) -> TextGenerator:
    """A LlamaIndex LLM whose calls are guarded and charged. `model`: the name it is charged by.

    The guard is outermost: each of its retries is reserved and settled by itself.
    """
    from foliotrace.adapters.llamaindex.llm import LlamaIndexGenerator  # imports LlamaIndex

    generator = LlamaIndexGenerator(llm, clock=clock, model=model)
    metered = MeteredGenerator(generator, price_of=price_of, ledger=ledger, unknown=unknown_price)
    return ResilientGenerator(metered, guard)
