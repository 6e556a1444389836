"""The command `foliotrace`. Exit codes: see `failures.py` and docs/reference/cli.md."""

from foliotrace_server.cli.main import main

__all__ = ["main"]
