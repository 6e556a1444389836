"""Language and embedding models, and the LlamaCloud account."""

from typing import Literal

from pydantic import Field, SecretStr, model_validator

from foliotrace.settings import MODEL_CALL_S, LlamaCloudSettings, Section
from foliotrace_server.sections.auth import is_private


class LLMSettings(Section):
    """One language model."""

    provider: Literal["openai", "openai_like", "anthropic", "ollama", "import"] = Field(
        description="`openai`; `openai_like` for any server with OpenAI's API (vLLM, LM Studio, "
        "Ollama at `/v1`); `ollama`; `anthropic` (an extra of the same name); `import` for any "
        "LlamaIndex LLM."
    )
    model: str = Field(
        min_length=1,
        description="Name of the model. With `import`: `pkg.mod:object`, an LLM or a function that "
        "returns one.",
    )
    api_base: str | None = Field(default=None, description="Base URL of the API.")
    api_key: SecretStr | None = Field(
        default=None,
        description="API key. None: the provider's standard variable, such as `OPENAI_API_KEY`.",
    )
    timeout_s: float = Field(default=MODEL_CALL_S, gt=0, description="Time limit of one call.")
    context_window: int = Field(
        default=8192, gt=0, description="Context window in tokens, for `openai_like` only."
    )
    free: bool | None = Field(
        default=None,
        description="The model runs on your own machines: its tokens cost nothing, even if a price "
        "table lists its name. None: true for `ollama` and `openai_like` on a loopback or private "
        "address, unless `budget.prices` names the model. Set it to false for a proxy to a "
        "provider that costs money.",
    )

    @property
    def runs_at_home(self) -> bool:
        """Whether the model is served from a loopback or private address."""
        if self.provider == "ollama" and self.api_base is None:
            return True
        return self.provider in ("ollama", "openai_like") and is_private(self.api_base)


class EmbeddingSettings(Section):
    """The embedding model; without one, retrieval is by keyword."""

    provider: Literal["openai", "openai_like", "import"] = Field(
        description="`openai`; `openai_like` for any server with OpenAI's API; `import` for any "
        "LlamaIndex embedding."
    )
    model: str = Field(
        min_length=1,
        description="Name of the model. With `import`: `pkg.mod:object`, an embedding or a "
        "function that returns one.",
    )
    api_base: str | None = Field(default=None, description="Base URL of the API.")
    api_key: SecretStr | None = Field(
        default=None,
        description="API key. None: the provider's standard variable, such as `OPENAI_API_KEY`.",
    )
    timeout_s: float = Field(default=MODEL_CALL_S, gt=0, description="Time limit of one call.")
    free: bool | None = Field(
        default=None,
        description="The model runs on your own machines: its tokens cost nothing. None: true for "
        "`openai_like` on a loopback or private address, unless `budget.prices` names the model.",
    )

    @property
    def runs_at_home(self) -> bool:
        """Whether the model is served from a loopback or private address."""
        return self.provider == "openai_like" and is_private(self.api_base)


class LlamaCloudSection(LlamaCloudSettings):
    """LlamaCloud with its secrets."""

    api_key: SecretStr | None = Field(
        default=None, description="API key. None: the variable `LLAMA_CLOUD_API_KEY`."
    )
    webhook_secret: SecretStr | None = Field(
        default=None,
        description="Secret that LlamaCloud signs webhooks with. Enables `POST /v1/webhooks/"
        "llamacloud`, which ends polling early.",
    )

    @model_validator(mode="after")
    def _signed(self) -> "LlamaCloudSection":
        if self.webhook_url is not None and self.webhook_secret is None:
            raise ValueError("webhook_url needs webhook_secret: unsigned events are refused")
        return self
