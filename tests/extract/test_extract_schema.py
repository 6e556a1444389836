"""Which schemas are taken, and what is said of the others."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from foliotrace.errors import InvalidSchema
from foliotrace.extract.schema import model_at, resolve, schema_of
from foliotrace.schema_fields.plan import FieldKind, plan_of


def record(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = record(inner=schema)
    return schema


REFUSED = {
    "not an object": ({"type": "string"}, "must be an object"),
    "no properties": ({"type": "object"}, "must be an object"),
    "an unknown type": (record(a={"type": "money"}), "/properties/a/type"),
    "eight levels": (nested(8), "7 levels"),
    "too many properties": (record(**{f"p{n}": {} for n in range(501)}), "500 properties"),
    "too large": (record(a={"description": "x" * 70_000}), "64 KiB"),
    "a reference outside": (record(a={"$ref": "https://example.com/s"}), "into the schema itself"),
    "a reference to nothing": (record(a={"$ref": "#/$defs/none"}), "points to nothing"),
    "a circle": (
        {**record(a={"$ref": "#/$defs/n"}), "$defs": {"n": record(b={"$ref": "#/$defs/n"})}},
        "circle",
    ),
    "itself": (record(a={"$ref": "#"}), "circle"),
    "an unsupported keyword": (record(a={"not": {"type": "null"}}), "`not`"),
    "free keys": (record(a={"type": "object", "patternProperties": {"x": {}}}), "patternProp"),
    "an endless pattern": (record(a={"type": "string", "pattern": "(a+)+$"}), "`pattern`"),
    "a broken pattern": (record(a={"type": "string", "pattern": "(("}), "pattern"),
    "no JSON": (record(a={"default": {1, 2}}), "not JSON"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_schema_is_refused_with_its_reason(name: str) -> None:
    schema, why = REFUSED[name]
    with pytest.raises(InvalidSchema, match=r".") as refused:
        resolve(schema)
    assert why in refused.value.message
    assert refused.value.error_code == "invalid_schema"


def test_a_reference_bomb_is_refused_before_it_grows() -> None:
    defs = {
        f"d{n}": record(**{f"p{m}": {"$ref": f"#/$defs/d{n + 1}"} for m in range(9)})
        for n in range(6)
    }
    bomb = {**record(a={"$ref": "#/$defs/d0"}), "$defs": {**defs, "d6": {"type": "string"}}}
    with pytest.raises(InvalidSchema):
        resolve(bomb)


def test_references_are_resolved_and_optionals_become_nullable() -> None:
    schema = {
        **record(
            seller={"$ref": "#/$defs/party", "description": "who sells"},
            note={"anyOf": [{"type": "string", "maxLength": 9}, {"type": "null"}]},
        ),
        "$defs": {"party": record(name={"type": "string"})},
    }
    assert resolve(schema) == record(
        seller={**record(name={"type": "string"}), "description": "who sells"},
        note={"type": ["string", "null"], "maxLength": 9},
    )


@given(
    st.recursive(
        st.sampled_from([{"type": "string"}, {"type": "number"}, {"enum": ["a", None]}]),
        lambda inner: st.one_of(
            st.dictionaries(st.text(max_size=4), inner, min_size=1, max_size=3).map(
                lambda parts: record(**parts)
            ),
            inner.map(lambda part: {"type": "array", "items": part}),
            inner.map(lambda part: {"anyOf": [part, {"type": "null"}]}),
        ),
        max_leaves=8,
    )
)
def test_resolving_twice_is_resolving_once(schema: dict[str, Any]) -> None:
    try:
        once = resolve(record(top=schema))
    except InvalidSchema:
        return
    assert resolve(once) == once


class Line(BaseModel):
    item: str
    amount: float | None = None


class Invoice(BaseModel):
    number: str = Field(json_schema_extra={"aliases": ["Rechnungsnummer"]})
    paid: bool | None = None
    lines: list[Line] = []


def test_a_pydantic_model_becomes_a_schema_with_its_aliases() -> None:
    plan = plan_of(schema_of(Invoice))
    assert {spec.pointer: spec.kind for spec in plan.fields} == {
        "/number": FieldKind.STRING,
        "/paid": FieldKind.BOOLEAN,
    }
    assert "rechnungsnummer" in plan.fields[0].labels
    assert [spec.pointer for spec in plan.lists[0].items] == ["/item", "/amount"]


def test_a_model_is_found_by_its_path_only_where_that_is_allowed() -> None:
    path = "jsonschema.exceptions:SchemaError"
    for allowed in ((), ("jsonschema",)):
        with pytest.raises(InvalidSchema):
            model_at(path, allowed=allowed)
    found = model_at("foliotrace.extract.workflow:ExtractCursor", allowed=("foliotrace.extract",))
    assert found.__name__ == "ExtractCursor"
