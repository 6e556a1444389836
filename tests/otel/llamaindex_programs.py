"""LlamaIndex models and retrievers that the tests of the handler trace; imports LlamaIndex.

Test modules load it through `lazy`, so that collecting them does not import LlamaIndex.
"""

import threading
from collections.abc import Iterator
from typing import Any

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.base.llms.types import ChatMessage, ChatResponse
from llama_index.core.llms import CompletionResponse, CompletionResponseGen, LLMMetadata
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.llms.custom import CustomLLM
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from pydantic import PrivateAttr
from tests.otel.canary_texts import ANSWER, PASSAGE, QUESTION, RAW, WORDS


class Tiny(CustomLLM):
    model: str = "tiny"
    fails: bool = False

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name=self.model)

    @llm_chat_callback()
    def chat(self, messages: Any, **kwargs: Any) -> ChatResponse:
        if self.fails:
            raise TimeoutError(QUESTION)
        return ChatResponse(message=ChatMessage(role="assistant", content=ANSWER), raw=RAW)

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        return CompletionResponse(text=ANSWER, raw=RAW)

    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        raise NotImplementedError


class Shelf(BaseRetriever):
    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return [NodeWithScore(node=TextNode(text=PASSAGE, id_="n1"), score=0.87654)]


class Chatty(Tiny):
    """Completes through its own chat, as chat models do."""

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        said = self.chat([ChatMessage(role="user", content=prompt)])
        return CompletionResponse(text=said.message.content or "", raw=RAW)

    @llm_chat_callback()
    def chat(self, messages: Any, **kwargs: Any) -> ChatResponse:
        if self.fails:
            raise TimeoutError
        return ChatResponse(message=ChatMessage(role="assistant", content="yes"), raw=RAW)


class BreaksMidway(CustomLLM):
    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="breaks-1")

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        return CompletionResponse(text="x")

    @llm_completion_callback()
    def stream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseGen:
        def tokens() -> CompletionResponseGen:
            yield CompletionResponse(text="a", delta="a")
            raise ConnectionResetError("half way")

        return tokens()


class Slow(CustomLLM):
    """Streams its words, the last one only once `gate` is open; `broken`: it raises instead."""

    broken: bool = False
    _gate: threading.Event = PrivateAttr(default_factory=threading.Event)

    @property
    def gate(self) -> threading.Event:
        return self._gate

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="slow-1", context_window=8000)

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        return CompletionResponse(text="".join(WORDS))

    @llm_completion_callback()
    def stream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> Iterator[CompletionResponse]:
        def words() -> Iterator[CompletionResponse]:
            text = ""
            for word in WORDS[:-1]:
                text += word
                yield CompletionResponse(text=text, delta=word)
            assert self._gate.wait(20)
            if self.broken:
                raise ConnectionError("the model went away")
            yield CompletionResponse(text=text + WORDS[-1], delta=WORDS[-1])

        return words()
