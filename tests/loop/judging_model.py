"""A language model for the settings (`import`) that judges by one word of the answer."""

from typing import Any

from llama_index.core.llms import CompletionResponse, CustomLLM, LLMMetadata

PINNED = "judge-2026-01-01"


class JudgingModel(CustomLLM):
    """Fails answers that say `stupid`; `harsh` fails all."""

    harsh: bool = False
    name: str = PINNED

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name=self.name, context_window=8192, num_output=300)

    def complete(self, prompt: str, formatted: bool = False, **more: Any) -> CompletionResponse:
        passed = "stupid" not in prompt.partition("ANSWER")[2] and not self.harsh
        word = "true" if passed else "false"
        return CompletionResponse(text=f'{{"passed": {word}, "reason": "as said"}}')

    def stream_complete(self, prompt: str, formatted: bool = False, **more: Any) -> Any:
        yield self.complete(prompt)


def kind() -> JudgingModel:
    return JudgingModel()


def harsh() -> JudgingModel:
    return JudgingModel(harsh=True)


def floating() -> JudgingModel:
    return JudgingModel(name="gpt-4o")
