"""Administrators' commands in the audit log, and the defaults of the commands that read it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from os import geteuid
from pathlib import Path
from pwd import getpwuid
from typing import Any
from uuid import uuid4

from foliotrace.adapters.local.files.lease import WriterLease
from foliotrace.errors import AuditUnavailable, FoliotraceError, Misconfigured
from foliotrace.ports import AuditEntry
from foliotrace_audit import (
    AuditError,
    AuditKeyUnusable,
    AuditSettingInvalid,
    AuditWriter,
    Entry,
    open_keys,
)
from foliotrace_audit.verify.evidence import read_evidence
from foliotrace_audit.verify.log import verify_log
from foliotrace_audit.verify.verdict import Verdict
from foliotrace_audit.write.recovery import unended_streams
from foliotrace_server.observing.audit import audit_folders, checkpoint_folder, writer_settings
from foliotrace_server.observing.audited_runs import interrupted
from foliotrace_server.settings import Settings


def operator() -> str:
    """The user of the operating system: by name, or by number where it has none (a container)."""
    try:
        return f"os:{getpwuid(geteuid()).pw_name}"
    except KeyError:
        return f"os:{geteuid()}"


@contextmanager
def audited_command(settings: Settings, action: str) -> Iterator[Callable[..., None]]:
    """Write the first record of an administrator's command, and its last when it has ended.

    The command calls what is yielded with the fields that it learns: `tenant`, `api_key_id`. The
    records go on in the stream of the data folder, or in one of their own beside a running server.
    Raises Misconfigured, AuditUnavailable.
    """
    if not settings.audit.enabled:
        yield lambda **fields: None
        return
    log_folder, keys_folder = audit_folders(settings)
    user = operator()
    entry = AuditEntry(
        event="admin_received", run_id=f"run_{uuid4().hex}", tenant="", user_id=user, action=action
    )
    learnt: dict[str, Any] = {}
    try:
        died = unended_streams(log_folder) if log_folder.is_dir() else []
        keys = open_keys(keys_folder)
        writer = AuditWriter.open(log_folder, keys, writer_settings(settings), resume=True)
        try:
            for lost in interrupted(log_folder, died):  # the new stream ends theirs
                writer.append(Entry.like(lost))
            writer.append(Entry.like(entry))
            try:
                yield learnt.update
            except FoliotraceError as error:
                failed = replace(entry, event="admin_failed", success=False, **learnt)
                writer.append(Entry.like(replace(failed, error=error.error_code)))
                raise
            done = replace(entry, event="admin_completed", success=True, **learnt)
            writer.append(Entry.like(done))
        finally:
            writer.close()
    except (AuditKeyUnusable, AuditSettingInvalid) as error:
        raise Misconfigured(str(error), hint=error.hint) from error
    except (AuditError, OSError) as error:
        hint = error.hint if isinstance(error, AuditError) else ""
        raise AuditUnavailable("the audit log cannot be written", hint=hint) from error


def verify_audit(settings: Settings) -> Verdict:
    """Verify this installation's log with the keys and checkpoints it holds itself.

    With development keys the best verdict is `unanchored`.
    Raises AuditKeyUnusable, OSError.
    """
    log_folder, keys_folder = audit_folders(settings)
    second = checkpoint_folder(settings)
    evidence = read_evidence(
        log_folder,
        key_folder=keys_folder,
        public_keys=(),
        checkpoints=(second,) if second.is_dir() else (),
    )
    return verify_log(log_folder, evidence, jobs=1)


def command_defaults(settings: Settings, output: str) -> dict[str, dict[str, object]]:
    """Defaults of the `foliotrace audit` options from the settings, as click's `default_map`.

    The keys folder is included only if it exists: an auditor on another machine needs none.
    """
    log_folder, keys_folder = (str(folder) for folder in audit_folders(settings))
    second = checkpoint_folder(settings)
    seconds = [str(second)] if second.is_dir() else []
    is_served = WriterLease.holder(settings.data_dir) is not None
    keys = {"keys": keys_folder} if Path(keys_folder).is_dir() else {}
    reading = {"log_folder": log_folder, "output": output, **keys}
    return {
        "verify": {**reading, "checkpoints": seconds, "open_ok": is_served},
        "find": dict(reading),
        "export": {"log_folder": log_folder, **keys},
        "checkpoints": {"log_folder": log_folder, "output": output},
        "rotate-key": {
            "output": output,
            "log_folder": log_folder,
            "key_folder": keys_folder,
            "checkpoints": str(second),
        },
    }
