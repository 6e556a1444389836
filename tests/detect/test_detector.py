"""What the detector finds, what it leaves alone, and that answers and telemetry agree on it."""

import asyncio
import re
import string
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foliotrace.query.answer.redaction import CARD, redact
from foliotrace.settings import RedactionSettings
from foliotrace_detect import Detector, Find, NameRule, SensitiveKind, is_card, is_iban, passes_luhn
from foliotrace_otel.export.span_redaction import Redactor
from foliotrace_server.compose import assemble
from foliotrace_server.settings import Settings

CARDS = {
    "Visa": "4111 1111 1111 1111",
    "Visa, 13 digits": "4222222222222",
    "Mastercard": "5555-5555-5555-4444",
    "Mastercard, 2 series": "2223000048400011",
    "American Express": "3782 822463 10005",
    "Diners": "3056 9309 0259 04",
    "Discover": "6011 1111 1111 1117",
    "JCB": "3530 1113 3330 0000",
    "Maestro": "6304 0000 0000 0000",
    "Maestro, 6759": "6759 6498 2643 8453",
    "UnionPay": "6200 0000 0000 0005",
    "Mir": "2200 0000 0000 0004",
}
NO_CARDS = ["4111 1111 1111 1112", "1234567890123456", "2000 0000 0000 0006", "1763692752123"]


class EveryRun:
    kind = "RUN"

    def finds(self, text: str) -> Iterator[Find]:
        yield from (Find(*m.span(), m[0]) for m in re.finditer(r"run_\w+", text))


def mark(kind: str, value: str) -> str:
    return f"<{kind}>"


@pytest.mark.parametrize("network", CARDS)
def test_a_card_is_redacted_in_the_answer_and_in_the_span(network: str) -> None:
    text = f"paid by {CARDS[network]} today"
    assert redact(text, RedactionSettings()).text == f"paid by {CARD} today"
    assert Redactor(b"key").redact(text).startswith("paid by <CARD:")


@pytest.mark.parametrize("number", NO_CARDS)
def test_a_number_without_issuer_or_check_digit_stays_in_both(number: str) -> None:
    text = f"order {number} shipped"
    assert redact(text, RedactionSettings()).text == text
    assert Redactor(b"key").redact(text) == text


def test_any_sixteen_digits_are_a_card_in_both_if_that_is_set() -> None:
    text = "order 1234567890123456 shipped"
    assert redact(text, RedactionSettings(any_sixteen_digits=True)).text == f"order {CARD} shipped"
    assert Redactor(b"key", any_sixteen_digits=True).redact(text).startswith("order <CARD:")


@pytest.mark.parametrize("number", ["123-45-6789", "536 22 1234"])
def test_a_social_security_number_is_redacted_in_both(number: str) -> None:
    assert number not in redact(f"SSN {number}.", RedactionSettings()).text
    assert number not in Redactor(b"key").redact(f"SSN {number}.")


def test_only_the_chosen_kinds_are_found() -> None:
    detector = Detector({SensitiveKind.EMAIL})
    assert detector.replace("j@x.org, 4111111111111111", mark) == "<EMAIL>, 4111111111111111"


def test_in_prose_a_number_may_touch_letters_and_be_grouped_in_any_way() -> None:
    prose, ids = Detector(prose=True), Detector()
    for text in ("no4111111111111111", "41 11 11 11 11 11 11 11"):
        assert "<CARD>" in prose.replace(text, mark)
        assert ids.replace(text, mark) == text


@given(st.text(alphabet="0123456789abcdef", min_size=32, max_size=32))
def test_a_hexadecimal_id_with_a_letter_on_each_side_is_never_a_find(digits: str) -> None:
    assert Detector().replace(f"a{digits}b", mark) == f"a{digits}b"


@given(st.text(string.digits, min_size=12, max_size=15))
def test_luhn_accepts_exactly_one_check_digit(body: str) -> None:
    assert sum(passes_luhn(body + digit) for digit in string.digits) == 1


