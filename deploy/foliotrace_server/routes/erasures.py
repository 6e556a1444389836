"""`/v1/erasures`: erases data by user, collection or age, with a receipt in the audit log."""

from starlette.requests import Request

from foliotrace.catalog import ErrorCode
from foliotrace.errors import NotAllowed
from foliotrace.ports import ErasureScope
from foliotrace_server.bodies import ErasureBody, ErasureRequest
from foliotrace_server.engine import Engine
from foliotrace_server.folder.erasure import erase
from foliotrace_server.http.identity import caller
from foliotrace_server.http.request_body import parse_as, read_json
from foliotrace_server.routes.endpoint import endpoint


class Erasures:
    """Erasure over HTTP, for administrators."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @endpoint(
        "POST",
        "/v1/erasures",
        tag="operations",
        request=ErasureRequest,
        problems=(400, 408, 413, 415, 422, 503),
    )
    async def erase(self, request: Request) -> ErasureBody:
        """Erase documents, runs, cached answers and jobs by user, collection or age.

        Conditions are combined with AND. `receipt` is the `run_id` of the erasure's audit records.
        """
        limit_bytes = self._engine.settings.server.max_body_bytes
        asked = parse_as(ErasureRequest, await read_json(request, limit_bytes))
        principal = caller()
        if principal.collections is not None and not (
            asked.collection and principal.may_use(asked.collection)
        ):
            raise NotAllowed(code=ErrorCode.COLLECTION_NOT_ALLOWED)
        scope = ErasureScope(
            tenant=principal.tenant,
            user=asked.user,
            collection=asked.collection,
            before=asked.before,
        )
        return await erase(self._engine, principal, scope)
