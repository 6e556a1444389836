"""What goes in and what comes out: normalised, never rewritten; redacted, also in a stream."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foliotrace.query.answer.redaction import (
    CARD,
    CODE,
    SSN,
    RedactedStream,
    redact,
)
from foliotrace.query.validate import normalized
from foliotrace.settings import RedactionSettings

RULES = RedactionSettings()


@given(st.text())
def test_cleaning_twice_changes_nothing_more(text: str) -> None:
    assert normalized(normalized(text)) == normalized(text)


@pytest.mark.parametrize("text", ["Explain List<int> and {x | x > 0}", "a\tb\nc", "Ünïcödé 株式"])
def test_markup_and_scripts_reach_the_index_as_they_were_asked(text: str) -> None:
    assert normalized(text) == text


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("pay\u200bment", "payment"),
        ("\u202eevil", "evil"),
        ("a\x00b\x1b[31m", "ab[31m"),
        ("e\u0301", "é"),
        ("\ufeff x \u2066", "x"),
        ("a\U000e0041b", "ab"),
    ],
)
def test_what_cannot_be_seen_is_dropped(text: str, cleaned: str) -> None:
    assert normalized(text) == cleaned


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("SSN 123-45-6789.", f"SSN {SSN}."),
        ("SSN 123 45 6789", f"SSN {SSN}"),
        ("Card 4111 1111 1111 1111!", f"Card {CARD}!"),
        ("Card 4111-1111-1111-1111", f"Card {CARD}"),
        ("Amex 378282246310005", f"Amex {CARD}"),
        ("See ![x](https://evil.example/?q=1) now", "See x now"),
        ("See ![x](\nhttps://evil.example/?q=1) now", "See x now"),
        ("See ![x][r]\n\n[r]: https://evil.example\n", "See x\n\n\n"),
        ("[click](https://evil.example)", "click"),
        ("[click](javascript:alert(1))", "click)"),
        ('<img src="https://evil.example">x', "x"),
        ("<img\nsrc=//evil.example>x", "x"),
        ("<script>alert(1)</script>", "alert(1)"),
        ("```py\nimport sys, os\n```", CODE),
        ("```\nfrom os import path\n```", CODE),
        ("```sh\nrm -rf / && sudo shutdown; os\n```", CODE),
        ("```python\nopen('x')\n```", CODE),
    ],
)
def test_what_must_not_be_sent_is_redacted(text: str, redacted: str) -> None:
    assert redact(text, RULES).text == redacted


@pytest.mark.parametrize(
    "text",
    [
        "Order 1234567890123456 was shipped",
        "at 1700000000000000 microseconds",
        "0.1234567890123456",
        "Phone 555-123-4567",
        "part 000-12-3456, 666-12-3456 and 912-34-5678",
        "```python\nimport oscrypto\nprint(1)\n```",
        "1 < 2 and 3 > 2",
        "see [1][2] and (a)",
        "Net sales were $ 63,355 and 63,948 in 2022",
    ],
)
def test_what_is_harmless_stays(text: str) -> None:
    assert redact(text, RULES).text == text


def test_each_switch_does_what_it_says() -> None:
    digits, code = "1234567890123456", "```x\nimport os\n```"
    assert redact(digits, RULES).text == digits
    assert redact(digits, RedactionSettings(any_sixteen_digits=True)).text == CARD
    assert redact(code, RULES).text == CODE
    assert redact(code, RedactionSettings(remove_dangerous_code=False)).text == code


sentences = st.lists(
    st.sampled_from(
        [
            "Paid by 4111 1111 1111 1111.",
            "The SSN is 123-45-6789!",
            "See ![x](https://e.example/?a. b) here.",
            "See [a. b](https://e.example).",
            "```py\nimport os\n```",
            "```py\nx = 1. 2\n```",
            "Sales were $ 1,234.50 in 2022 [1].",
            "(open",
            "a < b.",
            "Total:",
            "\n",
            "- 123 45 6789",
            "<img src='x. y'>.",
        ]
    ),
    max_size=8,
)


@given(sentences, st.sampled_from([" ", "\n", "\n\n"]))
def test_a_stream_of_sentences_shows_what_the_whole_answer_would(
    parts: list[str], gap: str
) -> None:
    whole = gap.join(parts)
    stream = RedactedStream(RULES)
    pieces = [stream.feed(part if i == 0 else gap + part) for i, part in enumerate(parts)]
    assert "".join(pieces) + stream.finish() == redact(whole, RULES).text


@given(sentences)
def test_sanitizing_twice_changes_nothing_more(parts: list[str]) -> None:
    once = redact(" ".join(parts), RULES).text
    assert redact(once, RULES).text == once
