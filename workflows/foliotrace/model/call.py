"""Who calls, until when, and the plain types of JSON."""

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
"""What a collection may be called, wherever it is named; matched fully."""


class ExecutionMode(StrEnum):
    """Where a request may be worked on: here alone, at LlamaCloud alone, or here as its fallback.

    What is asked can always be less cloud than the settings allow, never a cloud they leave off.
    """

    LOCAL = "local"
    CLOUD = "cloud"
    CLOUD_THEN_LOCAL = "cloud_then_local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who calls. Comes from the edge's `identify` alone, never from a body or a header."""

    tenant: str = "default"
    subject: str = "anonymous"


@dataclass(frozen=True, slots=True)
class Deadline:
    """The moment, on the monotonic clock, after which nobody waits for the result."""

    at_s: float

    def remaining_s(self, now_s: float) -> float:
        """Seconds left at `now_s`; never negative."""
        return max(0.0, self.at_s - now_s)

    def capped(self, now_s: float, limit_s: float) -> "Deadline":
        """The earlier of this deadline and `limit_s` from now."""
        return Deadline(min(self.at_s, now_s + limit_s))
