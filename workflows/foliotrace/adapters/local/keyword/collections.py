"""One `KeywordStore` for each collection of each tenant, and the library version they all reached.

`state.json` is replaced after the stores are committed. A process killed in between applies the
same changes once more, which changes nothing.
"""

import os
from hashlib import sha256
from pathlib import Path
from typing import Final

import orjson

from foliotrace.adapters.local.keyword.store import LAYOUT, KeywordStore
from foliotrace.adapters.local.lru_cache import LruCache
from foliotrace.catalog import Reason
from foliotrace.errors import IndexUnavailable

_OPEN_STORES: Final = 256
_OPEN_WRITERS: Final = 8  # each has threads and a buffer of its own


class CollectionStores:
    """The stores in `folder`. Every method may raise IndexUnavailable.

    Raises it also when there is no index here, or one of another library or layout.
    """

    def __init__(self, folder: Path, library_id: int, *, create: bool = False) -> None:
        self.folder = folder
        self._state = folder / "state.json"
        self._library_id = library_id
        self._open: LruCache[str, KeywordStore] = LruCache(_OPEN_STORES)
        self._current: set[str] = set()  # scopes whose store was loaded since `state.json` changed
        self._changed: dict[str, KeywordStore] = {}
        self._writers: dict[str, KeywordStore] = {}  # in order of their last commit
        self._seen = (0, 0)
        self.version = 0
        if create:
            folder.mkdir(parents=True)
            self._save(0)
        self.follow()

    def follow(self) -> None:
        """Notice what was committed since, by this or another process."""
        try:
            status = os.stat(self._state)
            if (status.st_ino, status.st_mtime_ns) == self._seen:
                return
            layout, owner, version = orjson.loads(self._state.read_bytes())
        except (OSError, ValueError) as error:
            raise IndexUnavailable(reason=Reason.KEYWORD_INDEX_UNAVAILABLE) from error
        if (layout, owner) != (LAYOUT, self._library_id):
            raise IndexUnavailable(reason=Reason.KEYWORD_INDEX_UNAVAILABLE)
        self._seen = status.st_ino, status.st_mtime_ns
        self.version = int(version)
        self._current.clear()

    def of(self, scope: str) -> KeywordStore | None:
        """The store of a scope (`scope_of`); None if nothing was ever indexed there."""
        store = self._open.get(scope)
        if store is None:
            folder = self._folder(scope)
            if not folder.exists():
                return None
            store = KeywordStore(folder, self._library_id, create=False)
            self._open.put(scope, store)
        elif scope not in self._current:
            store.reload()
        self._current.add(scope)
        return store

    def for_change(self, scope: str) -> KeywordStore:
        """The store of a scope, made if there is none; `commit` makes its changes visible."""
        store = self._changed.get(scope) or self._writers.get(scope) or self.of(scope)
        if store is None:
            store = KeywordStore(self._folder(scope), self._library_id, create=True)
            self._open.put(scope, store)
        self._changed[scope] = store
        return store

    @property
    def many_changed(self) -> bool:
        """Whether as many stores have changes as should be written to at once."""
        return len(self._changed) >= _OPEN_WRITERS

    def commit(self, version: int) -> None:
        """Make all changes visible and durable; the index has then reached `version`."""
        for scope, store in self._changed.items():
            store.commit(version)
            self._writers.pop(scope, None)
            self._writers[scope] = store
        self._changed.clear()
        while len(self._writers) > _OPEN_WRITERS:
            self._writers.pop(next(iter(self._writers))).release()
        self._save(version)

    def check(self) -> bool:
        """Open every store, so that damage is found; whether any holds words of removed chunks."""
        folders = [path for path in self.folder.iterdir() if path.is_dir()]
        stores = [KeywordStore(path, self._library_id, create=False) for path in folders]
        return any(store.holds_removed() for store in stores)

    def close(self) -> None:
        """Release the write locks. May be called twice."""
        for store in {*self._changed.values(), *self._writers.values()}:
            store.close()
        self._changed.clear()
        self._writers.clear()

    def _folder(self, scope: str) -> Path:
        return self.folder / sha256(scope.encode()).hexdigest()[:32]

    def _save(self, version: int) -> None:
        # Not flushed to the disk: an older state repeats some work, a torn one rebuilds the index.
        new = self._state.with_suffix(".new")
        try:
            new.write_bytes(orjson.dumps([LAYOUT, self._library_id, version]))
            new.replace(self._state)
        except OSError as error:
            raise IndexUnavailable(reason=Reason.KEYWORD_INDEX_UNAVAILABLE) from error


def scope_of(tenant: str, collection: str) -> str:
    """One index term for a tenant and a collection; neither can contain the separator."""
    return f"{tenant}\x1f{collection}"
