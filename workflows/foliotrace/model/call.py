"""The caller, the deadline and the execution mode of a request; JSON types."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

Scalar: TypeAlias = str | int | float | bool
Metadata: TypeAlias = Mapping[str, Scalar]
JsonObject: TypeAlias = dict[str, Any]

DEFAULT_COLLECTION = "default"
COLLECTION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
"""Allowed names of collections, for `fullmatch`."""


class ExecutionMode(StrEnum):
    """Where a request is processed: here, in LlamaCloud, or in LlamaCloud with a local fallback.

    A request can opt out of LlamaCloud, but cannot opt in beyond the configuration.
    """

    LOCAL = "local"
    CLOUD = "cloud"
    CLOUD_THEN_LOCAL = "cloud_then_local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """The caller, as determined by the edge's `identify`; no header or body can choose it."""

    tenant: str = "default"
    subject: str = "anonymous"


@dataclass(frozen=True, slots=True)
class Deadline:
    """The moment, in seconds of the monotonic clock, when a result is no longer awaited."""

    at_s: float

    def remaining_s(self, now_s: float) -> float:
        """Seconds left at `now_s`, at least 0."""
        return max(0.0, self.at_s - now_s)

    def capped(self, now_s: float, limit_s: float) -> "Deadline":
        """The earlier of this deadline and `limit_s` from now."""
        return Deadline(min(self.at_s, now_s + limit_s))
