"""Text as typed values, and records against their schema."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.extract.extract_stack import document, page

from foliotrace.adapters.local.rules.labels import likeness, same_letters
from foliotrace.extract.extract import empty_extraction, errors_of, merge, record_of
from foliotrace.model import Extraction, FieldResult
from foliotrace.schema_fields.plan import FieldKind, FieldSpec, plan_of
from foliotrace.schema_fields.values import cite, find_date, parse_value

SCHEMA = {
    "type": "object",
    "required": ["number"],
    "properties": {
        "number": {"type": "string"},
        "total": {"type": "number", "minimum": 0},
        "due": {"type": "string", "format": "date"},
        "seller": {"type": "object", "properties": {"name": {"type": "string"}}},
        "lines": {
            "type": "array",
            "items": {"type": "object", "properties": {"item": {"type": "string"}}},
        },
    },
}


def spec(kind: FieldKind, **more: object) -> FieldSpec:
    return FieldSpec(pointer="/x", kind=kind, labels=(), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$ 680", 680),
        ("(65)", -65),
        ("1,234.56", 1234.56),
        ("1.234,56 EUR", 1234.56),
        ("1 234 567", 1234567),
        ("$(1,200)", -1200),
        ("-12", -12),
        ("12,5", 12.5),
        ("1'234.50", 1234.5),
        ("R-20418", None),
        ("12/17/2007", None),
        ("none", None),
    ],
)
def test_numbers_are_read_as_they_are_written(text: str, value: float | None) -> None:
    reading = parse_value(text, spec(FieldKind.NUMBER))
    assert (reading.value if reading else None) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("December 17, 2007", "2007-12-17"),
        ("17. M\u00e4rz 2026", "2026-03-17"),
        ("12/17/2007, 1045 UTC", "2007-12-17"),
        ("31.12.2025", "2025-12-31"),
        ("le 3 f\u00e9vrier 2024", "2024-02-03"),
        ("30 February 2020", None),
        ("version 1.2.3", None),
    ],
)
def test_dates_are_read_in_many_tongues(text: str, value: str | None) -> None:
    found = find_date(text)
    assert (found.value if found else None) == value


@given(st.dates(min_value=date(1900, 1, 1), max_value=date(2099, 12, 31)))
def test_every_day_is_read_in_every_unambiguous_form(day: date) -> None:
    for form in ("%Y-%m-%d", "%d.%m.%Y", "%B %d, %Y", "%d %b %Y"):
        found = find_date(f"on {day.strftime(form)}.")
        assert found is not None
        assert found.value == day.isoformat()


@given(st.text(max_size=80), st.sampled_from(list(FieldKind)))
def test_a_reading_lies_inside_its_text(text: str, kind: FieldKind) -> None:
    reading = parse_value(text, spec(kind, choices=("a", "b")))
    if reading is not None:
        assert 0 <= reading.start < reading.end <= len(text)
        assert 0 < reading.fit <= 1


def test_a_choice_is_taken_only_when_there_is_one() -> None:
    choices = spec(FieldKind.ENUM, choices=("Minor", "Substantial"))
    assert [
        (r := parse_value(t, choices)) and r.value for t in ("substantial", "Minor damage")
    ] == [
        "Substantial",
        "Minor",
    ]
    assert parse_value("Minor or Substantial", choices) is None


def field_at(pointer: str, value: object, start: int = 0, confidence: float = 0.9) -> FieldResult:
    cited = cite(page("x" * 50), start, start + 1, document=document(), score=confidence)
    return FieldResult(pointer=pointer, value=value, confidence=confidence, citations=(cited,))


def test_a_record_holds_every_property_and_only_what_was_found() -> None:
    fields = [field_at("/lines/0/item", "nut"), field_at("/number", "7")]
    record = record_of(SCHEMA, fields)
    assert record == {
        "number": "7",
        "total": None,
        "due": None,
        "seller": {"name": None},
        "lines": [{"item": "nut"}],
    }
    assert errors_of(SCHEMA, record) == ()


def test_an_invalid_record_says_where_and_never_what() -> None:
    record = record_of(SCHEMA, [field_at("/total", -3), field_at("/due", "canary")])
    errors = errors_of(SCHEMA, record)
    assert errors == (
        "/: 'number' is a required property",
        "/due: `format` is not satisfied",
        "/total: `minimum` is not satisfied",
    )


def extraction(*fields: FieldResult) -> Extraction:
    return Extraction(record={}, fields=fields, valid=False)


def test_windows_merge_to_the_surer_value_and_lists_go_on() -> None:
    plan = plan_of(SCHEMA)
    first = extraction(field_at("/number", "1", 0, 0.6), field_at("/lines/0/item", "nut", 5))
    second = extraction(field_at("/number", "2", 9, 0.9), field_at("/lines/0/item", "bolt", 8))
    merged = merge(plan, merge(plan, empty_extraction(plan), first), second)
    record = record_of(SCHEMA, merged.fields)
    assert (record["number"], record["lines"]) == ("2", [{"item": "nut"}, {"item": "bolt"}])
    assert merge(plan, merged, second).fields == merged.fields


@given(st.text("abcde", min_size=1, max_size=12), st.text("abcde", max_size=12))
def test_the_letters_two_words_share_are_those_of_their_longest_common_subsequence(
    one: str, other: str
) -> None:
    longest = [0] * (len(other) + 1)
    for letter in one:
        diagonal = 0
        for place, opposite in enumerate(other, 1):
            above = longest[place]
            longest[place] = diagonal + 1 if letter == opposite else max(above, longest[place - 1])
            diagonal = above
    assert same_letters(one, other) == 2 * longest[-1] / (len(one) + len(other))


def test_a_label_with_a_slip_of_the_pen_is_still_its_name() -> None:
    assert likeness("invoice number", "Invioce number") > 0.8
    assert likeness("invoice number", "Delivery place") == 0.0
