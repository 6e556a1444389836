"""The schema of a small SQLite file, brought up step by step; `PRAGMA user_version` counts them.

A file from before the count has version 0 and the first step's tables, so a first step creates
only what is missing. A step that has been released is never edited.
"""

import sqlite3
from collections.abc import Iterator, Sequence


class NewerSchema(sqlite3.DatabaseError):
    """The file was written by a newer foliotrace."""


def bring_up(connection: sqlite3.Connection, steps: Sequence[str]) -> None:
    """Apply the steps the file lacks, all or none; safe when two processes open it at once.

    `connection` is in autocommit (`isolation_level=None`). Raises NewerSchema, sqlite3.Error.
    """
    if _version(connection) == len(steps):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        have = _version(connection)
        if have > len(steps):
            raise NewerSchema(
                f"its schema has version {have}, this foliotrace knows {len(steps)}:"
                " use the release that wrote it, or a newer one"
            )
        for step in steps[have:]:
            for statement in _statements(step):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version={len(steps)}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _statements(step: str) -> Iterator[str]:
    statement = ""
    for line in step.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
