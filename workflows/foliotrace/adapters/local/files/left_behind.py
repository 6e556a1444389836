"""Refuses to create a library in a folder that has lost one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from foliotrace.catalog import Reason
from foliotrace.errors import LibraryUnavailable

LIBRARY_FILE: Final = "library.db"
_MADE_AFTER_IT: Final = (
    ("original files", "blobs/*/*/*"),
    ("a keyword index", "keyword/*.json"),
    ("vectors", "vectors.db"),
    ("records of a vector store", "vector_store.db"),
    ("kept answers", "stale.db"),
)


def refuse_lost_library(folder: Path, also: Sequence[tuple[str, str]] = ()) -> None:
    """Raise LibraryUnavailable `library_lost` if the folder has no library and is not new.

    A lost file, or a volume that is not mounted yet, must not become an empty service that looks
    well. `also` are further (name, glob) pairs of what only a folder with a library can hold.
    """
    library = folder / LIBRARY_FILE
    if library.exists() and (library.is_dir() or library.stat().st_size):
        return
    found = [name for name, glob in (*_MADE_AFTER_IT, *also) if any(folder.glob(glob))]
    if found:
        raise LibraryUnavailable(
            f"The library is missing, but the data folder holds {' and '.join(found)}.",
            reason=Reason.LIBRARY_LOST,
        )
