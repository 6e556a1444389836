"""Clients with the names and calls of LlamaCloud: `LlamaParse`, `LlamaExtract`, `LlamaCloudIndex`.

They run the service's journeys in this process, with the service's limits. Without a key everything
is local; with one, LlamaCloud does the work and the local adapters are the fallback.
"""

from foliotrace.llamacloud.arguments import ArgumentWithoutEffect
from foliotrace.llamacloud.extract import LlamaExtract
from foliotrace.llamacloud.index import LlamaCloudIndex
from foliotrace.llamacloud.parse import LlamaParse

__all__ = ["ArgumentWithoutEffect", "LlamaCloudIndex", "LlamaExtract", "LlamaParse"]
