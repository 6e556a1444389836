"""The columns of documents, chunks and jobs follow their dataclasses."""

import sqlite3
from datetime import UTC, datetime
from typing import Any

import pytest

from foliotrace.adapters.local.sqlite.columns import CHUNK, DOCUMENT, JOB, Columns, placeholders
from foliotrace.adapters.local.sqlite.database import apply_migrations
from foliotrace.adapters.local.sqlite.schema import MIGRATIONS
from foliotrace.model import (
    Chunk,
    Document,
    DocumentStatus,
    ExecutionMode,
    Identity,
    Job,
    JobKind,
    JobStatus,
)

MOMENT = datetime(2026, 11, 21, 15, 42, 7, 120, tzinfo=UTC)
WHOLE_DOCUMENT = Document(
    id="doc_1",
    tenant="t1",
    collection="default",
    name="notes.txt",
    content_hash="a" * 64,
    media_type="text/plain",
    size_bytes=3,
    status=DocumentStatus.FAILED,
    revision="r1",
    pending_revision="r2",
    pages="1-3,7",
    pages_total=4,
    pages_stored=3,
    pages_unreadable=2,
    chunks=1,
    identity=Identity(title="T", company="C", period="2018", kind="10-K"),
    stated_title="Stated",
    metadata={"team": "red", "year": 2018, "draft": True},
    problem="file_malformed",
    problem_detail="Why.",
    created_at=MOMENT,
    updated_at=MOMENT,
)
BARE_DOCUMENT = Document(
    id="doc_2",
    tenant="t1",
    collection="default",
    name="other.txt",
    content_hash="b" * 64,
    media_type="text/plain",
    size_bytes=3,
    status=DocumentStatus.QUEUED,
    created_at=MOMENT,
    updated_at=MOMENT,
)
WHOLE_CHUNK = Chunk(
    id="0" * 24,
    document_id="doc_1",
    revision="r1",
    ordinal=7,
    page=2,
    start=10,
    end=20,
    text="Net sales.",
    context="Header",
)
WHOLE_JOB = Job(
    id="job_1",
    tenant="t1",
    subject="s1",
    kind=JobKind.EXTRACT,
    document_id="doc_1",
    status=JobStatus.RUNNING,
    stage="parse",
    pages_done=1,
    pages_total=2,
    chunks=3,
    problem="parse_deadline",
    problem_detail="Why.",
    idempotency_key="k",
    fingerprint="f",
    trace_id="0" * 32,
    path=ExecutionMode.LOCAL,
    created_at=MOMENT,
    updated_at=MOMENT,
)


@pytest.fixture
def connection() -> Any:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    apply_migrations(connection, MIGRATIONS)
    yield connection
    connection.close()


@pytest.mark.parametrize(
    ("table", "columns", "record"),
    [
        ("documents", DOCUMENT, WHOLE_DOCUMENT),
        ("documents", DOCUMENT, BARE_DOCUMENT),
        ("jobs", JOB, WHOLE_JOB),
    ],
)
def test_a_record_comes_back_from_its_row(
    connection: sqlite3.Connection, table: str, columns: Columns[Any], record: Any
) -> None:
    connection.execute(
        f"INSERT INTO {table} ({columns.listed()}) VALUES ({placeholders(columns.names)})",
        columns.row(record),
    )
    row = connection.execute(f"SELECT {columns.listed()} FROM {table}").fetchone()
    assert columns.read(row) == record


def test_a_chunk_comes_back_from_its_row_with_its_offsets() -> None:
    assert CHUNK.names[5:7] == ("start_offset", "end_offset")
    assert CHUNK.read(CHUNK.row(WHOLE_CHUNK)) == WHOLE_CHUNK


@pytest.mark.parametrize(
    ("table", "columns", "beside"),
    [
        ("documents", DOCUMENT, {"served_hash", "served_pages"}),
        ("jobs", JOB, set()),
        ("chunks", CHUNK, {"tenant"}),
    ],
)
def test_every_field_has_a_column_and_every_column_a_field(
    connection: sqlite3.Connection, table: str, columns: Columns[Any], beside: set[str]
) -> None:
    stored = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
    assert stored == set(columns.names) | beside
