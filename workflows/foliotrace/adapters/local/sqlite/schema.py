"""The tables of the library, as migrations: the n-th one leads from schema version n-1 to n.

A released migration is never edited: a change of the tables is a new migration.
"""

from typing import Final

_FIRST: Final = """
CREATE TABLE state (
  key TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO state VALUES ('version', 0);
INSERT INTO state VALUES ('library_id', abs(random()));

CREATE TABLE documents (
  id TEXT PRIMARY KEY,
  tenant TEXT NOT NULL,
  collection TEXT NOT NULL,
  name TEXT NOT NULL,
  content_hash TEXT NOT NULL,
  media_type TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,
  status TEXT NOT NULL,
  revision TEXT,
  pending_revision TEXT,
  pages_total INTEGER NOT NULL DEFAULT 0,
  pages_stored INTEGER NOT NULL DEFAULT 0,
  pages_unreadable INTEGER NOT NULL DEFAULT 0,
  chunks INTEGER NOT NULL DEFAULT 0,
  title TEXT,
  company TEXT,
  period TEXT,
  kind TEXT,
  stated_title TEXT,
  metadata TEXT NOT NULL DEFAULT '{}',
  problem TEXT,
  problem_detail TEXT,
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  UNIQUE (tenant, collection, name)
) WITHOUT ROWID;
CREATE INDEX documents_by_revision ON documents (tenant, revision);
CREATE INDEX documents_by_pending ON documents (tenant, pending_revision);
CREATE INDEX documents_by_content ON documents (tenant, content_hash);

CREATE TABLE document_fields (
  document_id TEXT NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
  field TEXT NOT NULL,
  value TEXT NOT NULL,
  origin TEXT NOT NULL,
  PRIMARY KEY (document_id, field, value, origin)
) WITHOUT ROWID;
CREATE INDEX fields_by_value ON document_fields (field, value, document_id);

CREATE TABLE pages (
  tenant TEXT NOT NULL,
  revision TEXT NOT NULL,
  number INTEGER NOT NULL,
  problem TEXT,
  page BLOB NOT NULL,
  words BLOB NOT NULL
);
CREATE UNIQUE INDEX pages_by_number ON pages (tenant, revision, number);

CREATE TABLE chunks (
  id TEXT NOT NULL UNIQUE,
  tenant TEXT NOT NULL,
  document_id TEXT NOT NULL,
  revision TEXT NOT NULL,
  ordinal INTEGER NOT NULL,
  page INTEGER NOT NULL,
  start_offset INTEGER NOT NULL,
  end_offset INTEGER NOT NULL,
  text TEXT NOT NULL,
  context TEXT NOT NULL
);
CREATE UNIQUE INDEX chunks_in_order ON chunks (document_id, revision, ordinal);

CREATE TABLE changes (
  version INTEGER PRIMARY KEY,
  tenant TEXT NOT NULL,
  collection TEXT NOT NULL,
  document_id TEXT NOT NULL UNIQUE,
  deleted INTEGER NOT NULL
);

CREATE TABLE jobs (
  id TEXT PRIMARY KEY,
  tenant TEXT NOT NULL,
  subject TEXT NOT NULL,
  kind TEXT NOT NULL,
  document_id TEXT NOT NULL,
  status TEXT NOT NULL,
  stage TEXT NOT NULL,
  pages_done INTEGER NOT NULL,
  pages_total INTEGER NOT NULL,
  chunks INTEGER NOT NULL,
  problem TEXT,
  problem_detail TEXT,
  idempotency_key TEXT,
  fingerprint TEXT,
  trace_id TEXT,
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX jobs_newest ON jobs (tenant, created_at DESC, id DESC);
CREATE INDEX jobs_of_document ON jobs (tenant, document_id);
CREATE UNIQUE INDEX jobs_by_key ON jobs (tenant, kind, idempotency_key)
  WHERE idempotency_key IS NOT NULL;

CREATE TABLE extractions (
  job_id TEXT PRIMARY KEY,
  tenant TEXT NOT NULL,
  document_id TEXT NOT NULL,
  schema TEXT NOT NULL,
  extraction TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX extractions_of_document ON extractions (tenant, document_id);

CREATE TABLE runs (
  id TEXT PRIMARY KEY,
  tenant TEXT NOT NULL,
  created_at TEXT NOT NULL,
  run TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX runs_by_age ON runs (created_at);

CREATE TABLE run_documents (
  document_id TEXT NOT NULL,
  run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
  PRIMARY KEY (document_id, run_id)
) WITHOUT ROWID;
CREATE INDEX run_documents_by_run ON run_documents (run_id);
"""

_PATH_OF_A_JOB: Final = "ALTER TABLE jobs ADD COLUMN path TEXT;"

_RUNS_BY_TRACE: Final = """
ALTER TABLE runs ADD COLUMN trace_id TEXT;
ALTER TABLE runs ADD COLUMN project TEXT NOT NULL DEFAULT 'default';
UPDATE runs SET trace_id = json_extract(run, '$.trace_id');
CREATE INDEX runs_newest ON runs (tenant, created_at DESC, id DESC);
CREATE INDEX runs_by_trace ON runs (tenant, trace_id);
"""

_USAGE_OF_A_JOB: Final = """
ALTER TABLE jobs ADD COLUMN prompt_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN cached_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN completion_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN embedding_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN llm_calls INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN cost_usd TEXT NOT NULL DEFAULT '0';
ALTER TABLE jobs ADD COLUMN credits REAL NOT NULL DEFAULT 0;
"""

_DEGRADED_PAGES: Final = """
ALTER TABLE pages ADD COLUMN degraded INTEGER NOT NULL DEFAULT 0;
ALTER TABLE documents ADD COLUMN pages_degraded INTEGER NOT NULL DEFAULT 0;
ALTER TABLE documents ADD COLUMN served_hash TEXT;
UPDATE documents SET served_hash = content_hash WHERE status = 'ready';
CREATE INDEX documents_degraded ON documents (id) WHERE pages_degraded > 0;
ALTER TABLE jobs ADD COLUMN pages_degraded INTEGER NOT NULL DEFAULT 0;
"""

_SELECTED_PAGES: Final = """
ALTER TABLE documents ADD COLUMN pages TEXT;
ALTER TABLE documents ADD COLUMN served_pages TEXT;
"""

MIGRATIONS: Final = (
    _FIRST,
    _PATH_OF_A_JOB,
    _RUNS_BY_TRACE,
    _USAGE_OF_A_JOB,
    _DEGRADED_PAGES,
    _SELECTED_PAGES,
)
