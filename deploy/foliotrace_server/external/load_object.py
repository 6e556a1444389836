"""Loads the user's objects that the settings name: models, embeddings, retrievers, workflows."""

import sys
from importlib import import_module
from typing import TypeVar

from foliotrace.errors import Misconfigured

T = TypeVar("T")


def load_object(setting: str, reference: str, kind: type[T]) -> T:
    """The object at `pkg.mod:object`, or what it returns if it is a function without arguments.

    The working folder is searched too. Raises Misconfigured, naming `setting`.
    """
    loaded = _import(setting, reference)
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


def _import(setting: str, reference: str) -> object:
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
