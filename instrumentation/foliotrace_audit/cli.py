"""`foliotrace audit ...`: verify, find, export, checkpoints, rotate-key.

Folders and keys are options; whoever mounts `audit` may give them defaults through click's
`default_map`. Exit codes: 0 sound or done, 1 tampered, 2 cannot tell or cannot run.
"""

import csv
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any, Final, Self, TypeAlias

import click
import orjson

from foliotrace_audit.files import CHECKPOINT_FILE, streams
from foliotrace_audit.keys import MacKey, read_chain_keys, read_keys
from foliotrace_audit.options import (
    KEYS_HELP,
    SUBJECT_HELP,
    existing_path,
    log_option,
    output_option,
    reports_errors,
    since_option,
    until_option,
)
from foliotrace_audit.record import FIELDS
from foliotrace_audit.verify import verdict as report
from foliotrace_audit.verify.evidence import read_checkpoint_files, read_evidence
from foliotrace_audit.verify.log import verify_log
from foliotrace_audit.verify.ocsf import as_ocsf
from foliotrace_audit.verify.search import (
    Record,
    RecordFilter,
    find_records,
    hashes_of,
    unfinished,
)
from foliotrace_audit.write.writer import rotate_keys

OPERATION: Final = "foliotrace_audit.operation"
"""The key of click's `meta` under which whoever mounts `audit` puts an `Operation`."""
Operation: TypeAlias = Callable[[str, Path], AbstractContextManager[None]]
"""(action, folder of the log) -> what is entered around it."""


_VERIFY_EXAMPLES = """\b
Examples:
  foliotrace audit verify --log data/audit --keys data/audit-keys \\
      --public-key /mnt/vault/sign.pub.pem --checkpoints /mnt/vault/checkpoints
  foliotrace audit verify --log data/audit --public-key sign.pub.pem \\
      --checkpoints checkpoints.jsonl --open-ok --output json
"""
_FIND_EXAMPLES = """\b
Examples:
  foliotrace audit find --log data/audit --keys data/audit-keys --tenant default \\
      --query "What is the notice period?"
  foliotrace audit find --log data/audit --user ann --since 2026-11-01 --failed
  foliotrace audit find --log data/audit --unfinished --output json
"""
_EXPORT_EXAMPLES = """\b
Examples:
  foliotrace audit export --log data/audit --since 2026-11-01 > november.jsonl
  foliotrace audit export --log data/audit --format csv > audit.csv
  foliotrace audit export --log data/audit --keys data/audit-keys --format ocsf \\
      --tenant acme --subject key:k_1 > events.jsonl
"""
_CHECKPOINTS_EXAMPLES = """\b
Examples:
  foliotrace audit checkpoints --log data/audit --newest
  foliotrace audit checkpoints --log data/audit --output json > /mnt/vault/checkpoints.jsonl
"""
_ROTATE_KEY_EXAMPLES = """\b
Examples:
  foliotrace audit rotate-key --keys data/audit-keys
  foliotrace audit rotate-key --keys data/audit-keys --log data/audit \\
      --checkpoints /mnt/vault/checkpoints
"""


@click.group()
def audit() -> None:
    """Verify, search and export the audit log."""


@audit.command(epilog=_VERIFY_EXAMPLES)
@log_option
@click.option(
    "--keys", type=existing_path, help="Key folder; without it, only checkpoints prove anything."
)
@click.option(
    "--public-key", type=existing_path, multiple=True, help="Public key (PEM) kept outside the log."
)
@click.option(
    "--checkpoints",
    type=existing_path,
    multiple=True,
    help="Checkpoints kept outside the log: a file or folder of signed lines or exported logs.",
)
@click.option(
    "--open-ok",
    is_flag=True,
    help="Accept records after the newest checkpoint; the default while the log is written.",
)
@click.option("--jobs", type=click.IntRange(1), help="Number of processes; default: one per core.")
@output_option
@click.pass_context
@reports_errors
def verify(
    ctx: click.Context,
    log_folder: Path,
    keys: Path | None,
    public_key: tuple[Path, ...],
    checkpoints: tuple[Path, ...],
    open_ok: bool,
    jobs: int | None,
    output: str,
) -> None:
    """Find every edited, removed, reordered or forged record, and every truncation.

    Exit code 0: sound. 1: tampered. 2: cannot tell, because no outside evidence anchors the log, or
    because no outside checkpoint proves the end of a stream (the last record proved is printed).
    """
    evidence = read_evidence(
        log_folder, key_folder=keys, public_keys=public_key, checkpoints=checkpoints
    )
    verdict = verify_log(log_folder, evidence, jobs=jobs)
    if output == "text":
        click.echo(report.verdict_as_text(verdict, accept_open=open_ok))
    else:
        click.echo(report.verdict_as_json(verdict, accept_open=open_ok))
    ctx.exit(verdict.status(accept_open=open_ok).exit_code)


