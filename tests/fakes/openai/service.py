"""The fake OpenAI-format endpoint: chat completions, embeddings, models."""

import base64
import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Match, Route
from tests.fakes.openai.completion import Completion, Spent
from tests.fakes.openai.embedding import hashed_vector, read_inputs
from tests.fakes.openai.errors import Refused, error_body
from tests.fakes.openai.faults import LLMFault
from tests.fakes.openai.reading import text_of, token_count
from tests.fakes.wire import Fault, FaultPlan, Gate, Planned, RequestLog, SocketServer
from tests.fakes.wire.checks import ContractBroken, body_problems, checked

CHAT, EMBEDDINGS = "POST /v1/chat/completions", "POST /v1/embeddings"
ENDPOINTS = frozenset({CHAT, EMBEDDINGS, "GET /v1/models", "GET /v1/models/{model}"})
API_KEY = "sk-fake"
CHAT_MODELS = ("gpt-4o-mini", "gpt-4o", "gpt-4.1-mini", "gpt-4.1", "fake-llm", "fake-llm-2")
EMBEDDING_MODELS = {
    "text-embedding-3-small": 1536,
    "text-embedding-3-large": 3072,
    "text-embedding-ada-002": 1536,
    "fake-embedding": 64,
}
CONTEXT_TOKENS = 128_000


