"""Which scopes each request needs: one table for REST and the llama-agents protocol."""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final, TypeAlias

from foliotrace_server.keys.api_key import Scope


class Access(Enum):
    """What a request needs that is no scope."""

    PUBLIC = auto()  # no key
    NO_ROUTE = auto()  # nothing is served under this path


Needed: TypeAlias = frozenset[Scope] | Access
"""One of these scopes; an empty set: any key."""

_PUBLIC: Final = Access.PUBLIC
_ANY_KEY: Final[frozenset[Scope]] = frozenset()
_READ: Final = frozenset({Scope.READ})
_ADMIN: Final = frozenset({Scope.ADMIN})
_INGEST: Final = frozenset({Scope.INGEST})
_EXTRACT: Final = frozenset({Scope.EXTRACT})
_BY_WORKFLOW: Final = _ANY_KEY  # ProtocolApp requires `scope_of` the workflow

_TABLE: Final[Mapping[str, Needed]] = {
    "GET /healthz": _PUBLIC,
    "GET /readyz": _PUBLIC,
    "POST /v1/webhooks/llamacloud": _PUBLIC,  # signed by its sender
    "GET /metrics": frozenset({Scope.ADMIN}),
    "GET /openapi.json": _ANY_KEY,
    "GET /docs": _ANY_KEY,
    "POST /v1/query": _READ,
    "GET /v1/documents": _READ,
    "POST /v1/documents": _INGEST,
    "GET /v1/documents/*": _READ,
    "DELETE /v1/documents/*": _INGEST,
    "GET /v1/documents/*/pages/*": _READ,
    "POST /v1/extractions": _EXTRACT,
    "GET /v1/extractions/*": _READ,
    "GET /v1/jobs": _READ,
    "GET /v1/jobs/*": _READ,
    "GET /v1/jobs/*/events": _READ,
    "POST /v1/jobs/*/cancel": _INGEST | _EXTRACT,  # one of them
    "GET /v1/runs": _READ,
    "GET /v1/runs/stats": _READ,
    "GET /v1/runs/*": _READ,
    "GET /v1/queues": _ADMIN,
    "POST /v1/queues": _ADMIN,
    "GET /v1/queues/*": _ADMIN,
    "POST /v1/queues/*/fill": _ADMIN,
    "POST /v1/queues/*/lease": _ADMIN,
    "POST /v1/queues/*/reviews": _ADMIN,
    "POST /v1/queues/*/accepted": _ADMIN,
    "POST /v1/feedback": _READ,  # on runs that the caller may read
    "POST /v1/index/reconcile": _ADMIN,
    "POST /v1/erasures": frozenset({Scope.ADMIN}),
    "GET /health": _ANY_KEY,
    "GET /workflows": _ANY_KEY,
    "GET /workflows/*/schema": _ANY_KEY,
    "GET /workflows/*/events": _ANY_KEY,
    "GET /workflows/*/representation": _ANY_KEY,
    "POST /workflows/*/run": _BY_WORKFLOW,
    "POST /workflows/*/run-nowait": _BY_WORKFLOW,
    "GET /handlers": _READ,
    "GET /handlers/*": _READ,
    "POST /handlers/*/cancel": _BY_WORKFLOW,
    "GET /results/*": _READ,
    "GET /events/*": _READ,
    "POST /events/*": _BY_WORKFLOW,
}
_WORKFLOWS: Final = {"query": Scope.READ, "ingest": Scope.INGEST, "extract": Scope.EXTRACT}


def scope_of(workflow: str) -> Scope:
    """The scope that starts, cancels or continues a workflow: `admin` for the operator's own."""
    return _WORKFLOWS.get(workflow, Scope.ADMIN)


def needed(method: str, path: str) -> Needed:
    """What a request needs.

    A known path with another method needs any key, and is then refused by the router.
    """
    parts = path.strip("/").split("/")
    for pattern, by_method in _BY_LENGTH.get(len(parts), ()):
        if all(ours in ("*", theirs) for ours, theirs in zip(pattern, parts, strict=True)):
            return by_method.get("GET" if method == "HEAD" else method, _ANY_KEY)
    return Access.NO_ROUTE


def of_operation(method: str, path: str) -> Needed:
    """What an operation of the OpenAPI document needs, whose path names its ids: `/runs/{id}`."""
    return needed(method, "/".join("id" if p.startswith("{") else p for p in path.split("/")))


def _by_length() -> Mapping[int, list[tuple[tuple[str, ...], dict[str, Needed]]]]:
    """The table by number of parts of the path."""
    by_path: dict[tuple[str, ...], dict[str, Needed]] = {}
    for route, needs in _TABLE.items():
        method, _, path = route.partition(" ")
        by_path.setdefault(tuple(path.strip("/").split("/")), {})[method] = needs
    table: dict[int, list[tuple[tuple[str, ...], dict[str, Needed]]]] = {}
    for pattern, by_method in by_path.items():
        table.setdefault(len(pattern), []).append((pattern, by_method))
    return table


_BY_LENGTH: Final = _by_length()
