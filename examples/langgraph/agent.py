"""A LangGraph agent that asks foliotrace over HTTP: checkpoints, streaming, one trace, cost limit.

    foliotrace serve
    python examples/langgraph/agent.py "How long is the refund window?"

Its OpenTelemetry spans are the parents of the service's. `@traceable` functions appear in LangSmith
when LANGSMITH_TRACING is set.
"""

import asyncio
import operator
import re
from argparse import ArgumentParser
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Self, TypedDict

import httpx
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langsmith import traceable
from opentelemetry import trace
from opentelemetry.propagate import inject
from pydantic import BaseModel, ConfigDict, Field
from tenacity import (
    AsyncRetrying,
    retry_if_exception,
    stop_after_attempt,
    wait_random_exponential,
)

from foliotrace_audit import AuditWriter, Entry, open_keys
from foliotrace_otel import configure
from foliotrace_server.client import AsyncFoliotraceClient, ServerProblem, Unreachable

URL = "http://127.0.0.1:8080"
TENANT = "default"
MAX_COST_USD = Decimal("0.10")
TEMPORARY = (408, 429, 500, 502, 503, 504)
tracer = trace.get_tracer("agent")


class CostLimitExceeded(Exception):
    """The answer cost more than a query may: the service does not keep limits of callers."""


class AnswerInvalid(Exception):
    """The answer is empty, or refers to a citation that it does not have."""


class UserQuery(BaseModel):
    """A question. The text is kept as it is; `sanitized` is what may be shown as markup."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    query: str = Field(min_length=1, max_length=1000)
    user_id: str = Field(pattern=r"^[a-zA-Z0-9_-]+$")
    session_id: str = Field(default="default", pattern=r"^[a-zA-Z0-9_-]+$")

    @property
    def sanitized(self) -> str:
        return re.sub(r"[<>{}]", "", self.query)


class AgentResponse(BaseModel):
    """An answer with what it cost and where its trace and run are."""

    answer: str
    citations: list[str]
    degradation_level: int
    used_fallback: bool
    attempts: int
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cost_usd: Decimal
    run_id: str
    trace_id: str
    turn: int  # of the session, 1 for its first question


class State(TypedDict, total=False):
    """What a checkpoint holds of a session."""

    query: str
    user_id: str
    session_id: str
    answer: dict[str, Any]
    attempts: int
    used_fallback: bool
    turns: Annotated[list[str], operator.add]  # run ids


def is_temporary(error: BaseException) -> bool:
    """Whether the same question may be answered later: not for a refusal."""
    return isinstance(error, Unreachable) or (
        isinstance(error, ServerProblem) and error.status in TEMPORARY
    )


def costs_nothing(error: BaseException) -> bool:
    """Whether a failed attempt was surely not billed: it was turned away, or never arrived."""
    if isinstance(error, ServerProblem):
        return error.status == 429
    return isinstance(error.__cause__, httpx.ConnectError)


class AskFoliotrace:
    """The tool: one question over HTTP, streamed. Retries one service, then falls back to the next.

    Nothing is tried again once a piece of an answer was passed on. Each attempt may cost half of
    what is left of the limit, which the service keeps before it pays a model; of a failed one, all
    of that counts as spent. So all attempts together stay within the limit.
    """

    def __init__(
        self,
        clients: Sequence[AsyncFoliotraceClient],
        *,
        max_cost_usd: Decimal,
        longest_wait_s: float,
    ) -> None:
        self._clients = clients
        self._max_cost_usd = max_cost_usd
        self._longest_wait_s = longest_wait_s

    async def __call__(self, state: State) -> State:
        """The graph's node `ask`. Raises ServerProblem, Unreachable."""
        write = get_stream_writer()
        attempts = 0
        left_usd = self._max_cost_usd
        passed_on: list[str] = []
        for rung, client in enumerate(self._clients):
            try:
                async for attempt in AsyncRetrying(
                    stop=stop_after_attempt(3),
                    wait=wait_random_exponential(1, max=self._longest_wait_s),
                    retry=retry_if_exception(lambda e: is_temporary(e) and not passed_on),
                    reraise=True,
                ):
                    with attempt:
                        attempts += 1
                        allowed_usd = left_usd / 2
                        try:
                            answer = await self._once(client, state, write, passed_on, allowed_usd)
                        except (ServerProblem, Unreachable) as error:
                            left_usd -= 0 if costs_nothing(error) else allowed_usd
                            raise
            except (ServerProblem, Unreachable) as error:
                if passed_on or not is_temporary(error) or client is self._clients[-1]:
                    raise
                continue
            return {
                "answer": answer,
                "attempts": attempts,
                "used_fallback": rung > 0,
                "turns": [answer["run_id"]],
            }
        raise AssertionError("there is no service to ask")

    @traceable(name="ask_foliotrace", run_type="retriever")
    async def _once(
        self,
        client: AsyncFoliotraceClient,
        state: State,
        write: Any,
        passed_on: list[str],
        allowed_usd: Decimal,
    ) -> dict[str, Any]:
        with tracer.start_as_current_span("agent.ask") as span:
            async for event in client.ask_in_pieces(
                state["query"],
                user_id=state["user_id"],
                session_id=state["session_id"],
                max_cost_usd=allowed_usd,
            ):
                if event.name == "answer":
                    span.set_attribute("agent.run_id", event.value["run_id"])
                    return event.value
                if event.name == "delta":
                    passed_on.append(event.value["text"])
                if event.name in ("delta", "reset", "degraded"):
                    write({"event": event.name, **event.value})
        raise AnswerInvalid("the stream ended without an answer")


