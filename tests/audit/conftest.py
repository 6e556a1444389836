from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.audit.log_reading import OpenLog

from foliotrace_audit import AuditKeys, AuditWriter, AuditWriterSettings, write_new_keys


@pytest.fixture
def keys(tmp_path: Path) -> AuditKeys:
    return write_new_keys(tmp_path / "keys", dev_key=False)


@pytest.fixture
def open_log(tmp_path: Path, keys: AuditKeys) -> Iterator[OpenLog]:
    """Opens writers on one log folder, with checkpoints also sent to a second folder."""
    writers = []

    def open_writer(settings: dict[str, Any] | None = None, **wiring: Any) -> AuditWriter:
        chosen = AuditWriterSettings(
            **{"checkpoint_folder": tmp_path / "outside", **(settings or {})}
        )
        writer = AuditWriter.open(tmp_path / "log", wiring.pop("keys", keys), chosen, **wiring)
        writers.append(writer)
        return writer

    yield open_writer
    for writer in writers:
        writer.close()
