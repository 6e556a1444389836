"""Where LangSmith is, and the key, for the commands that talk to it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from foliotrace_loop.ports import LoopError

if TYPE_CHECKING:
    from foliotrace_loop.langsmith.wire import LangSmithApi

F = TypeVar("F", bound=Callable[..., Any])


def langsmith_options(command: F) -> F:
    """`--endpoint` and `--langsmith-api-key`, by default from the variables of LangSmith's SDK."""
    for option in reversed(
        (
            click.option(
                "--endpoint",
                envvar=["LANGSMITH_ENDPOINT", "LANGCHAIN_ENDPOINT"],
                help="LangSmith's URL; default: LANGSMITH_ENDPOINT, or the hosted service.",
            ),
            click.option(
                "--langsmith-api-key",
                "key",
                envvar=["LANGSMITH_API_KEY", "LANGCHAIN_API_KEY"],
                help="Other users can see the command line, not LANGSMITH_API_KEY.",
            ),
        )
    ):
        command = option(command)
    return command


def langsmith_of(endpoint: str | None, key: str | None, *, connections: int = 8) -> "LangSmithApi":
    """The workspace that the options name. Raises LoopError without a key."""
    from foliotrace_loop.langsmith.wire import ENDPOINT, LangSmithApi

    if not key:
        raise LoopError("there is no key of LangSmith: set LANGSMITH_API_KEY")
    return LangSmithApi(endpoint or ENDPOINT, key, connections=connections)