@traceable(name="check_answer")
def check_answer(text: str, markers: Sequence[int]) -> None:
    """Raise AnswerInvalid unless the text is there and each `[n]` in it has its citation."""
    if not text.strip():
        raise AnswerInvalid("the answer is empty")
    missing = {int(each) for each in re.findall(r"\[(\d{1,2})\]", text)} - set(markers)
    if missing:
        raise AnswerInvalid(f"the answer refers to citation {min(missing)}, which it does not have")


def check(state: State) -> State:
    """The graph's node `check`."""
    answer = state["answer"]
    check_answer(answer["answer"], [each["marker"] for each in answer["citations"]])
    return {}


def build_graph(ask: AskFoliotrace) -> StateGraph:
    graph = StateGraph(State)
    graph.add_node("ask", ask.__call__)
    graph.add_node("check", check)
    graph.add_edge(START, "ask")
    graph.add_edge("ask", "check")
    graph.add_edge("check", END)
    return graph


def make_graph() -> CompiledStateGraph:
    """For `langgraph.json`: LangGraph's server brings its own checkpoints."""
    ask = AskFoliotrace([traced_client(URL)], max_cost_usd=MAX_COST_USD, longest_wait_s=60)
    return build_graph(ask).compile()


def traced_client(url: str, api_key: str | None = None) -> AsyncFoliotraceClient:
    """A client whose requests carry the trace of the running span."""
    client = AsyncFoliotraceClient(url, api_key=api_key)

    async def carry_trace(request: httpx.Request) -> None:
        inject(request.headers)

    client.http.event_hooks["request"].append(carry_trace)
    return client


