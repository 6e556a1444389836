"""Requests and replies held against an installed SDK's own types."""

import json
import types
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, Literal, NotRequired, Required, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError
from typing_extensions import (
    TypeAliasType,
    get_type_hints,
    is_typeddict,
)

IN_QUERY = frozenset({"organization_id", "project_id"})
Problem = dict[str, Any]
Where = tuple[str | int, ...]


class ContractBroken(AssertionError):
    """The fake itself built a reply that the SDK's models do not allow."""


def body_problems(
    params: Any, body: Any, *, in_path: frozenset[str] = frozenset()
) -> list[Problem]:
    """What FastAPI would say about `body`, judged by the SDK's params `TypedDict`."""
    if not isinstance(body, dict):
        return [_problem("model_attributes_type", ("body",), "Input should be a valid object")]
    return _fields(params, body, ("body",), dropped=IN_QUERY | in_path)


def query_problems(params: Any, names: set[str]) -> list[Problem]:
    """Unknown query parameters; `params` is None where only the project may be named."""
    known = set(IN_QUERY) | (set(_hints(params)) if params is not None else set())
    return [
        _problem("extra_forbidden", ("query", name), "Extra inputs are not permitted")
        for name in sorted(names - known)
    ]


def checked(model: Any, payload: Any) -> Any:
    """`payload` itself. Raises `ContractBroken` if the SDK's `model` would not read it whole."""
    try:
        read = _adapter(model).validate_json(json.dumps(payload))
    except ValidationError as error:
        raise ContractBroken(f"{model}: {error}") from error
    unknown = list(_unknown(read, "$"))
    if unknown:
        raise ContractBroken(f"{model} has no {unknown}")
    return payload


@lru_cache(maxsize=256)
def _adapter(model: Any) -> TypeAdapter[Any]:
    return TypeAdapter(model)


def _unknown(read: Any, where: str) -> Iterator[str]:
    if isinstance(read, BaseModel):
        open_ended = "__pydantic_extra__" in type(read).__annotations__
        if not open_ended:
            yield from (f"{where}.{key}" for key in read.model_extra or {})
        for name in type(read).model_fields:
            yield from _unknown(getattr(read, name), f"{where}.{name}")
    elif isinstance(read, list):
        for index, item in enumerate(read):
            yield from _unknown(item, f"{where}[{index}]")


@lru_cache(maxsize=512)
def _hints(params: Any) -> dict[str, Any]:
    return get_type_hints(params, include_extras=True)


def _problem(kind: str, where: Where, message: str) -> Problem:
    return {"type": kind, "loc": list(where), "msg": message}


def _fields(
    params: Any, value: dict[str, Any], where: Where, *, dropped: frozenset[str] = frozenset()
) -> list[Problem]:
    hints = {name: hint for name, hint in _hints(params).items() if name not in dropped}
    found = [
        _problem("extra_forbidden", (*where, name), "Extra inputs are not permitted")
        for name in sorted(value.keys() - hints.keys())
    ]
    for name, hint in hints.items():
        if name in value:
            found += _problems(hint, value[name], (*where, name))
        elif get_origin(hint) is Required:
            found.append(_problem("missing", (*where, name), "Field required"))
    return found


def _problems(hint: Any, value: Any, where: Where) -> list[Problem]:
    origin, arguments = get_origin(hint), get_args(hint)
    if hint in (Any, object):
        return []
    if isinstance(hint, TypeAliasType):
        return _problems(hint.__value__, value, where)
    if origin in (Annotated, Required, NotRequired):
        return _problems(arguments[0], value, where)
    if origin in (Union, types.UnionType):
        return _nearest([_problems(choice, value, where) for choice in arguments])
    if origin is Literal:
        allowed = ", ".join(repr(choice) for choice in arguments)
        good = value in arguments
        return [] if good else [_problem("literal_error", where, f"Input should be {allowed}")]
    if is_typeddict(hint):
        if isinstance(value, dict):
            return _fields(hint, value, where)
        return [_problem("dict_type", where, "Input should be a valid object")]
    return _container(origin, arguments, value, where) if origin else _plain(hint, value, where)


def _nearest(tried: list[list[Problem]]) -> list[Problem]:
    """No problem if one alternative fits; otherwise those of the one that came furthest."""
    if not all(tried):
        return []
    return max(tried, key=lambda found: max(len(problem["loc"]) for problem in found))


def _container(origin: Any, arguments: tuple[Any, ...], value: Any, where: Where) -> list[Problem]:
    if issubclass(origin, dict):
        if not isinstance(value, dict):
            return [_problem("dict_type", where, "Input should be a valid dictionary")]
        return [p for k, v in value.items() for p in _problems(arguments[1], v, (*where, k))]
    if not isinstance(value, list):
        return [_problem("list_type", where, "Input should be a valid list")]
    return [p for i, v in enumerate(value) for p in _problems(arguments[0], v, (*where, i))]


def _plain(hint: Any, value: Any, where: Where) -> list[Problem]:
    fits = {
        str: isinstance(value, str),
        bool: isinstance(value, bool),
        int: isinstance(value, int) and not isinstance(value, bool),
        float: isinstance(value, int | float) and not isinstance(value, bool),
        type(None): value is None,
        datetime: isinstance(value, str),
    }
    if hint not in fits:
        raise TypeError(f"cannot judge {where} against {hint!r}")
    if fits[hint]:
        return []
    return [_problem(f"{hint.__name__}_type", where, f"Input should be a valid {hint.__name__}")]
