"""Objects of the user's own that the settings name: loaded, and watched for failures."""

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, TypeVar

import structlog

from foliotrace.errors import Misconfigured

if TYPE_CHECKING:
    from foliotrace.adapters.llamaindex.component_health import ComponentHealth

T = TypeVar("T")
_log = structlog.get_logger(__name__)


class OwnParts:
    """The health of each object, by the setting that names it. Changes are logged once."""

    def __init__(self) -> None:
        self._health: dict[str, ComponentHealth] = {}

    def health(self, setting: str) -> "ComponentHealth":
        """The health of the object that `setting` names."""
        from foliotrace.adapters.llamaindex.component_health import (
            ComponentHealth,  # costs LlamaIndex
        )

        return self._health.setdefault(setting, ComponentHealth(setting, _log_change))

    def failures(self, *settings: str) -> Sequence[str]:
        """`setting: Type: first line` of each whose last call failed.

        A setting ending in "*" stands for all that begin so.
        """
        return [
            f"{each.part}: {each.failure}"
            for each in self._health.values()
            if each.failure is not None and any(_matches(each.part, name) for name in settings)
        ]


def _matches(part: str, name: str) -> bool:
    return part.startswith(name[:-1]) if name.endswith("*") else part == name


def _log_change(part: str, failure: str | None) -> None:
    if failure is None:
        _log.info("own_part.works_again", setting=part)
    else:
        _log.warning("own_part.failed", setting=part, error=failure)


def load_object(setting: str, reference: str, kind: type[T]) -> T:
    """The object at `pkg.mod:object`, or what it returns if it is a function without arguments.

    The working folder is searched too. Raises Misconfigured, naming `setting`.
    """
    loaded = import_object(setting, reference)
    if not isinstance(loaded, kind) and callable(loaded):
        try:
            loaded = loaded()
        except Exception as error:  # the user's code may raise anything
            raise Misconfigured(
                f"{setting} names {reference}, which failed when called: {type(error).__name__}",
                hint="It is called once at start, without arguments.",
            ) from error
    if not isinstance(loaded, kind):
        raise Misconfigured(
            f"{setting} names {reference}, which is not a {kind.__name__}",
            hint=f"Name an object of that class, or a function that returns one: {reference}",
        )
    return loaded


def import_object(setting: str, reference: str) -> object:
    """What `pkg.mod:object` names, not called. Raises Misconfigured, naming `setting`."""
    module, _, name = reference.partition(":")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        loaded: object = getattr(import_module(module), name)
    except Exception as error:  # the user's module may raise anything
        raise Misconfigured(
            f"{setting} names {reference}, which cannot be imported: {type(error).__name__}",
            hint="Use pkg.mod:object; the working directory is searched too.",
        ) from error
    return loaded