@audit.command(epilog=_FIND_EXAMPLES)
@log_option
@click.option("--keys", type=existing_path, help=KEYS_HELP)
@click.option("--query", help="The text of a query; - reads it from standard input.")
@click.option("--tenant", help="Tenant; needed for --query.")
@click.option("--user", "user_id", help="The user's id.")
@click.option("--subject", help=SUBJECT_HELP)
@click.option("--trace-id", help="32 hex digits.")
@click.option("--run", "run_id", help="Run or job id.")
@click.option("--document", "document_id", help="Id of a document touched or cited.")
@click.option("--event", help="Event, for example query_failed.")
@click.option("--failed", is_flag=True, help="Only records of failed work.")
@click.option(
    "--unfinished", "only_unfinished", is_flag=True, help="Only work that began and never ended."
)
@since_option
@until_option
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=1000,
    show_default=True,
    help="Largest number of records.",
)
@output_option
@reports_errors
def find(
    log_folder: Path,
    keys: Path | None,
    query: str | None,
    failed: bool,
    only_unfinished: bool,
    limit: int,
    output: str,
    **wanted: Any,  # noqa: ANN401 - options passed on by name
) -> None:
    """Find records. The text of a query is hashed with every query key, and never stored."""
    hashes = None
    if query is not None:
        if keys is None or wanted["tenant"] is None:
            raise click.UsageError("--query needs --keys and --tenant")
        words = sys.stdin.read() if query == "-" else query
        hashes = hashes_of(read_keys(keys), wanted["tenant"], words)
    found: Iterable[Record] = find_records(
        log_folder,
        RecordFilter(hashes=hashes, success=False if failed else None, **wanted),
        chain_keys=_chain_keys(keys),
    )
    if only_unfinished:
        found = unfinished(found)
    with _operation("audit.find", log_folder), _VerifiedRecords() as verified:
        for record in verified.each(islice(found, limit)):
            click.echo(report.record_as_text(record) if output == "text" else orjson.dumps(record))


@audit.command(epilog=_EXPORT_EXAMPLES)
@log_option
@click.option("--keys", type=existing_path, help=KEYS_HELP)
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "csv", "ocsf"]),
    default="jsonl",
    show_default=True,
    help="One JSON object per line, a table, or OCSF events (API Activity).",
)
@click.option("--tenant", help="Only this tenant's records.")
@click.option("--subject", help=SUBJECT_HELP)
@since_option
@until_option
@reports_errors
def export(log_folder: Path, keys: Path | None, form: str, **wanted: Any) -> None:  # noqa: ANN401
    """Write the audit records to standard output, for another system to read.

    With --keys, exit code 1 if one of them is not as it was written.
    """
    found = find_records(log_folder, RecordFilter(**wanted), chain_keys=_chain_keys(keys))
    table = csv.DictWriter(sys.stdout, ["stream", "verified", *FIELDS])
    if form == "csv":
        table.writeheader()
    with _operation("audit.export", log_folder), _VerifiedRecords() as verified:
        for record in verified.each(found):
            if form == "csv":
                table.writerow({name: report.cell(value) for name, value in record.items()})
            else:
                ours = version("foliotrace") if form == "ocsf" else ""
                click.echo(orjson.dumps(as_ocsf(record, version=ours) if ours else record))


def _operation(action: str, log_folder: Path) -> AbstractContextManager[None]:
    """What whoever mounts `audit` does around a command that shows records: it records that."""
    operation: Operation | None = click.get_current_context().meta.get(OPERATION)
    return nullcontext() if operation is None else operation(action, log_folder)


def _chain_keys(folder: Path | None) -> Mapping[str, MacKey]:
    return read_chain_keys(folder) if folder is not None else {}


class _VerifiedRecords:
    """Counts the records that are not as they were written; exit code 1 at the end if any."""

    def __init__(self) -> None:
        self._wrong = 0

    def __enter__(self) -> Self:
        return self

    def each(self, records: Iterable[Record]) -> Iterator[Record]:
        """The records, counted."""
        for record in records:
            self._wrong += record["verified"] is False
            yield record

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        if failed is None and self._wrong:
            click.echo(
                f"{self._wrong} records are not as they were written; verify the log", err=True
            )
            click.get_current_context().exit(1)


@audit.command(epilog=_CHECKPOINTS_EXAMPLES)
@log_option
@click.option("--newest", is_flag=True, help="Only the newest checkpoint of each stream.")
@output_option
@reports_errors
def checkpoints(log_folder: Path, newest: bool, output: str) -> None:
    """List the checkpoints in the log's folder. JSON output is the signed lines themselves."""
    for stream in streams(log_folder):
        file = stream / CHECKPOINT_FILE
        found, _, _ = read_checkpoint_files([file] if file.exists() else [])
        for checkpoint in found[-1:] if newest else found:
            text = report.checkpoint_as_text(checkpoint)
            click.echo(text if output == "text" else checkpoint.line)


@audit.command("rotate-key", epilog=_ROTATE_KEY_EXAMPLES)
@click.option(
    "--keys", "key_folder", required=True, type=click.Path(path_type=Path), help="Key folder."
)
@click.option(
    "--log", "log_folder", type=click.Path(path_type=Path), help="Record the rotation in this log."
)
@click.option(
    "--checkpoints", type=click.Path(path_type=Path), help="The writers' second checkpoint folder."
)
@output_option
@reports_errors
def rotate_key(
    key_folder: Path, log_folder: Path | None, checkpoints: Path | None, output: str
) -> None:
    """Generate new keys and make them active; the first time this replaces development keys.

    Running writers load them within a checkpoint interval. Earlier keys stay in the folder, to
    verify and find earlier records. Copy the printed public key to where verifiers are.
    """
    keys = rotate_keys(key_folder, log_folder, checkpoint_folder=checkpoints)
    made = dict(zip(("chain", "query", "sign"), keys.ids, strict=True))
    made["public"] = str(key_folder / f"{keys.sign.id}.pub.pem")
    if output == "json":
        click.echo(orjson.dumps(made))
        return
    for name, value in made.items():
        click.echo(f"{name:6} {value}")
