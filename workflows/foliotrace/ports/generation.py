"""Language models."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from foliotrace.model import Deadline, JsonObject, Usage


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
    """One LLM. Makes one request per call; retrying is the business of `resilient`."""

    @property
    def ready(self) -> bool:
        """Whether the model can be asked now, judged without asking it."""
        ...

    @property
    def model(self) -> str:
        """The pinned model name."""
        ...

    async def generate(self, prompt: Prompt, *, max_tokens: int, deadline: Deadline) -> Generation:
        """Raises GeneratorUnavailable (another LLM may help), GeneratorRefused (it may not)."""
        ...

    def stream(
        self, prompt: Prompt, *, max_tokens: int, deadline: Deadline
    ) -> AsyncGenerator[Delta, None]:
        """As `generate`, in pieces; an error after the first piece ends the stream."""
        ...
