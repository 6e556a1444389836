"""LlamaIndex dispatcher spans and events as OpenTelemetry spans."""

from typing import Any, TypeAlias

LlamaIndexObject: TypeAlias = Any
"""An event, response or component of LlamaIndex: read by attribute, because this package depends on
llama-index-instrumentation alone and on no other of its distributions."""
