"""The commands of `foliotrace loop`, registered on its group."""

from foliotrace_server.cli.loop import cases, experiments, judges, queues, releases, sync
from foliotrace_server.cli.loop.shared import loop

__all__ = ["cases", "experiments", "judges", "loop", "queues", "releases", "sync"]
