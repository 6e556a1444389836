"""The name, kind and fixed attributes of a LlamaIndex span, decided once per method.

Visible with the default detail: workflow runs (and steps, when there
are several), stages, LLM, embedding, retrieval, rerank, tool, query-engine and synthesis calls, and
functions that users decorated. Contracted into their parent: `_private` twins, text splitters,
prompt templates, output parsers, the wrappers around an LLM call, and the steps of a workflow that
has only one, is an agent's, or whose class sets `__<namespace>_stages__ = True` (its stages are
spans already).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias

from opentelemetry.trace import SpanKind

from foliotrace_otel import semconv
from foliotrace_otel.semconv import Attribute

STAGE_PREFIX: Final = "stage."
_AGENT: Final = "invoke_agent"
_RERANK: Final = "rerank "
_AGENTS: Final = frozenset({"BaseWorkflowAgent", "AgentWorkflow"})

_CHAT: Final = frozenset({"chat", "achat", "stream_chat", "astream_chat"})
_COMPLETE: Final = frozenset({"complete", "acomplete", "stream_complete", "astream_complete"})
_EMBED: Final = re.compile(r"a?get_\w*embedding\w*")
_HIDDEN_CLASSES: Final = frozenset(
    {
        "NodeParser",
        "TextSplitter",
        "BasePromptTemplate",
        "BaseOutputParser",
        "ChatFormatter",
        "StreamingAgentChatResponse",  # its writer drains what the chat engine's span waits for
    }
)
_STAGE_KINDS: Final = {"retrieve": "retriever", "rerank": "retriever", "parse": "parser"}
_SYNTHESIS: Final = frozenset({"synthesize", "asynthesize"})
# Components are recognised by class name and module, so that llama_index need not be imported.
_LIBRARIES: Final = ("llama_index", "workflows", "llama_agents")


Subject: TypeAlias = Literal["", "model", "tool"]


@dataclass(frozen=True, slots=True)
class SpanPlan:
    """What to do with one `Class.method`: `operation` is the GenAI operation or "".

    `subject`: whether the model's or the tool's name follows `name`, read at each call.
    `measured`: its duration is a metric, sampled or not.
    """

    name: str
    function: str
    skip: bool = False
    kind: SpanKind = SpanKind.INTERNAL
    operation: str = ""
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    subject: Subject = ""
    is_run: bool = False
    is_stage: bool = False
    is_agent: bool = False
    measured: bool = False

    @property
    def is_rerank(self) -> bool:
        """Whether it orders passages anew."""
        return self.name.startswith(_RERANK)

    @property
    def workflow(self) -> str:
        """The class name of a run's workflow."""
        return self.name.partition(" ")[2]

    def named_for(self, back_ends: Iterable[str]) -> "SpanPlan":
        """The same, with the type of the span in the words of `back_ends` too."""
        run_type = str(self.attributes[semconv.LANGSMITH_KIND])
        if self.is_agent:
            run_type = "agent"
        elif self.is_rerank:
            run_type = "reranker"
        more = dict(self.attributes)
        for back_end in back_ends:
            more.update(semconv.observation_type(back_end, run_type))
        return replace(self, attributes=more)


def plan_for(
    function: str, instance: object, *, under_run: bool, steps_visible: bool, stage_mark: str
) -> SpanPlan:
    """The plan for `function` (LlamaIndex's span id without its uuid) called on `instance`.

    `under_run`: the LlamaIndex parent is a workflow run, so this is one of its steps.
    """
    stage = _stage(function, instance, stage_mark)
    if stage:
        return _plan(stage, function, langsmith=_STAGE_KINDS.get(stage, "chain"), is_stage=True)
    method = function.rpartition(".")[2]
    families = _families(type(instance)) if instance is not None else frozenset()
    if under_run and instance is None:
        return _plan(f"step {method}", function, skip=not steps_visible, langsmith="chain")
    if "Workflow" in families and method == "run":
        return _run(function, type(instance).__name__, agent=bool(families & _AGENTS))
    return _component(function, method, type(instance).__name__, families)


def has_visible_steps(workflow: type, stages_mark: str) -> bool:
    """Whether the steps of `workflow` say more than its run: several, and not stages already.

    The steps of an agent are plumbing; its model and tool calls are what it did.
    """
    if getattr(workflow, stages_mark, False) or _families(workflow) & _AGENTS:
        return False
    return sum(_is_step(workflow, name) for name in dir(workflow)) > 1


def _is_step(workflow: type, name: str) -> bool:
    return name != "_done" and hasattr(getattr(workflow, name, None), "_step_config")


