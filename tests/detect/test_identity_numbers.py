"""Numbers of people are found by their shape and check digits, things' numbers are left alone."""

import pytest
from tests.detect.test_judged_forms import hidden

VALID = {
    "Argentina": "20-05536168-2",
    "Belgium": "85.07.30-033.28",
    "Chile": "12.531.909-2",
    "Czechia": "710319/2745",
    "Denmark": "211062-5629",
    "Estonia": "37605030299",
    "Finland": "131052-308T",
    "France": "2 95 10 99 126 111 93",
    "Hong Kong": "A123456(3)",
    "India": "2341 2341 2346",
    "Ireland": "1234567T",
    "Norway": "15021951940",
    "Romania": "1630615123457",
    "Russia": "112-233-445 95",
    "Singapore": "S1234567D",
    "South Africa": "7503305044089",
    "Spain": "12345678Z",
    "Spain, foreigners": "X1234567L",
    "Sweden": "811228-9874",
    "Switzerland": "756.9217.0769.85",
    "Taiwan": "A123456789",
    "Thailand": "1-2345-45678-78-1",
    "Yugoslavia": "0101006500006",
}


def with_another_digit(number: str, at: int) -> str:
    return f"{number[:at]}{(int(number[at]) + 1) % 10}{number[at + 1 :]}"


@pytest.mark.parametrize("country", VALID)
def test_a_valid_number_is_redacted_without_a_name(country: str) -> None:
    assert hidden(f"of {VALID[country]} today") == "of ⟨⟩ today"


@pytest.mark.parametrize("country", VALID)
def test_a_number_with_a_changed_last_digit_stays(country: str) -> None:
    number = VALID[country]
    last = max(at for at, char in enumerate(number) if char.isdigit())
    text = f"of {with_another_digit(number, last)} today"
    assert hidden(text) == text


@pytest.mark.parametrize("name", ["order", "Part no.", "Seriennummer:", "SKU", "invoice #"])
@pytest.mark.parametrize("country", ["Spain", "Singapore", "Norway", "Sweden"])
def test_the_number_of_a_thing_stays(name: str, country: str) -> None:
    text = f"{name} {VALID[country]} in stock"
    assert hidden(text) == text


@pytest.mark.parametrize("name", ["PESEL", "DNI", "Steuer-ID:", "Passport no.", "паспорт", "TFN"])
def test_a_number_behind_its_name_is_redacted_in_any_spelling(name: str) -> None:
    for number in ("12345678901", "123 456 789", "12-345-678"):
        assert hidden(f"{name} {number} here") == f"{name} ⟨⟩ here"


@pytest.mark.parametrize(
    "date", ["14/03/1987", "1987-03-14", "14. März 1987", "March 14, 1987", "14 mars 1987"]
)
def test_only_a_date_of_birth_is_redacted(date: str) -> None:
    assert hidden(f"Date of birth: {date}") == "Date of birth: ⟨⟩"
    assert hidden(f"Report of {date}, page 3") == f"Report of {date}, page 3"


def test_a_card_whose_groups_stand_below_each_other_is_found_where_a_word_says_so() -> None:
    stacked = "4242\n4242\n4242\n4242"
    assert hidden(f"my card:\n{stacked}\n") == "my card:\n⟨⟩\n"
    assert hidden(f"sales\n{stacked}\n") == f"sales\n{stacked}\n"
