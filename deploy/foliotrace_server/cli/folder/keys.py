"""`foliotrace keys`: creates, lists, rotates and revokes the API keys of a data folder."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import click

from foliotrace.adapters.local.files.left_behind import LIBRARY_FILE, refuse_lost_library
from foliotrace.adapters.local.files.permissions import private_files
from foliotrace_server.cli import output
from foliotrace_server.cli.command import Group, Options, pass_options, with_exit_code
from foliotrace_server.folder.problems import MADE_AFTER_THE_LIBRARY
from foliotrace_server.keys.api_key import ApiKey, Scope
from foliotrace_server.keys.key_file import KeyFile

_DEFAULT_SCOPES = (Scope.READ, Scope.INGEST, Scope.EXTRACT)


@click.group(cls=Group)
def keys() -> None:
    """Create, list, rotate and revoke API keys. A running server follows within a request.

    Examples:
      foliotrace keys create --name reports --scope read
      foliotrace keys list
    """


@keys.command("create")
@click.option("--name", default="", help="What the key is for.")
@click.option("--tenant", default="default", show_default=True, help="Whose documents it opens.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice([scope.value for scope in Scope]),
    help="What it allows; repeat for several. [default: read, ingest, extract]",
)
@click.option(
    "--collection",
    "collections",
    multiple=True,
    help="The only collection it may use; repeat for several. [default: all of the tenant]",
)
@click.option("--expires-days", type=click.FloatRange(min=0, min_open=True), help="Lifetime.")
@pass_options
@with_exit_code
def create(
    options: Options,
    name: str,
    tenant: str,
    scopes: Sequence[str],
    collections: Sequence[str],
    expires_days: float | None,
) -> None:
    """Create a key and print it; it cannot be shown again.

    Examples:
      foliotrace keys create
      foliotrace keys create --tenant acme --scope read --scope ingest --expires-days 90
    """
    now = datetime.now(UTC)
    with _audited(options, "key.create") as note:
        key, text = _file(options).create(
            tenant=tenant,
            scopes=frozenset(map(Scope, scopes or _DEFAULT_SCOPES)),
            now=now,
            name=name,
            expires_at=now + timedelta(days=expires_days) if expires_days is not None else None,
            collections=frozenset(collections) or None,
        )
        note(tenant=key.tenant, api_key_id=key.id)
    _print_new(options, key, text)


@keys.command("list")
@pass_options
@with_exit_code
def list_keys(options: Options) -> None:
    """List the keys with their state: live, expired or revoked.

    Examples:
      foliotrace keys list
    """
    now = datetime.now(UTC)
    found = _file(options).keys()
    if options.output == "json":
        output.print_json([_described(key, now) for key in found])
        return
    output.print_table(
        ("ID", "STATE", "TENANT", "COLLECTIONS", "SCOPES", "EXPIRES", "NAME"),
        [
            (
                key.id,
                key.state(now),
                key.tenant,
                "all" if key.collections is None else ",".join(sorted(key.collections)),
                ",".join(sorted(key.scopes)),
                f"{key.expires_at:%Y-%m-%d %H:%M}" if key.expires_at else "never",
                key.name,
            )
            for key in found
        ],
    )


@keys.command("rotate")
@click.argument("key_id")
@click.option(
    "--overlap-hours",
    default=24.0,
    show_default=True,
    type=click.FloatRange(min=0),
    help="How long the old key stays valid beside the new one.",
)
@pass_options
@with_exit_code
def rotate(options: Options, key_id: str, overlap_hours: float) -> None:
    """Replace a key by a new one with the same rights and print that.

    Examples:
      foliotrace keys rotate k3v9x2m1q0ab --overlap-hours 48
    """
    overlap = timedelta(hours=overlap_hours)
    with _audited(options, "key.rotate") as note:
        note(api_key_id=key_id)
        key, text = _file(options).rotate(key_id, now=datetime.now(UTC), overlap=overlap)
        note(tenant=key.tenant)
    _print_new(options, key, text)


@keys.command("revoke")
@click.argument("key_id")
@pass_options
@with_exit_code
def revoke(options: Options, key_id: str) -> None:
    """Revoke a key at once.

    Examples:
      foliotrace keys revoke k3v9x2m1q0ab
    """
    now = datetime.now(UTC)
    with _audited(options, "key.revoke") as note:
        note(api_key_id=key_id)
        key = _file(options).revoke(key_id, now=now)
        note(tenant=key.tenant)
    if options.output == "json":
        output.print_json(_described(key, now))
    else:
        output.print_line(f"revoked {key.id}")


@contextmanager
def _audited(options: Options, action: str) -> Iterator[Callable[..., None]]:
    """Record what is done inside in the audit log.

    A new folder gets its library first: a log without one is taken for a folder that has lost it.
    """
    from foliotrace.adapters.local.sqlite.library import SqliteLibrary
    from foliotrace_server.observing.audit_commands import audited_command  # brings OpenTelemetry

    settings = options.settings()
    folder = settings.data_dir
    with private_files():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        refuse_lost_library(folder, also=MADE_AFTER_THE_LIBRARY)
        if not (folder / LIBRARY_FILE).exists():
            SqliteLibrary.open(folder).close()
        with audited_command(settings, action) as note:
            yield note


def _file(options: Options) -> KeyFile:
    return KeyFile(options.settings().data_dir)


def _print_new(options: Options, key: ApiKey, text: str) -> None:
    if options.output == "json":
        output.print_json({**_described(key, key.created_at), "key": text})
        return
    output.print_line(text)
    click.echo(
        f"Key {key.id} of tenant {key.tenant}, scopes {', '.join(sorted(key.scopes))}. "
        "Keep it now: it is not stored and cannot be shown again.",
        err=True,
    )


def _described(key: ApiKey, now: datetime) -> dict[str, object]:
    """A key without its hash."""
    return {
        "id": key.id,
        "name": key.name,
        "tenant": key.tenant,
        "collections": None if key.collections is None else sorted(key.collections),
        "scopes": sorted(key.scopes),
        "state": key.state(now),
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "replaced_by": key.replaced_by,
    }
