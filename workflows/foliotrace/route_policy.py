"""What a request may choose: a capability as it is configured, or by a path that is offered."""

from collections.abc import Mapping
from typing import TypeVar

from foliotrace.errors import PathNotOffered
from foliotrace.model import ExecutionMode

T = TypeVar("T")


def select(asked: ExecutionMode | None, configured: T, offered: Mapping[ExecutionMode, T]) -> T:
    """What `asked` stands for; `offered` is empty where LlamaCloud is off.

    Raises PathNotOffered.
    """
    if asked is None or (asked is ExecutionMode.LOCAL and not offered):
        return configured
    if asked not in offered:
        raise PathNotOffered(f"`path` {asked.value} is not offered here")
    return offered[asked]
