"""A Pydantic model by import path as JSON Schema: for the command line and for Python callers.

Never for HTTP: importing what a client names would run what a client chooses.
"""

from collections.abc import Collection
from importlib import import_module

from pydantic import BaseModel

from foliotrace.errors import InvalidSchema
from foliotrace.extract.schema import resolve
from foliotrace.model import JsonObject


def schema_of(model: type[BaseModel]) -> JsonObject:
    """The bounded, resolved schema of a model. `json_schema_extra={"aliases": [...]}` is kept."""
    return resolve(model.model_json_schema())


def model_at(path: str, *, allowed: Collection[str]) -> type[BaseModel]:
    """The model at "package.module:Class", if the module is one of `allowed` or inside one.

    Raises InvalidSchema.
    """
    module, _, name = path.partition(":")
    if not any(module == a or module.startswith(f"{a}.") for a in allowed):
        raise _refused(path, "its module is not among those allowed")
    try:
        found = getattr(import_module(module), name, None)
    except ImportError as error:
        raise _refused(path, "its module cannot be imported") from error
    if not (isinstance(found, type) and issubclass(found, BaseModel)):
        raise _refused(path, "it is no Pydantic model")
    return found


def _refused(path: str, why: str) -> InvalidSchema:
    return InvalidSchema(
        f"The model {path} cannot be used: {why}.",
        hint='Name it as "package.module:Class", and allow its package.',
    )
