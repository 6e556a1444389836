"""Caches that hold text of documents or questions, so that a deletion can empty all of them.

What is computed from a passage is asked for again with the next question, and is therefore cached
beyond the question. Such a cache must not keep text longer than the library does: each one is
created by `text_cache` or registered by `clear_on_deletion`, and `clear_text_caches` empties them
when content was deleted. They are of the process: a deletion in one data folder empties those of
all, which costs the next questions some milliseconds.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Final, ParamSpec, Protocol, TypeVar, cast
from weakref import WeakValueDictionary

P = ParamSpec("P")
T = TypeVar("T")
C = TypeVar("C", bound="Clearable")


class Clearable(Protocol):
    """An object that holds text it can compute or read again."""

    def clear(self) -> None:
        """Drop all of it."""
        ...


_functions: Final[list[Callable[[], None]]] = []
_objects: Final[WeakValueDictionary[int, Clearable]] = WeakValueDictionary()


def text_cache(maxsize: int) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """`functools.lru_cache` for functions of text: emptied by `clear_text_caches`."""

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        cached = lru_cache(maxsize)(function)
        _functions.append(cached.cache_clear)
        return cast("Callable[P, T]", cached)

    return decorate


def clear_on_deletion(cache: C) -> C:
    """Have `clear_text_caches` clear the object, as long as it lives; returns the object."""
    _objects[id(cache)] = cache
    return cache


def clear_function_caches() -> None:
    """Empty the caches of functions, for objects that follow the library's version themselves."""
    for clear in _functions:
        clear()


def clear_text_caches() -> None:
    """Empty every cache of text in the process."""
    clear_function_caches()
    for cache in tuple(_objects.values()):
        cache.clear()
