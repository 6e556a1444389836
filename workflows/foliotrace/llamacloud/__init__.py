"""The names people know: `LlamaParse`, `LlamaExtract`, `LlamaCloudIndex`.

Thin doors to the same journeys as the service's. Without a key everything runs in this process;
with one, LlamaCloud does the work and the local rungs stay below it.
"""

from foliotrace.llamacloud.arguments import ArgumentWithoutEffect
from foliotrace.llamacloud.extract import LlamaExtract
from foliotrace.llamacloud.index import LlamaCloudIndex
from foliotrace.llamacloud.parse import LlamaParse

__all__ = ["ArgumentWithoutEffect", "LlamaCloudIndex", "LlamaExtract", "LlamaParse"]
