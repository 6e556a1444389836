"""Language models, embedding models and extractors, and the ledger of what they cost.

An adapter makes one request per call; `resilient` retries.
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol, TypeAlias

from foliotrace.model import (
    Deadline,
    Document,
    Extraction,
    JsonObject,
    ParsedPage,
    Principal,
    Usage,
)

Vector: TypeAlias = Sequence[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """System and user text; `version` names the template. `schema` asks for JSON of that schema."""

    system: str
    user: str
    version: str
    schema: JsonObject | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """A finished completion."""

    text: str
    model: str
    usage: Usage
    finish_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """A piece of a streamed completion; the last one carries `done`."""

    text: str = ""
    done: Generation | None = None


class TextGenerator(Protocol):
    """A language model."""

    @property
    def ready(self) -> bool:
        """Whether the model can be called now, judged without calling it."""
        ...

    @property
    def model(self) -> str:
        """The pinned model name."""
        ...

    async def generate(self, prompt: Prompt, *, max_tokens: int, deadline: Deadline) -> Generation:
        """Raises GeneratorUnavailable if another model may help, GeneratorRefused if not."""
        ...

    def stream(
        self, prompt: Prompt, *, max_tokens: int, deadline: Deadline
    ) -> AsyncGenerator[Delta, None]:
        """As `generate`, in pieces; an error after the first piece ends the stream."""
        ...


class Embedder(Protocol):
    """An embedding model. Methods raise EmbedderUnavailable."""

    @property
    def ready(self) -> bool:
        """Whether the model can be called now, judged without calling it."""
        ...

    @property
    def model(self) -> str:
        """Name and version; vectors of different models are never compared."""
        ...

    async def embed(self, texts: Sequence[str], *, deadline: Deadline) -> Sequence[Vector]:
        """One vector per text of a document, in order."""
        ...

    async def embed_query(self, text: str, *, deadline: Deadline) -> Vector:
        """The vector of a question."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractionTask:
    """A document and a schema that is within the limits."""

    principal: Principal
    document: Document
    schema: JsonObject  # JSON Schema 2020-12, `$ref`s resolved
    instructions: str | None = None
    pages_total: int = 0  # of the document, which may have more pages than are passed; 0: unknown
    others: Sequence[str] = ()  # texts of the same collection: they tell how dates are written


class Extractor(Protocol):
    """A method of extracting typed records."""

    async def extract(
        self, task: ExtractionTask, pages: Sequence[ParsedPage], *, deadline: Deadline
    ) -> Extraction:
        """A value or null for every field, cited and grounded. Raises ExtractorUnavailable."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """Money reserved for one call, until it is settled, released or expired."""

    id: str
    tenant: str
    amount_usd: Decimal


class BudgetLedger(Protocol):
    """What each tenant has spent and reserved today. Atomic across processes."""

    async def reserve(self, tenant: str, amount_usd: Decimal) -> Reservation:
        """Raises BudgetExceeded, LedgerUnavailable."""
        ...

    async def settle(self, reservation: Reservation, actual_usd: Decimal) -> None:
        """Replace a reservation by what was spent. Settling twice changes nothing."""
        ...

    async def spent_usd(self, tenant: str) -> Decimal:
        """Settled and reserved today (UTC)."""
        ...
