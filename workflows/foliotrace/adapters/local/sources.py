"""What a folder sync saw last, in the library's file."""

from datetime import datetime

from foliotrace.adapters.local.library import SqliteLibrary
from foliotrace.ports import SeenFile


class SqliteSeenFiles:
    """A `SeenFiles`. A document's row goes with the document."""

    def __init__(self, library: SqliteLibrary) -> None:
        self._database = library.database

    async def seen(self, tenant: str, collection: str, name: str) -> SeenFile | None:
        """See `SeenFiles.seen`."""
        rows = self._database.rows(
            "SELECT size_bytes, modified_ns, content_hash, seen_at FROM sources"
            " WHERE tenant = ? AND collection = ? AND name = ?",
            (tenant, collection, name),
        )
        if not rows:
            return None
        size_bytes, modified_ns, content_hash, seen_at = rows[0]
        return SeenFile(
            size_bytes=size_bytes,
            modified_ns=modified_ns,
            content_hash=content_hash,
            seen_at=datetime.fromisoformat(seen_at),
        )

    async def remember(self, tenant: str, collection: str, name: str, file: SeenFile) -> None:
        """See `SeenFiles.remember`."""
        row = (
            tenant,
            collection,
            name,
            file.size_bytes,
            file.modified_ns,
            file.content_hash,
            file.seen_at.isoformat(),
        )
        await self._database.write(
            lambda c: c.execute("INSERT OR REPLACE INTO sources VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        )
