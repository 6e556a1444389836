"""Schema migrations of a SQLite file; `PRAGMA user_version` counts those that were applied.

A migration that has been released is never edited. A file from before the count has version 0 and
the tables of its first migration, so a first migration may have to create only what is missing.
"""

import sqlite3
from collections.abc import Iterator, Sequence


class NewerSchema(sqlite3.DatabaseError):
    """A newer foliotrace wrote the file."""

    def __init__(self, found: int, known: int) -> None:
        super().__init__(
            f"its schema has version {found}, this foliotrace knows {known}:"
            " use the release that wrote it, or a newer one"
        )
        self.found = found


def apply_migrations(connection: sqlite3.Connection, migrations: Sequence[str]) -> None:
    """Apply the missing migrations, all or none; safe when two processes open the file at once.

    `connection` is in autocommit (`isolation_level=None`). Raises NewerSchema, sqlite3.Error.
    """
    if schema_version(connection) == len(migrations):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        found = schema_version(connection)
        if found > len(migrations):
            raise NewerSchema(found, len(migrations))
        for migration in migrations[found:]:
            for statement in _statements(migration):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version={len(migrations)}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def schema_version(connection: sqlite3.Connection) -> int:
    """How many migrations were applied to the file."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _statements(migration: str) -> Iterator[str]:
    # Not `executescript`: it commits the transaction that makes the migrations all or none.
    statement = ""
    for line in migration.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
