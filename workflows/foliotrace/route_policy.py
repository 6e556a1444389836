"""Route policy: where a capability runs, given what the request asks and the operator allows."""

from collections.abc import Mapping
from typing import TypeVar

from foliotrace.errors import PathNotOffered
from foliotrace.model import ExecutionMode

T = TypeVar("T")


def select(asked: ExecutionMode | None, configured: T, allowed: Mapping[ExecutionMode, T]) -> T:
    """The implementation to use: the configured one unless the request asks for another mode.

    `allowed` is empty where LlamaCloud is switched off; local execution may be asked for even then.
    Raises PathNotOffered.
    """
    if asked is None or (asked is ExecutionMode.LOCAL and not allowed):
        return configured
    if asked not in allowed:
        raise PathNotOffered(f"`path` {asked.value} is not available: LlamaCloud is not enabled.")
    return allowed[asked]
