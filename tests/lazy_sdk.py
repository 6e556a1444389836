"""Vendors' SDKs that take seconds to import: loaded by the first test that uses them.

Collecting the suite must stay quick, or nobody runs one test by name.
"""

from importlib import import_module
from typing import Any


class lazy:
    """The module `name`, imported at the first look at one of its public attributes.

    Private names are refused, because pytest looks for them on everything a test module holds.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith(("_", "pytest")):
            raise AttributeError(attribute)
        return getattr(import_module(self._name), attribute)


def lazy_call(name: str) -> Any:
    """The class or function `package.module:name`, imported when it is called."""

    def call(*args: Any, **kwargs: Any) -> Any:
        module, _, attribute = name.partition(":")
        return getattr(import_module(module), attribute)(*args, **kwargs)

    return call
