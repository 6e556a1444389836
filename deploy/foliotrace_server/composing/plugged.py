"""Objects of the user's own, named in the settings: models, embeddings, retrievers, workflows."""

import sys
from importlib import import_module
from typing import TypeVar

from foliotrace.errors import Misconfigured

T = TypeVar("T")


def plugged(setting: str, place: str, kind: type[T]) -> T:
    """The object at `pkg.mod:object`, or what it returns where that is a function of no arguments.

    `setting` is what an error names. Modules of the working folder are found too. Raises
    Misconfigured.
    """
    found = _imported(setting, place)
    if not isinstance(found, kind) and callable(found):
        try:
            found = found()
        except Exception as error:  # the user's code raises whatever it likes
            raise Misconfigured(
                f"{setting} names {place}, which failed when called: {type(error).__name__}",
                hint="It is called once at the start, without arguments.",
            ) from error
    if not isinstance(found, kind):
        raise Misconfigured(
            f"{setting} names {place}, which is no {kind.__name__}",
            hint=f"Name an object of that class, or a function that returns one: {place}",
        )
    return found


def _imported(setting: str, place: str) -> object:
    module, _, name = place.partition(":")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        found: object = getattr(import_module(module), name)
    except Exception as error:  # a module of the user's own raises whatever it likes
        raise Misconfigured(
            f"{setting} names {place}, which cannot be imported: {type(error).__name__}",
            hint="Use pkg.mod:object; the folder the service is started in is searched too.",
        ) from error
    return found
