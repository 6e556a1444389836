"""A least-recently-used cache; the keyword index and the library each keep one."""

from collections import OrderedDict
from contextlib import suppress
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class LruCache(Generic[K, V]):
    """At most `limit` values; the least recently used one is evicted first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._values: OrderedDict[K, V] = OrderedDict()
        self._version = -1

    def __contains__(self, key: K) -> bool:
        return key in self._values

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: K) -> V | None:
        """The value, which becomes the most recently used, or None."""
        value = self._values.get(key)
        if value is not None:
            with suppress(KeyError):  # another thread has cleared the cache
                self._values.move_to_end(key)
        return value

    def put(self, key: K, value: V) -> None:
        """Store a value."""
        self._values[key] = value
        if len(self._values) > self._limit:
            self._values.popitem(last=False)

    def keep_for(self, version: int) -> None:
        """Clear the cache if its values were read at another version."""
        if version != self._version:
            self._values.clear()
            self._version = version

    def clear(self) -> None:
        """Drop all values."""
        self._values.clear()
