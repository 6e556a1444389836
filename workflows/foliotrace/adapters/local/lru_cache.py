"""What was read lately, kept in memory up to a count."""

from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class LruCache(Generic[K, V]):
    """At most `limit` values; the one not asked for longest goes first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._values: OrderedDict[K, V] = OrderedDict()
        self._version = -1

    def __contains__(self, key: K) -> bool:
        return key in self._values

    def get(self, key: K) -> V | None:
        """The value, which becomes the newest, or None."""
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def put(self, key: K, value: V) -> None:
        """Keep a value."""
        self._values[key] = value
        if len(self._values) > self._limit:
            self._values.popitem(last=False)

    def keep_for(self, version: int) -> None:
        """Drop everything if it was read under another version than this one."""
        if version != self._version:
            self._values.clear()
            self._version = version

    def clear(self) -> None:
        """Drop everything."""
        self._values.clear()
