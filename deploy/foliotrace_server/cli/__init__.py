"""The command `foliotrace`. Exit codes: see `command.py` and docs/reference/cli.md."""

from foliotrace_server.cli.main import main

__all__ = ["main"]
