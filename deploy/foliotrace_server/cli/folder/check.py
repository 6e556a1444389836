"""`foliotrace check` and `upgrade`."""

from dataclasses import asdict

import click

from foliotrace.adapters.local.sqlite.database import translated
from foliotrace.errors import LibraryUnavailable
from foliotrace_server.cli import output
from foliotrace_server.cli.command import Command, Exit, Options, pass_options, with_exit_code


@click.command(cls=Command)
@click.option("--repair", "repairs", is_flag=True, help="Repair what is found; nothing may run.")
@pass_options
@with_exit_code
def check(options: Options, repairs: bool) -> Exit:
    """Read the whole data folder back; report every changed page and missing file.

    `--repair` moves what is damaged to `damaged/` and makes a new library from the originals and
    the rows that can be read; the next start ingests them. Exit code 3: damage is left.

    Examples:
      foliotrace check
      foliotrace check --repair --data-dir /var/lib/foliotrace
    """
    from foliotrace.adapters.local.files.lease import WriterLease
    from foliotrace.adapters.local.files.permissions import private_files
    from foliotrace_server.folder.check import check_folder
    from foliotrace_server.folder.repair import repair

    settings = options.settings()
    with translated():
        left = damage = check_folder(settings)
        if repairs and damage:
            with private_files(), WriterLease.acquire(settings.data_dir):
                left = repair(settings.data_dir, damage)
    repaired = len(damage) - len(left)
    if options.output == "json":
        found = [{**asdict(each), "repaired": each not in left} for each in damage]
        output.print_json({"damage": found, "repaired": repaired})
    else:
        for each in damage:
            done = "" if each in left else " (repaired)"
            output.print_line(f"{each.area} {each.file}: {each.detail}{done}")
        hint = "; repair it: foliotrace check --repair" if left and not repairs else ""
        output.print_line(f"{len(damage)} problems, {repaired} repaired{hint}" if damage else "ok")
    return Exit.PARTLY_FAILED if left else Exit.DONE


@click.command(cls=Command)
@click.option("--check", "only_check", is_flag=True, help="Only report whether it is needed.")
@pass_options
@with_exit_code
def upgrade(options: Options, only_check: bool) -> Exit:
    """Bring the data folder to the schema of this release; a start does the same.

    With `--check`, exit code 3 means that an upgrade is needed: make a backup first.

    Examples:
      foliotrace upgrade --check
      foliotrace upgrade
    """
    from foliotrace.adapters.local.files.lease import WriterLease
    from foliotrace.adapters.local.files.permissions import private_files
    from foliotrace.adapters.local.sqlite.library import SqliteLibrary
    from foliotrace.catalog import Reason
    from foliotrace_server.folder.check import pending_migrations

    folder = options.settings().data_dir
    with translated():
        pending = pending_migrations(folder)
    if pending < 0:
        raise LibraryUnavailable(reason=Reason.LIBRARY_SCHEMA_VERSION)
    if pending and not only_check:
        with private_files(), WriterLease.acquire(folder):
            SqliteLibrary.open(folder).close()
    if options.output == "json":
        output.print_json({"pending": pending, "upgraded": bool(pending) and not only_check})
    elif only_check:
        output.print_line(f"{pending} migrations are pending" if pending else "up to date")
    else:
        output.print_line(f"applied {pending} migrations" if pending else "up to date")
    return Exit.PARTLY_FAILED if pending and only_check else Exit.DONE