def _stage(function: str, instance: object, stage_mark: str) -> str:
    if function.startswith(STAGE_PREFIX):
        return function.removeprefix(STAGE_PREFIX)
    method = getattr(type(instance), function.rpartition(".")[2], None)
    for marked in (method, type(instance)):
        mark = getattr(marked, stage_mark, None)
        if isinstance(mark, str):
            return mark
    return ""


def _families(cls: type) -> frozenset[str]:
    return frozenset(c.__name__ for c in cls.__mro__ if c.__module__.startswith(_LIBRARIES))


def _run(function: str, workflow: str, *, agent: bool) -> SpanPlan:
    operation = _AGENT if agent else "invoke_workflow"
    key = semconv.AGENT_NAME if agent else semconv.WORKFLOW_NAME
    return _plan(
        f"{operation} {workflow}",
        function,
        operation=operation,
        is_run=True,
        langsmith="chain",
        more={key: workflow},
    )


def _component(function: str, method: str, cls: str, families: frozenset[str]) -> SpanPlan:
    if "BaseNodePostprocessor" in families and method.endswith("postprocess_nodes"):
        return _plan(f"{_RERANK}{cls}", function, langsmith="chain")  # LlamaIndex wraps `_...` only
    hidden = method.startswith("_") and bool(families)
    if hidden or families & _HIDDEN_CLASSES:
        return _plan(function, function, skip=True)
    if families & {"LLM", "BaseLLM"}:
        return _llm(function, method)
    if "BaseEmbedding" in families and _EMBED.fullmatch(method):
        return _model("embeddings", function, langsmith="embedding")
    if "BaseRetriever" in families and method in {"retrieve", "aretrieve"}:
        more = {semconv.DATA_SOURCE: cls}
        return _plan(
            f"retrieval {cls}", function, operation="retrieval", langsmith="retriever", more=more
        )
    if "BaseTool" in families and method in {"call", "acall", "__call__"}:
        return _plan(
            "execute_tool", function, operation="execute_tool", langsmith="tool", subject="tool"
        )
    if "BaseSynthesizer" in families:
        return _plan(f"synthesize {cls}", function, skip=method not in _SYNTHESIS)
    return _plan(function, function, langsmith="chain")


def _llm(function: str, method: str) -> SpanPlan:
    if method in _CHAT:
        return _model("chat", function, langsmith="llm")
    if method in _COMPLETE:
        return _model("text_completion", function, langsmith="llm")
    return _plan(function, function, skip=True)  # predict, stream, ...: wrappers around a call


def _model(operation: str, function: str, *, langsmith: str) -> SpanPlan:
    name = "chat" if operation == "text_completion" else operation
    return _plan(
        name,
        function,
        operation=operation,
        kind=SpanKind.CLIENT,
        subject="model",
        langsmith=langsmith,
    )


def _plan(
    name: str,
    function: str,
    *,
    skip: bool = False,
    operation: str = "",
    kind: SpanKind = SpanKind.INTERNAL,
    subject: Subject = "",
    is_run: bool = False,
    is_stage: bool = False,
    langsmith: str = "chain",
    more: Mapping[str, Attribute] | None = None,
) -> SpanPlan:
    fixed: dict[str, Attribute] = {semconv.LANGSMITH_KIND: langsmith}
    if operation:
        fixed[semconv.OPERATION] = operation
    if name != function and not is_stage and subject != "model":  # its name says the same
        fixed[semconv.FUNCTION] = function
    return SpanPlan(
        name=name,
        function=function,
        skip=skip,
        kind=kind,
        operation=operation,
        attributes={**fixed, **(more or {})},
        subject=subject,
        is_run=is_run,
        is_stage=is_stage,
        is_agent=operation == _AGENT,
        measured=is_stage or is_run or subject == "model",
    )


def model_of(instance: object) -> str:
    """The model's name on an LLM or embedding object, or its class name; cheap, never raises."""
    for name in ("model", "model_name"):
        model = getattr(instance, name, None)
        if isinstance(model, str) and model and model != "unknown":
            return model
    return type(instance).__name__


def subject_of(plan: SpanPlan, instance: object) -> str:
    """The name that follows `plan.name`: the model's, or the tool's."""
    if plan.subject == "model":
        return model_of(instance)
    return str(
        getattr(getattr(instance, "metadata", None), "name", None) or type(instance).__name__
    )


def provider_of(instance: object) -> str:
    """The provider by the integration's module (`llama_index.llms.openai` -> `openai`), or ""."""
    for cls in type(instance).__mro__:
        parts = cls.__module__.split(".")
        if parts[:1] == ["llama_index"] and len(parts) > 2 and parts[1] in {"llms", "embeddings"}:
            return parts[2]
    return ""
