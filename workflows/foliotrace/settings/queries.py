"""Questions and answers: their limits, planning and redaction."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from foliotrace.settings.limits import MAX_TOP_K
from foliotrace.settings.section import Section


class RedactionSettings(Section):
    """What is removed from answers, besides social security numbers, cards and remote content."""

    any_sixteen_digits: bool = Field(
        default=False,
        description="Redact any sixteen digits as a card number, even if they fail the checksum; "
        "in answers, spans and logs.",
    )
    remove_dangerous_code: bool = Field(
        default=True,
        description="Remove code blocks that import or call what touches the system, or that "
        "cannot be parsed and name such a module.",
    )


Grounding = Literal["strict", "mark"]
"""The policy for sentences of a language model that the passages do not verify."""


class PlanningSettings(Section):
    """Questions that take more than one search or model call. Used with a language model only."""

    max_parts: int = Field(
        default=6,
        ge=2,
        le=20,
        description="Parts of a comparison (companies, documents, periods) that are searched for "
        "by themselves; the answer names the parts beyond.",
    )
    list_passages: int = Field(
        default=20,
        gt=0,
        le=MAX_TOP_K,
        description='Passages for a question that asks for a list ("list all ...", "which '
        'documents mention ...").',
    )
    tokens_per_call: int = Field(
        default=12_000,
        ge=500,
        description="Document text in one call of a comparison, a list or a summary, in tokens.",
    )
    summary_calls: int = Field(
        default=8,
        gt=0,
        description="Model calls for the summary of one document. A document that needs more is "
        "read from its beginning, and the answer names the pages that were read.",
    )


class QuerySettings(Section):
    """Questions and answers."""

    deadline_s: float = Field(default=30.0, gt=0, description="Time limit of one question.")
    retrieval_deadline_s: float = Field(
        default=2.0,
        gt=0,
        description="Time limit of one retrieval path; after it the next path is tried.",
    )
    hedge_after_s: float | None = Field(
        default=None,
        gt=0,
        description="If a retrieval path has not answered after this time, the next path is "
        "queried in parallel and the first answer is used (level 2 if it is the lower path's). "
        "None: one path after the other.",
    )
    max_answer_tokens: int = Field(
        default=512, gt=0, description="Longest answer of a language model, in tokens."
    )
    cache_ttl_s: float = Field(
        default=300.0, ge=0, description="How long answers are cached; 0 disables the cache."
    )
    semantic_cache: bool = Field(
        default=False,
        description="Also answer a question from the cache if it asks the same in other words: "
        "the words decide, and the embeddings must agree. Needs `embedding` and `cache_ttl_s`.",
    )
    semantic_cache_from: float = Field(
        default=0.95, gt=0, le=1, description="Lowest cosine similarity at which embeddings agree."
    )
    lexicon: Path | None = Field(
        default=None,
        description="Folder of TOML files with the words of your field: synonyms, what documents "
        "call the things people ask for, kinds of page. They are read beside the shipped ones.",
    )
    retriever: str | None = Field(
        default=None,
        description="`pkg.mod:object`: any LlamaIndex retriever (`index.as_retriever()`), or a "
        "function that returns one. It is queried before every other path and must return "
        "documents that are also in this library.",
    )
    rerankers: tuple[str, ...] = Field(
        default=(),
        description="LlamaIndex node postprocessors, each as `pkg.mod:object` (or a function that "
        "returns one), that reorder or drop the passages of every retrieval path, in this order.",
    )
    rerank_candidates: int = Field(
        default=20,
        gt=0,
        le=200,
        description="Passages that are retrieved for the first of `rerankers`, at least; the best "
        "`top_k` of theirs are used.",
    )
    grounding: Grounding = Field(
        default="strict",
        description="What happens to a sentence of a language model that the passages do not "
        "verify: `strict` removes it, `mark` keeps it with `[unverified]` behind it.",
    )
    redaction: RedactionSettings = Field(
        default=RedactionSettings(), description="What is removed from answers."
    )
    planning: PlanningSettings = Field(
        default=PlanningSettings(),
        description="Comparisons, lists and summaries by a language model.",
    )
