"""The type of objects that belong to libraries this package watches but does not import."""

from typing import Any, TypeAlias

Foreign: TypeAlias = Any  # LlamaIndex events, responses and components: read by attribute, guarded
