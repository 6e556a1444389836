"""What the fake remembers: files, jobs, directories, indexes, configurations, webhooks."""

import base64
import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from tests.fakes.llamacloud.content import Page
from tests.fakes.llamacloud.jobs import Billing, Job, Pace, now

DEFAULT_PROJECT, OTHER_PROJECT = "prj-fake", "prj-other"
ORGANIZATION = "org-fake"
DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE = 50, 1000


class Refused(Exception):
    """The request is answered with `status` and `{"detail": detail}`."""

    def __init__(self, status: int, detail: Any, *, retry_after: float | None = None) -> None:
        super().__init__(str(detail))
        self.status = status
        self.detail = detail
        self.retry_after = retry_after


def new_id(prefix: str) -> str:
    """An identifier like the service's."""
    return f"{prefix}-{uuid.uuid4()}"


def iso(moment: datetime | None) -> str | None:
    """The time as JSON has it."""
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


@dataclass
class StoredFile:
    """An uploaded file."""

    id: str
    project_id: str
    name: str
    content: bytes
    purpose: str
    external_file_id: str | None = None
    created_at: datetime = field(default_factory=now)
    expires_at: datetime | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of the bytes."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def file_type(self) -> str | None:
        """The extension without its dot."""
        return self.name.rsplit(".", 1)[-1].lower() if "." in self.name else None


@dataclass
class Directory:
    """A directory of files."""

    id: str
    project_id: str
    name: str
    type: str
    description: str | None = None
    system_metadata: dict[str, Any] | None = None
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)
    expires_at: datetime | None = None


@dataclass
class DirectoryFile:
    """A file's entry in a directory."""

    id: str
    directory_id: str
    project_id: str
    file_id: str
    display_name: str
    unique_id: str
    metadata: dict[str, Any]
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)


@dataclass(frozen=True)
class IndexedFile:
    """A directory file as the last finished sync exported it."""

    id: str
    entry: DirectoryFile
    digest: str
    pages: tuple[Page, ...]

    @property
    def text(self) -> str:
        """All pages, set apart by a blank line."""
        return "\n\n".join(page.text for page in self.pages)


@dataclass
class Index:
    """A searchable index.

    `exported` is what retrieval sees: parsed files by the id of their source directory file.
    `skipped` are the files that the last sync could not read, with the reason.
    """

    id: str
    project_id: str
    name: str
    source_directory_id: str
    description: str | None
    sync_frequency: str
    attachments: tuple[str, ...]
    output_directory_id: str = field(default_factory=lambda: new_id("dir"))
    sync_config_id: str = field(default_factory=lambda: new_id("syc"))
    export_config_id: str = field(default_factory=lambda: new_id("exc"))
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)
    last_exported_at: datetime | None = None
    last_synced_at: datetime | None = None
    sync: Job | None = None
    exported: dict[str, IndexedFile] = field(default_factory=dict)
    vectors: bool = True
    skipped: dict[str, str] = field(default_factory=dict)

    @property
    def syncing(self) -> bool:
        """Whether a sync runs now."""
        return self.sync is not None and not self.sync.terminal


@dataclass
class Configuration:
    """A saved product configuration."""

    id: str
    project_id: str
    name: str
    parameters: dict[str, Any]
    version: int = 1
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)


@dataclass
class WebhookConfig:
    """A saved webhook; `settings` are the request's own keys, the secret included."""

    id: str
    project_id: str
    settings: dict[str, Any]
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)


@dataclass
class State:
    """Everything, by id."""

    files: dict[str, StoredFile] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    directories: dict[str, Directory] = field(default_factory=dict)
    directory_files: dict[str, DirectoryFile] = field(default_factory=dict)
    indexes: dict[str, Index] = field(default_factory=dict)
    configurations: dict[str, Configuration] = field(default_factory=dict)
    webhooks: dict[str, WebhookConfig] = field(default_factory=dict)
    billing: Billing = field(default_factory=Billing)
    paces: dict[str, Pace] = field(default_factory=dict)

    def file(self, file_id: str, project_id: str) -> StoredFile:
        """A file that is there and has not expired."""
        found = own(self.files, file_id, project_id, "File")
        if found.expires_at is not None and found.expires_at <= now():
            raise Refused(404, f"File {file_id} has expired")
        return found


class Owned(Protocol):
    """Anything that belongs to a project."""

    project_id: str


OwnedT = TypeVar("OwnedT", bound=Owned)


def own(held: dict[str, OwnedT], key: str, project_id: str, what: str) -> OwnedT:
    """The thing of that id in that project. Another project's is as unknown as none."""
    found = held.get(key)
    if found is None or found.project_id != project_id:
        raise Refused(404, f"{what} {key} not found")
    return found


def paged(
    items: Sequence[Any], size: int | None, token: str | None
) -> tuple[list[Any], str | None]:
    """One page of `items` and the token of the next."""
    start = 0
    if token:
        try:
            start = int(base64.urlsafe_b64decode(token.encode()).decode().removeprefix("at:"))
        except ValueError as error:
            raise Refused(400, "Invalid page token") from error
    if size is not None and size < 1:
        raise Refused(422, "page_size must be at least 1")
    end = start + min(size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
    more = base64.urlsafe_b64encode(f"at:{end}".encode()).decode() if end < len(items) else None
    return list(items[start:end]), more


def expiry(seconds: float) -> datetime:
    """`seconds` from now."""
    return now() + timedelta(seconds=seconds)
