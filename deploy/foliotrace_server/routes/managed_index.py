"""`/v1/index`: the managed LlamaCloud index compared with the library, and repaired."""

from starlette.requests import Request

from foliotrace.catalog import ErrorCode
from foliotrace.errors import NotAllowed, NotFound
from foliotrace_server.bodies import DriftBody, ReconcileRequest
from foliotrace_server.engine import Engine
from foliotrace_server.http.identity import caller
from foliotrace_server.http.request_body import parse_as, read_json
from foliotrace_server.routes.endpoint import endpoint


class ManagedIndexes:
    """Repair of the managed index over HTTP, for administrators."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @endpoint(
        "POST",
        "/v1/index/reconcile",
        tag="operations",
        request=ReconcileRequest,
        problems=(400, 404, 408, 413, 415, 422, 503),
    )
    async def reconcile(self, request: Request) -> DriftBody:
        """Compare the managed index with the library and repair it, while it serves."""
        limit_bytes = self._engine.settings.server.max_body_bytes
        asked = parse_as(ReconcileRequest, await read_json(request, limit_bytes))
        principal = caller()
        if not principal.may_use(asked.collection):
            raise NotAllowed(code=ErrorCode.COLLECTION_NOT_ALLOWED)
        index = self._engine.assembly.managed_index
        if index is None:
            raise NotFound("no managed index is configured", hint="Set llamacloud.index.")
        compare = index.drift if asked.dry_run else index.reconcile
        drift = await compare(principal.tenant, asked.collection)
        return DriftBody(
            missing=drift.missing,
            stale=drift.stale,
            left_over=drift.left_over,
            skipped=drift.skipped,
        )
