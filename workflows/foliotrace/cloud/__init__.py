"""The names people know: `LlamaParse`, `LlamaExtract`, `LlamaCloudIndex`.

Thin doors to the same journeys as the service's. Without a key everything runs in this process;
with one, LlamaCloud does the work and the local rungs stay below it.
"""

from foliotrace.cloud.arguments import ArgumentWithoutEffect
from foliotrace.cloud.extract import LlamaExtract
from foliotrace.cloud.index import LlamaCloudIndex
from foliotrace.cloud.parse import LlamaParse

__all__ = ["ArgumentWithoutEffect", "LlamaCloudIndex", "LlamaExtract", "LlamaParse"]
