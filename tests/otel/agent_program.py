"""An agent that adds two numbers with a tool, asked by a scripted model; imports LlamaIndex."""

from collections.abc import AsyncGenerator
from typing import Any

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, LLMMetadata, ToolCallBlock
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.llms.callbacks import llm_chat_callback
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from llama_index.core.tools import FunctionTool, ToolSelection

ASKED = "What is 2 + 3? Answer jane@example.com."
USAGE = {
    "prompt_tokens": 30,
    "completion_tokens": 7,
    "prompt_tokens_details": {"cached_tokens": 20},
    "cache_creation_input_tokens": 4,
    "completion_tokens_details": {"reasoning_tokens": 3},
}


class Scripted(FunctionCallingLLM):
    """Asks for the tool first, then answers."""

    model: str = "scripted-1"
    temperature: float = 0.5

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name=self.model, is_function_calling_model=True)

    @llm_chat_callback()
    async def achat(self, messages: Any, **kwargs: Any) -> ChatResponse:
        raw = {"model": "scripted-1-2026", "usage": USAGE, "choices": [{"finish_reason": "stop"}]}
        if any(message.role.value == "tool" for message in messages):
            return ChatResponse(message=ChatMessage(role="assistant", content="It is 5."), raw=raw)
        call = ToolCallBlock(tool_call_id="call-1", tool_name="add", tool_kwargs={"a": 2, "b": 3})
        return ChatResponse(message=ChatMessage(role="assistant", blocks=[call]), raw=raw)

    def _prepare_chat_with_tools(
        self, tools: Any, user_msg: Any = None, chat_history: Any = None, **kwargs: Any
    ) -> dict[str, Any]:
        return {"messages": chat_history, "tools": [t.metadata.to_openai_tool() for t in tools]}

    def get_tool_calls_from_response(
        self, response: ChatResponse, error_on_no_tool_call: bool = True, **kwargs: Any
    ) -> list[ToolSelection]:
        return [
            ToolSelection(
                tool_id=block.tool_call_id or "",
                tool_name=block.tool_name,
                tool_kwargs=dict(block.tool_kwargs),
            )
            for block in response.message.blocks
            if isinstance(block, ToolCallBlock) and not isinstance(block.tool_kwargs, str)
        ]

    def chat(self, messages: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    def stream_chat(self, messages: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    async def astream_chat(self, messages: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
        raise NotImplementedError

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        raise NotImplementedError

    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        raise NotImplementedError

    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        raise NotImplementedError

    async def astream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        raise NotImplementedError


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


async def ask_agent(tool: Any = add) -> str:
    tools = [FunctionTool.from_defaults(fn=tool, name="add")]
    agent = FunctionAgent(name="calculator", tools=tools, llm=Scripted(), streaming=False)
    return str(await agent.run(ASKED))


class Vectors(BaseEmbedding):
    def _get_text_embedding(self, text: str) -> list[float]:
        return [0.25, 0.75]

    def _get_query_embedding(self, query: str) -> list[float]:
        return [0.25, 0.75]

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return [0.25, 0.75]


class Backwards(BaseNodePostprocessor):
    """A reranker as integrations write theirs."""

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        dispatcher = get_dispatcher(__name__)
        dispatcher.event(
            ReRankStartEvent(query=query_bundle, nodes=nodes, top_n=1, model_name="backwards-1")
        )
        ranked = nodes[::-1][:1]
        dispatcher.event(ReRankEndEvent(nodes=ranked))
        return ranked


def embed_and_rerank() -> None:
    Vectors(model_name="vectors-1").get_text_embedding("how often")
    nodes = [
        NodeWithScore(node=TextNode(text="p", id_=f"n{n}", metadata={"page": n}), score=n / 4)
        for n in (1, 2)
    ]
    Backwards().postprocess_nodes(nodes, query_bundle=QueryBundle("how often"))


class Noted(BaseRetriever):
    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        node = TextNode(text="every week", id_="n1", metadata={"page": 3})
        return [NodeWithScore(node=node, score=0.5)]