class FakeOpenAI:
    """One fake endpoint on one port. Any key that starts with `sk-fake` is accepted."""

    api_key = API_KEY

    def __init__(self, *, port: int = 0, context_tokens: int = CONTEXT_TOKENS) -> None:
        self.requests = RequestLog()
        self.spent: list[Spent] = []
        self.broken: list[str] = []
        self.context_tokens = context_tokens
        self._faults = FaultPlan(ENDPOINTS)
        self._app = Starlette(
            routes=[
                self._route("POST", "/v1/chat/completions", self._chat),
                self._route("POST", "/v1/embeddings", self._embeddings),
                self._route("GET", "/v1/models", self._models),
                self._route("GET", "/v1/models/{model}", self._model),
                *self._control(),
            ]
        )
        gate = Gate(
            self._app,
            plan=self._faults,
            log=self.requests,
            label=self._label,
            reset=lambda client: self._server.reset(client),
            error_body=error_body,
        )
        self._server = SocketServer(gate, port=port)

    @property
    def url(self) -> str:
        """What `base_url` of the client is set to; ends in /v1."""
        return f"{self._server.url}/v1"

    @property
    def connections(self) -> int:
        """TCP connections accepted so far."""
        return self._server.connections

    def fail(self, endpoint: str, fault: Fault, **when: Any) -> Planned:
        """Plan a fault; `when` as in `FaultPlan.add`."""
        return self._faults.add(endpoint, fault, **when)

    def recover(self) -> None:
        """Drop every planned fault."""
        self._faults.clear()

    def count(
        self, endpoint: str = CHAT, *, key: str | None = None, status: int | None = None
    ) -> int:
        """Requests received; completions unless told otherwise."""
        return self.requests.count(endpoint, key=key, status=status)

    def tokens(self) -> tuple[int, int]:
        """Prompt and completion tokens of everything answered."""
        spent = list(self.spent)
        return sum(s.prompt_tokens for s in spent), sum(s.completion_tokens for s in spent)

    def start_serving(self) -> None:
        """Listen."""
        self._server.start()

    def die(self) -> None:
        """Close the port and reset every connection."""
        self._server.die()

    def revive(self) -> None:
        """Listen on the same port again."""
        self._server.start()

    def stop(self) -> None:
        """Stop for good."""
        self._server.stop()

    def forget(self) -> None:
        """Start over with an empty log and no fault."""
        self.requests.clear()
        self.spent.clear()
        self.broken.clear()
        self.recover()

    def _label(self, scope: Any) -> str:
        for route in self._app.routes:
            if isinstance(route, Route) and route.matches(scope)[0] is Match.FULL:
                return f"{scope['method']} {route.path}"
        return "unknown"

    def _route(self, method: str, path: str, handler: Any) -> Route:
        async def guarded(request: Request) -> Response:
            key = request.headers.get("authorization", "").removeprefix("Bearer ")
            try:
                if not key.startswith(API_KEY):
                    raise Refused(401, "invalid_api_key: Incorrect API key provided")
                reply: Response = await handler(request, key)
            except Refused as refused:
                return JSONResponse(error_body(refused.status, str(refused)), refused.status)
            except ContractBroken as broken:
                self.broken.append(str(broken))
                return JSONResponse(error_body(500, str(broken)), 500)
            except Exception as crash:
                self.broken.append(f"{path}: {crash!r}")
                raise
            return reply

        return Route(path, guarded, methods=[method])

    async def _body(self, request: Request, params: Any) -> dict[str, Any]:
        try:
            body = json.loads(await request.body())
        except ValueError as error:
            raise Refused(400, "The body is not JSON") from error
        problems = body_problems(params, body)
        if problems:
            where = ".".join(str(part) for part in problems[0]["loc"][1:])
            raise Refused(400, f"invalid_request: {problems[0]['msg']}: {where}")
        return dict(body)

    async def _chat(self, request: Request, key: str) -> Response:
        body = await self._body(request, _chat_params())
        if body["model"] not in CHAT_MODELS:
            raise Refused(404, f"model_not_found: The model {body['model']} does not exist")
        if body.get("n") not in (None, 1):
            raise Refused(400, "invalid_request: the fake answers once (n=1)")
        prompt_tokens = sum(4 + token_count(text_of(m)) for m in body["messages"])
        if prompt_tokens > self.context_tokens:
            raise Refused(400, f"context_length_exceeded: {prompt_tokens} tokens are too many")
        behaviours = request.scope["fake.behaviours"]
        completion = Completion(body, key, prompt_tokens, behaviours)
        self.spent.append(completion.spent)
        if not body.get("stream"):
            return JSONResponse(await completion.whole())
        client = tuple(request.scope["client"])
        pieces = completion.stream(lambda: self._server.reset(client))
        return StreamingResponse(pieces, media_type="text/event-stream")

    async def _embeddings(self, request: Request, key: str) -> Response:
        from openai.types import CreateEmbeddingResponse, embedding_create_params

        body = await self._body(request, embedding_create_params.EmbeddingCreateParams)
        if body["model"] not in EMBEDDING_MODELS:
            raise Refused(404, f"model_not_found: The model {body['model']} does not exist")
        inputs = read_inputs(body["input"])
        size = body.get("dimensions") or EMBEDDING_MODELS[body["model"]]
        vectors = [hashed_vector(text, size) for text in inputs]
        tokens = sum(token_count(text) for text in inputs)
        self.spent.append(Spent(body["model"], key, tokens, 0, streamed=False, finished=True))
        reply = {
            "object": "list",
            "model": body["model"],
            "data": [
                {"object": "embedding", "index": index, "embedding": vector}
                for index, vector in enumerate(vectors)
            ],
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }
        checked(CreateEmbeddingResponse, reply)
        if body.get("encoding_format") == "base64":
            for entry, vector in zip(reply["data"], vectors, strict=True):
                entry["embedding"] = base64.b64encode(struct.pack(f"<{size}f", *vector)).decode()
        return JSONResponse(reply)

    async def _models(self, _request: Request, _key: str) -> Response:
        names = [*CHAT_MODELS, *EMBEDDING_MODELS]
        return JSONResponse({"object": "list", "data": [_model_json(name) for name in names]})

    async def _model(self, request: Request, _key: str) -> Response:
        name = request.path_params["model"]
        if name not in CHAT_MODELS and name not in EMBEDDING_MODELS:
            raise Refused(404, f"model_not_found: The model {name} does not exist")
        return JSONResponse(_model_json(name))

    def _control(self) -> list[Route]:
        async def requests(_request: Request) -> Response:
            prompt, completion = self.tokens()
            counts = self.requests.counts()
            shown = {"counts": counts, "prompt_tokens": prompt, "completion_tokens": completion}
            return JSONResponse(shown)

        async def plan(request: Request) -> Response:
            asked = await request.json()
            try:
                name, arguments = asked.pop("fault"), asked.pop("arguments", {})
                found = getattr(LLMFault, name, None)
                fault = found if isinstance(found, Fault) else None
                fault = fault or (found(**arguments) if found else Fault.named(name, **arguments))
                self.fail(asked.pop("endpoint", CHAT), fault, **asked)
            except (KeyError, TypeError, ValueError) as error:
                return JSONResponse({"detail": str(error)}, 422)
            return Response(status_code=204)

        async def recover(_request: Request) -> Response:
            self.recover()
            return Response(status_code=204)

        return [
            Route("/_fake/requests", requests, methods=["GET"]),
            Route("/_fake/faults", plan, methods=["POST"]),
            Route("/_fake/faults", recover, methods=["DELETE"]),
        ]


@cache
def _chat_params() -> Any:
    """The SDK's type of a chat request, streaming or plain."""
    from openai.types.chat import completion_create_params  # 1.5 s: not while tests are collected

    class ChatParams(completion_create_params.CompletionCreateParamsBase, total=False):
        stream: bool | None

    return ChatParams


def _model_json(name: str) -> dict[str, Any]:
    from openai.types import Model

    shown = {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "fake"}
    return dict(checked(Model, shown))


@contextmanager
def running_fake_openai(
    *, port: int = 0, context_tokens: int = CONTEXT_TOKENS
) -> Iterator[FakeOpenAI]:
    """A fake endpoint on a free port for the length of the block."""
    fake = FakeOpenAI(port=port, context_tokens=context_tokens)
    fake.start_serving()
    try:
        yield fake
    finally:
        fake.stop()
    assert not fake.broken, fake.broken
