"""The endpoint table: which call takes which SDK params and answers which SDK model."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tests.fakes.llamacloud.state import Refused
from tests.fakes.wire import Fault

if TYPE_CHECKING:
    from tests.fakes.llamacloud.cloud import FakeLlamaCloud


@dataclass(frozen=True)
class Upload:
    """A file part of a multipart body."""

    name: str
    content: bytes


@dataclass(frozen=True)
class Call:
    """One authenticated, checked request. `many` keeps every value of a repeated query key."""

    cloud: "FakeLlamaCloud"
    project_id: str
    key: str
    path: dict[str, str]
    many: dict[str, list[str]]
    body: dict[str, Any] = field(default_factory=dict)
    files: dict[str, Upload] = field(default_factory=dict)
    behaviours: tuple[Fault, ...] = ()
    base_url: str = ""

    def one(self, name: str) -> str | None:
        """A query parameter's only value."""
        values = self.many.get(name)
        return values[0] if values else None

    def number(self, name: str) -> int | None:
        """A query parameter as a whole number."""
        value = self.one(name)
        return int(value) if value is not None and value.lstrip("-").isdigit() else None

    def moment(self, name: str) -> datetime | None:
        """A query parameter as an aware time. Raises `Refused` if it is not one."""
        value = self.one(name)
        if value is None:
            return None
        try:
            read = datetime.fromisoformat(value)
        except ValueError as error:
            raise Refused(422, f"{name} is not a time") from error
        return read if read.tzinfo else read.replace(tzinfo=UTC)

    def flag(self, name: str) -> bool:
        """A boolean query parameter."""
        return self.one(name) in ("true", "True", "1")


Handler = Callable[[Call], Awaitable[Any]]


@dataclass(frozen=True)
class Endpoint:
    """One row of the table. `params` is the SDK's `TypedDict`; `takes` says where it travels."""

    method: str
    path: str
    handler: Handler
    params: Any
    takes: str
    returns: Any
    required_files: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name that faults and counts use."""
        return f"{self.method} {self.path}"


ENDPOINTS: list[Endpoint] = []


def endpoint(
    method: str,
    path: str,
    *,
    params: Any = None,
    takes: str = "query",
    returns: Any = None,
    required_files: tuple[str, ...] = (),
) -> Callable[[Handler], Handler]:
    """Put a handler in the table. `takes` is query, json or form; `returns` None means 204."""

    def register(handler: Handler) -> Handler:
        ENDPOINTS.append(Endpoint(method, path, handler, params, takes, returns, required_files))
        return handler

    return register
