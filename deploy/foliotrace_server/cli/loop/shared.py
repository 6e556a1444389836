"""What the commands of `foliotrace loop` share: the group, the connection, exit codes."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

import click

from foliotrace.errors import FoliotraceError
from foliotrace_loop.ports import LoopError
from foliotrace_server.cli.command import Group, Options, connect, print_error

if TYPE_CHECKING:
    from foliotrace_loop.store import LoopStore
    from foliotrace_server.client import AsyncFoliotraceClient

P = ParamSpec("P")
T = TypeVar("T")
NOT_EVALUATED: Final = 2


@click.group(cls=Group)
def loop() -> None:
    """From a bad answer to a fix that stays fixed: find, replay, promote, eval, compare, gate.

    Examples:
      foliotrace loop find
      foliotrace loop promote run_8c2e... --reference "28 days" --split smoke
      foliotrace loop gate --suite smoke
    """


def with_loop_exit_code(command: Callable[P, int | None]) -> Callable[P, None]:
    """Exit with the command's code; 2 for everything that prevented an evaluation."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            code = int(command(*args, **kwargs) or 0)
        except LoopError as error:
            sys.stderr.write(f"foliotrace: {error}\n")
            code = NOT_EVALUATED
        except FoliotraceError as error:
            print_error(error)
            code = NOT_EVALUATED
        except KeyboardInterrupt:
            code = 130
        sys.exit(code)

    return run


def connected(options: Options, work: "Callable[[AsyncFoliotraceClient], Awaitable[T]]") -> T:
    """Run `work` with a client of the service that the options name."""

    async def run() -> T:
        async with connect(options) as client:
            return await work(client)

    return asyncio.run(run())


def store_of(options: Options) -> "LoopStore":
    """Where experiments are kept: in the data folder, or beside the datasets for a remote one."""
    from foliotrace_loop.store import LoopStore

    return LoopStore(folder_of(options) / "loop.db")


def folder_of(options: Options) -> Path:
    """The data folder, or `evals` for a service at a URL."""
    folder = options.settings().data_dir if options.url is None else Path("evals")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


datasets_option = click.option(
    "--datasets",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("evals/datasets"),
    show_default=True,
    help="Folder of the datasets.",
)
