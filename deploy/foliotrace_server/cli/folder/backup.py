"""`foliotrace backup` and `restore`."""

from pathlib import Path

import click

from foliotrace_server.cli import output
from foliotrace_server.cli.command import Command, Options, pass_options, with_exit_code
from foliotrace_server.folder.manifest import Manifest

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command(cls=Command)
@click.argument("folder", type=_FOLDER)
@click.option("--since", type=_FOLDER, help="An earlier backup: link its originals, copy the rest.")
@pass_options
@with_exit_code
def backup(options: Options, folder: Path, since: Path | None) -> None:
    """Copy the data folder to FOLDER, a new or empty one, while it may be in use.

    The keyword index is left out: it is built again. Audit keys are in the backup: keep it secret.

    Examples:
      foliotrace backup /mnt/backups/2026-11-21
      foliotrace backup /mnt/backups/2026-11-22 --since /mnt/backups/2026-11-21
      foliotrace --data-dir /var/lib/foliotrace backup /mnt/backups/today
    """
    from foliotrace_server.folder.backup import back_up

    _report(options, "backed up", back_up(options.settings().data_dir, folder, since=since), folder)


@click.command(cls=Command)
@click.argument("backup", type=_FOLDER)
@pass_options
@with_exit_code
def restore(options: Options, backup: Path) -> None:
    """Verify BACKUP and copy it to the data folder, which must be new or empty.

    Examples:
      foliotrace restore /mnt/backups/2026-11-21 --data-dir ./restored
    """
    from foliotrace_server.folder.backup import restore as restore_to

    folder = options.settings().data_dir
    _report(options, "restored", restore_to(backup, folder), folder)


def _report(options: Options, done: str, manifest: Manifest, folder: Path) -> None:
    size_bytes = sum(file.size_bytes for file in manifest.files.values())
    if options.output == "json":
        said = {"folder": str(folder), "files": len(manifest.files), "size_bytes": size_bytes}
        output.print_json({**said, "created_at": manifest.created_at})
    else:
        output.print_line(f"{done} {len(manifest.files)} files ({size_bytes} bytes) to {folder}")
