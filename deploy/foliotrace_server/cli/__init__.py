"""The command `foliotrace`. Exit codes: see `failures.py` and docs/reference/cli.md."""

from foliotrace_server.cli.quick_imports import import_without_rich

import_without_rich("httpx", "structlog")

from foliotrace_server.cli.main import main  # noqa: E402 - it imports the two

__all__ = ["main"]
