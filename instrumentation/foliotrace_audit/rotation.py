"""Replacing the keys of a log."""

from pathlib import Path

from foliotrace_audit.keys import ACTIVE_FILE, AuditKeys, read_keys, write_new_keys
from foliotrace_audit.settings import AuditSettings
from foliotrace_audit.writer import AuditWriter


def rotate_keys(
    key_folder: Path, log_folder: Path | None, *, checkpoint_folder: Path | None = None
) -> AuditKeys:
    """Make new, chosen keys active in `key_folder`; earlier ones stay. Returns the new ones.

    With `log_folder`, a `key.rotated` record in a stream of its own says so, under the old key; its
    checkpoints also go to `checkpoint_folder`.
    Raises AuditKeyUnusable, AuditUnavailable.
    """
    if log_folder is None or not (key_folder / ACTIVE_FILE).exists():
        return write_new_keys(key_folder, dev_key=False)
    settings = AuditSettings(checkpoint_folder=checkpoint_folder)
    writer = AuditWriter.open(log_folder, read_keys(key_folder), settings)
    try:
        keys = write_new_keys(key_folder, dev_key=False)
        writer.use_keys(keys)
    finally:
        writer.close()
    return keys