@given(st.integers(0, 10**18 - 1))
def test_an_iban_with_one_changed_digit_is_refused(account: int) -> None:
    bban = f"{account:018d}"
    check = 98 - int(f"{bban}131400") % 97  # "DE" as digits
    iban = f"DE{check:02d}{bban}"
    assert is_iban(iban)
    other = str((int(iban[-1]) + 1) % 10)
    assert not is_iban(iban[:-1] + other)


def test_a_number_is_a_card_only_with_an_issuer_and_its_check_digit() -> None:
    assert is_card("4111111111111111")
    assert not is_card("4111111111111112")
    assert not is_card("1111111111111117")


def test_the_setting_for_any_sixteen_digits_reaches_the_telemetry(tmp_path: Path) -> None:
    query = {"redaction": {"any_sixteen_digits": True}}
    assembly = assemble(Settings.model_validate({"data_dir": tmp_path, "query": query}))

    async def close() -> None:
        for closing in assembly.closing:
            await closing()

    assert assembly.observability is not None
    redacted = assembly.observability.redactor.redact("order 1234567890123456")
    asyncio.run(close())
    assert redacted.startswith("order <CARD:")


@pytest.mark.parametrize("expiry", [" 12/27", " 1227", "/12/27", " 12/2027", ";1227"])
def test_a_card_directly_followed_by_its_expiry_is_redacted_in_both(expiry: str) -> None:
    text = f"paid by 4111 1111 1111 1111{expiry} today"
    assert "4111" not in redact(text, RedactionSettings()).text
    assert "4111" not in Redactor(b"key").redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "4111.1111.1111.1111",
        "4111 1111 1111 1111".translate({n: n + 0xFEE0 for n in range(48, 58)}),
        "536.22.1234",
    ],
)
def test_other_spellings_are_redacted_in_the_answer_too(text: str) -> None:
    assert redact(f"see {text} there", RedactionSettings()).redacted == 1


@pytest.mark.parametrize("part", ["a", "1 ", "a@", "ab-", "1:", "password", "key_", "tel", "4111 "])
def test_a_long_hostile_text_is_read_in_linear_time(part: str) -> None:
    def cpu_s(chars: int) -> float:
        began = time.process_time()
        Detector().replace(part * (chars // len(part)), mark)
        return time.process_time() - began

    cpu_s(10_000)
    assert cpu_s(80_000) < 16 * max(cpu_s(10_000), 0.005)  # quadratic would be 64 times


def test_names_that_the_program_knows_are_found_in_any_case() -> None:
    people = NameRule(["Jane Doe", "Ångström"])
    detector = Detector(more=(people,))
    people.learn("Erika Mustermann-Schmidt")
    text = "JANE DOE wrote to erika mustermann-schmidt about ångström, not to Jane Roe"
    assert detector.replace(text, mark) == "<NAME> wrote to <NAME> about <NAME>, not to Jane Roe"


def test_a_rule_of_the_program_finds_what_ours_do_not() -> None:
    class CustomerNumbers:
        kind = "CUSTOMER"

        def finds(self, text: str) -> Iterator[Find]:
            for match in re.finditer(r"C-\d{4}", text):
                yield Find(*match.span(), match[0])

    assert Detector(more=(CustomerNumbers(),)).replace("of C-1234", mark) == "of <CUSTOMER>"


@given(st.uuids(version=4), st.sampled_from(["", "run_", "job_", "doc_"]))
def test_no_rule_finds_anything_in_the_ids_that_are_not_looked_through(
    made: UUID, prefix: str
) -> None:
    text = prefix + made.hex
    for rule in Detector(any_sixteen_digits=True)._rules:
        assert list(rule.finds(text)) == []


@given(
    st.text("0123456789", min_size=30, max_size=30), st.sampled_from(["", "run_", "job_", "doc_"])
)
def test_no_rule_finds_anything_in_such_an_id_of_digits_alone(digits: str, prefix: str) -> None:
    text = f"{prefix}{digits[:12]}4{digits[12:15]}8{digits[15:]}"
    for rule in Detector(any_sixteen_digits=True)._rules:
        assert list(rule.finds(text)) == []


def test_a_program_rule_sees_an_id_too() -> None:
    made = "run_0e4d4ac5507b431baadd3daf8b549f76"
    detector = Detector(more=(EveryRun(),))
    assert detector.replace(f"{made}", mark) == "<RUN>"
