"""The commands of `foliotrace loop`, registered on its group."""

from foliotrace_server.cli.loop import cases, experiments, queues, releases, sync
from foliotrace_server.cli.loop.shared import loop

__all__ = ["cases", "experiments", "loop", "queues", "releases", "sync"]
