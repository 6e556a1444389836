"""What the redactor finds, what it leaves alone, and that its tokens are stable and keyed."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foliotrace_otel.export.span_redaction import Redactor, is_sensitive_name

REDACTOR = Redactor(b"test key")

FOUND = {
    "EMAIL": ["jane.doe+tag@mail.example.co.uk", "JANE@EXAMPLE.ORG", "müller@exämple.de"],
    "PHONE": [
        "+49 30 901820",
        "+1 (415) 555-2671",
        "(415) 555-2671",
        "415-555-2671",
        "+44 20 7946 0958",
    ],
    "CARD": ["4111 1111 1111 1111", "4111111111111111", "3782-822463-10005", "5555555555554444"],
    "SSN": ["536-22-1234", "536 22 1234"],
    "IBAN": ["DE89 3704 0044 0532 0130 00", "GB29NWBK60161331926819", "NO9386011117947"],
    "SECRET": [
        "sk-proj-abcdefghijklmnop1234",
        "llx-AbCdEfGhIjKlMnOpQrSt",
        "lsv2_pt_0123456789abcdef0123",
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_0123456789abcdefghijABCDEFGHIJ012345",
        "xoxb-123456789012-abcdef",
        "hf_abcdefghijklmnopqrst",
        "AIzaSyA1234567890abcdefghijklmnopqrstuv",
        "sk-ant-api03-abcdefghijkl",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
    ],
}

LEFT = [
    "order 4111111111111112",
    "2026-11-21T02:39:12.123456Z",
    "1234567890123456",
    "3.141592653589793",
    "550e8400-e29b-41d4-a716-446655440000",
    "version 10.0.19045.3693",
    "000-12-3456",
    "900-12-3456",
    "666-12-3456",
    "DE00370400440532013000",
    "chat gpt-4o-mini",
    "foliotrace.retrieved.ids",
    "0af7651916cd43dd8448eb211c80319c",
    "sk-",
    "a@b",
    "1763692752123",
    "10.1.2.3:8080",
    "page 415-555",
]


@pytest.mark.parametrize(("kind", "value"), [(k, v) for k, vs in FOUND.items() for v in vs])
def test_a_planted_value_is_replaced_by_its_token(kind: str, value: str) -> None:
    redacted = REDACTOR.redact(f"before {value} after")
    assert re.fullmatch(rf"before <{kind}:[0-9a-f]{{12}}> after", redacted)


@pytest.mark.parametrize("text", LEFT)
def test_what_only_looks_like_personal_data_is_left_alone(text: str) -> None:
    assert REDACTOR.redact(f"see {text} there") == f"see {text} there"


def test_equal_values_get_equal_tokens_however_they_are_written() -> None:
    assert REDACTOR.redact("4111 1111 1111 1111") == REDACTOR.redact("4111-1111-1111-1111")
    assert REDACTOR.redact("Jane@Example.org") == REDACTOR.redact("jane@example.org")


def test_tokens_depend_on_the_key() -> None:
    assert Redactor(b"a").redact("j@x.org") != Redactor(b"b").redact("j@x.org")
    assert Redactor(b"a").redact("j@x.org") == Redactor(b"a").redact("j@x.org")


def test_a_password_in_a_url_and_a_bearer_token_go_but_the_rest_stays() -> None:
    redacted = REDACTOR.redact("postgres://app:hunter2@db:5432/x Authorization: Bearer abcdefgh123")
    assert "hunter2" not in redacted
    assert "abcdefgh123" not in redacted
    assert redacted.startswith("postgres://<SECRET:")
    assert "@db:5432/x" in redacted


@pytest.mark.parametrize(
    "name", ["http.request.header.authorization", "api_key", "db.password", "x-api-key"]
)
def test_names_that_hold_secrets_are_known(name: str) -> None:
    assert is_sensitive_name(name)


@pytest.mark.parametrize(
    "name", ["gen_ai.usage.input_tokens", "tokens.total", "foliotrace.run_id", "key_id"]
)
def test_token_counts_are_no_secrets(name: str) -> None:
    assert not is_sensitive_name(name)


@given(st.text(max_size=300))
def test_redacting_twice_changes_nothing(text: str) -> None:
    once = REDACTOR.redact(text)
    assert REDACTOR.redact(once) == once
