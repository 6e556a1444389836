"""Classes with the signature of heavy ones that are not installed here; imports LlamaIndex."""

from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding


class HuggingFaceEmbedding(BaseEmbedding):
    """As `llama_index.embeddings.huggingface.HuggingFaceEmbedding`: its async methods block too."""

    max_length: int = 512
    normalize: bool = True
    query_instruction: str | None = None

    def __init__(self, model_name: str = "BAAI/bge-small-en", **options: Any) -> None:
        super().__init__(model_name=model_name, **options)

    def _embed(self, sentences: list[str]) -> list[list[float]]:
        return [[float(each.lower().count(c)) for c in "aeioulrnst"] for each in sentences]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._embed([query])[0]

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embedding(text)

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._embed([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return self._embed(texts)
