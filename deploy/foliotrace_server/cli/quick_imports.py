"""Start-up without what libraries import only in case: a fifth of the time until ready."""

import sys
from importlib import import_module
from typing import Final

_OPTIONAL: Final = ("rich", "pygments")


def import_without_rich(*libraries: str) -> None:
    """Import `libraries` as if rich and pygments were not installed.

    httpx takes them for its command line, structlog for tracebacks; both do without. Afterwards
    they can be imported as ever.
    """
    hidden = [name for name in _OPTIONAL if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type] # None: "not installed"
    try:
        for library in libraries:
            import_module(library)
    finally:
        for name in hidden:
            del sys.modules[name]
