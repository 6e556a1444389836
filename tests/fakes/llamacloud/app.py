"""The ASGI application: key, project, known parameters, the endpoint, its reply's shape."""

import hmac
import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route
from tests.fakes.llamacloud import (
    control,
    directory_api,
    extract_api,
    files_api,
    index_api,
    parse_api,
    rest_api,
    retrieval_api,
    work_api,
)
from tests.fakes.llamacloud.routing import ENDPOINTS, Call, Endpoint, Upload
from tests.fakes.llamacloud.state import Refused
from tests.fakes.wire.checks import (
    ContractBroken,
    body_problems,
    checked,
    query_problems,
)

if TYPE_CHECKING:
    from tests.fakes.llamacloud.cloud import FakeLlamaCloud

API_MODULES = (
    files_api,
    parse_api,
    extract_api,
    directory_api,
    index_api,
    retrieval_api,
    rest_api,
    work_api,
)
KEY_PREFIX = "llx-fake"
MAX_FIELD_BYTES = 8 * 1024 * 1024
EXPIRED_XML = "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"


def build_app(cloud: "FakeLlamaCloud") -> Starlette:
    """Every endpoint of the table, presigned downloads and the control API."""
    routes = [_route(cloud, endpoint) for endpoint in ENDPOINTS]
    routes.append(Route("/presigned/{what:path}", _download(cloud), methods=["GET"]))
    return Starlette(routes=[*routes, *control.routes(cloud)])


def label_of(app: Starlette) -> Callable[[Any], str]:
    """Names a request's endpoint as the table does; "unknown" for anything else."""

    def label(scope: Any) -> str:
        for route in app.routes:
            if isinstance(route, Route) and route.matches(scope)[0] is Match.FULL:
                return f"{scope['method']} {route.path}"
        return "unknown"

    return label


def _route(cloud: "FakeLlamaCloud", endpoint: Endpoint) -> Route:
    async def answer(request: Request) -> Response:
        try:
            reply = await _answered(cloud, endpoint, request)
            if endpoint.returns is None:
                return Response(status_code=204)
            return JSONResponse(checked(endpoint.returns, reply))
        except Refused as refused:
            headers = {}
            if refused.retry_after is not None:
                headers["retry-after"] = f"{refused.retry_after:.3f}"
            return JSONResponse({"detail": refused.detail}, refused.status, headers)
        except ContractBroken as broken:
            cloud.broken.append(f"{endpoint.name}: {broken}")
            return JSONResponse({"detail": str(broken)}, 500)
        except Exception as crash:
            cloud.broken.append(f"{endpoint.name}: {crash!r}")
            raise

    return Route(endpoint.path, answer, methods=[endpoint.method])


async def _answered(cloud: "FakeLlamaCloud", endpoint: Endpoint, request: Request) -> Any:
    key = _key(request)
    cloud.throttle(endpoint.name)
    many = parse_qs(request.url.query, keep_blank_values=True)
    in_path = frozenset(request.path_params)
    params = endpoint.params if endpoint.takes == "query" else None
    problems = query_problems(params, set(many) - {"force"})
    body, files = await _body(endpoint, request)
    if endpoint.takes != "query":
        problems += _body_problems(endpoint, body, files, in_path)
    if problems:
        raise Refused(422, problems)
    call = Call(
        cloud=cloud,
        project_id=_project(cloud, request, many),
        key=key,
        path={name: str(value) for name, value in request.path_params.items()},
        many=many,
        body=body,
        files=files,
        behaviours=request.scope["fake.behaviours"],
        base_url=str(request.base_url).rstrip("/"),
    )
    return await endpoint.handler(call)


def _key(request: Request) -> str:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.startswith(KEY_PREFIX):
        raise Refused(401, "Invalid API Key")
    return key


def _project(cloud: "FakeLlamaCloud", request: Request, many: dict[str, list[str]]) -> str:
    asked = many.get("project_id", [request.headers.get("project-id") or cloud.projects[0]])[0]
    if asked not in cloud.projects:
        raise Refused(404, f"Project {asked} not found")
    return asked


async def _body(endpoint: Endpoint, request: Request) -> tuple[Any, dict[str, Upload]]:
    if endpoint.takes == "json":
        try:
            return json.loads(await request.body() or b"{}"), {}
        except ValueError as error:
            raise Refused(422, "Body is not JSON") from error
    if endpoint.takes != "form":
        return {}, {}
    body: dict[str, Any] = {}
    files: dict[str, Upload] = {}
    async with request.form(max_part_size=MAX_FIELD_BYTES) as form:
        for name, value in form.multi_items():
            if isinstance(value, str):
                body[name] = value
            else:
                files[name] = Upload(value.filename or "file", await value.read())
    return body, files


def _body_problems(
    endpoint: Endpoint, body: Any, files: dict[str, Upload], in_path: frozenset[str]
) -> list[dict[str, Any]]:
    if endpoint.takes == "json":
        return body_problems(endpoint.params, body, in_path=in_path)
    held = {**body, **dict.fromkeys(files, "")}
    problems = [
        {"type": "missing", "loc": ["body", name], "msg": "Field required"}
        for name in endpoint.required_files
        if name not in files
    ]
    if endpoint.path.endswith("/parse/upload"):
        extra = sorted(set(held) - {"file", "configuration"})
        return problems + [
            {"type": "extra_forbidden", "loc": ["body", n], "msg": "Extra inputs are not permitted"}
            for n in extra
        ]
    found = body_problems(endpoint.params, held, in_path=in_path | set(endpoint.required_files))
    return problems + [p for p in found if p["loc"][1] not in endpoint.required_files]


def _download(cloud: "FakeLlamaCloud") -> Callable[[Request], Any]:
    async def download(request: Request) -> Response:
        what, stamp = request.path_params["what"], request.query_params.get("expires", "")
        signature = request.query_params.get("signature", "")
        good = hmac.compare_digest(signature, cloud.presign_signature(what, stamp))
        if not good or float(stamp) < time.time():
            return Response(EXPIRED_XML, 403, media_type="application/xml")
        try:
            held = await rest_api.presigned_content(cloud, what)
        except Refused as refused:
            return Response(str(refused.detail), refused.status)
        return Response(held, media_type="application/octet-stream")

    return download