class ProductionAgent:
    """Answers within a cost limit; every query is traced, audited and checkpointed by session.

    `urls` are asked in order: the second only if the first does not answer. Where the limit does
    not pay for a model, the answer is quotes, and its degradation says so.
    """

    def __init__(
        self,
        max_cost_per_query: float = 0.10,
        *,
        urls: Sequence[str] = (URL,),
        folder: Path = Path("agent-data"),
        api_key: str | None = None,
        longest_wait_s: float = 60.0,
    ) -> None:
        self._max_cost_usd = Decimal(str(max_cost_per_query))
        self._urls, self._api_key, self._folder = urls, api_key, folder
        self._longest_wait_s = longest_wait_s
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        clients = [
            await self._open.enter_async_context(traced_client(url, self._api_key))
            for url in self._urls
        ]
        saver = AsyncSqliteSaver.from_conn_string(str(self._folder / "checkpoints.db"))
        ask = AskFoliotrace(
            clients, max_cost_usd=self._max_cost_usd, longest_wait_s=self._longest_wait_s
        )
        graph = build_graph(ask)
        self._graph = graph.compile(checkpointer=await self._open.enter_async_context(saver))
        self._audit = AuditWriter.open(self._folder / "audit", open_keys(self._folder / "keys"))
        self._open.callback(self._audit.close)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    async def query(self, user_query: UserQuery) -> AgentResponse:
        """The answer. Raises CostLimitExceeded, AnswerInvalid, ServerProblem, Unreachable."""
        pieces = [piece async for piece in self.stream(user_query)]
        response = pieces[-1]
        assert isinstance(response, AgentResponse)
        return response

    async def stream(self, user_query: UserQuery) -> AsyncIterator[dict[str, Any] | AgentResponse]:
        """The pieces as they come (`delta`, `reset`, `degraded`), then the response."""
        with tracer.start_as_current_span("agent.query") as span:
            trace_id = f"{span.get_span_context().trace_id:032x}"
            key_id, query_hash = self._audit.hash_query(TENANT, user_query.query)
            asked = {"user_id": user_query.user_id, "query_hash": query_hash, "key_id": key_id}
            self._audit.append(Entry(event="query_received", **asked), trace_id=trace_id)
            try:
                state: State = {}
                config = {"configurable": {"thread_id": user_query.session_id}}
                async for mode, value in self._graph.astream(
                    user_query.model_dump(), config, stream_mode=["custom", "values"]
                ):
                    if mode == "custom":
                        yield value
                    else:
                        state = value
                response = self._response(state, trace_id)
            except Exception as error:
                failed = Entry(
                    event="query_failed",
                    **asked,
                    success=False,
                    error=str(error),
                    error_type=type(error).__name__,
                )
                self._audit.append(failed, trace_id=trace_id)
                raise
            span.set_attributes(
                {
                    "gen_ai.usage.input_tokens": response.prompt_tokens,
                    "gen_ai.usage.output_tokens": response.completion_tokens,
                    "agent.cost_usd": float(response.cost_usd),
                    "agent.used_fallback": response.used_fallback,
                }
            )
            done = Entry(
                event="query_completed",
                **asked,
                success=True,
                response_length=len(response.answer),
                run_id=response.run_id,
                tokens=response.total_tokens,
                cost_usd=response.cost_usd,
                degradation_level=response.degradation_level,
            )
            self._audit.append(done, trace_id=trace_id)
            yield response

    def _response(self, state: State, trace_id: str) -> AgentResponse:
        answer = state["answer"]
        usage = answer["usage"]
        cost_usd = Decimal(str(usage["cost_usd"]))
        if cost_usd > self._max_cost_usd:
            raise CostLimitExceeded(f"{cost_usd} USD; a query may cost {self._max_cost_usd}")
        return AgentResponse(
            answer=answer["answer"],
            citations=[f"{c['document_name']}: {c['quote']}" for c in answer["citations"]],
            degradation_level=answer["degradation"]["level"],
            used_fallback=state["used_fallback"],
            attempts=state["attempts"],
            prompt_tokens=usage["prompt_tokens"],
            completion_tokens=usage["completion_tokens"],
            total_tokens=usage["prompt_tokens"] + usage["completion_tokens"],
            cost_usd=cost_usd,
            run_id=answer["run_id"],
            trace_id=trace_id,
            turn=len(state["turns"]),
        )


async def main(question: str, *, url: str, session: str) -> None:
    """Ask on the command line; spans are exported as the OTEL_* variables say."""
    telemetry = configure(service_name="agent", namespace="agent")
    try:
        async with ProductionAgent(max_cost_per_query=0.10, urls=[url]) as agent:
            query = UserQuery(query=question, user_id="ada", session_id=session)
            async for piece in agent.stream(query):
                if isinstance(piece, AgentResponse):
                    print(f"\n\n{piece.model_dump_json(indent=1, exclude={'answer'})}")
                elif piece["event"] == "delta":
                    print(piece["text"], end="", flush=True)
    finally:
        telemetry.shutdown(timeout_s=5)


if __name__ == "__main__":
    arguments = ArgumentParser()
    arguments.add_argument("question")
    arguments.add_argument("--url", default=URL)
    arguments.add_argument("--session", default="default")
    given = arguments.parse_args()
    asyncio.run(main(given.question, url=given.url, session=given.session))
