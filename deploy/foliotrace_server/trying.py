"""What `foliotrace doctor --probe` tries beside models: disk, audit keys, the collector."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

from foliotrace.errors import Misconfigured
from foliotrace_audit import AuditKeyUnusable
from foliotrace_audit.keys import ACTIVE_FILE, read_keys
from foliotrace_otel import OTelSettings
from foliotrace_otel.setup.configure import collector_answers
from foliotrace_server.observing.audit import audit_folders
from foliotrace_server.settings import Settings

LEAST_FREE_BYTES: Final = 256 * 2**20
COLLECTOR_S: Final = 5.0


def disk(settings: Settings) -> str:
    """Write, sync and delete a small file where the data is. Raises Misconfigured."""
    folder = _nearest(settings.data_dir.absolute())
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".probe-") as file:
            file.write(b"ping")
            file.flush()
            os.fsync(file.fileno())
        free_bytes = shutil.disk_usage(folder).free
    except OSError as error:
        raise Misconfigured(
            f"the data folder cannot be written: {error.strerror}",
            hint="Free space, or set data_dir to a folder that this user may write.",
        ) from error
    if free_bytes < LEAST_FREE_BYTES:
        raise Misconfigured(
            f"{free_bytes // 2**20} MiB are free on the disk of the data folder",
            hint=f"Keep {LEAST_FREE_BYTES // 2**20} MiB free: uploads are refused on a full disk.",
        )
    return f"takes files; {free_bytes // 2**20} MiB free"


def keys(settings: Settings) -> str:
    """Read the audit keys; none is made. Raises Misconfigured when one is not usable."""
    folder = audit_folders(settings)[1]
    if not (folder / ACTIVE_FILE).exists():
        return "none yet: development keys are made at the first start"
    try:
        found = read_keys(folder)
    except AuditKeyUnusable as error:
        raise Misconfigured("an audit key cannot be used", hint=error.hint) from error
    return "development keys" if found.dev_key else "can be used"


def collector(environment: OTelSettings) -> str:
    """Send an empty export where spans go. Raises Misconfigured when it is not taken."""
    if not collector_answers(environment, timeout_s=COLLECTOR_S):
        raise Misconfigured(
            f"the collector accepted no span within {COLLECTOR_S:g} s",
            hint="Check OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_EXPORTER_OTLP_PROTOCOL.",
        )
    return f"takes spans over {environment.protocol}"


def _nearest(folder: Path) -> Path:
    """The folder, or the first above it that is there."""
    return next(each for each in (folder, *folder.parents) if each.is_dir())
