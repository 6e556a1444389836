"""The one factory of a data folder's adapters and of the journeys that run on them.

The server, the Python clients (`foliotrace.llamacloud`) and the command line all build their
journeys here, so they have the same adapters, the same order of rungs and the same limits.
"""

from foliotrace.stack.data_folder import DataFolder, open_ledger
from foliotrace.stack.journeys import ExternalServices, Host, Stack, resilient_generator

__all__ = ["DataFolder", "ExternalServices", "Host", "Stack", "open_ledger", "resilient_generator"]
