"""Content at a path for readers that open paths, without a file that a killed worker leaves."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile


@contextmanager
def content_at_path(content: bytes) -> Iterator[Path]:
    """A path to `content`: in memory on Linux, else a temporary file."""
    if sys.platform == "linux":
        descriptor = os.memfd_create("attachment")
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            yield Path(f"/proc/self/fd/{descriptor}")
        return
    with NamedTemporaryFile() as named:
        named.write(content)
        named.flush()
        yield Path(named.name)
