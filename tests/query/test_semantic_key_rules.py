"""When two questions ask the same, as far as words can tell: whatever an embedder says of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.query.questions import MINIMAL_EDITS, REWORDED

from foliotrace.query.cache.semantic_key import CompiledSynonyms, canonical_question

NOUNS = ("refunds", "term", "terms", "buyer", "seller", "Apple", "Nvidia", "X-200", "2021", "30")
SMALL = ("not", "no", "before", "after", "may", "must", "was", "will", "from", "to", "and", "or")
WORDS = st.sampled_from((*NOUNS, *SMALL))
QUESTIONS = st.lists(WORDS, min_size=2, max_size=8).map(tuple)


def asked(words: tuple[str, ...]) -> str:
    return f"How did {' '.join(words)} end?"


@pytest.mark.parametrize(("one", "other"), REWORDED)
def test_other_words_for_the_same_question_have_one_canonical_form(one: str, other: str) -> None:
    assert canonical_question(one) == canonical_question(other)


@pytest.mark.parametrize(("one", "other"), MINIMAL_EDITS)
def test_a_minimal_edit_is_another_question(one: str, other: str) -> None:
    assert canonical_question(one) != canonical_question(other)


@given(QUESTIONS, QUESTIONS)
def test_questions_of_other_words_or_order_are_others(
    one: tuple[str, ...], other: tuple[str, ...]
) -> None:
    assert (canonical_question(asked(one)) == canonical_question(asked(other))) == (one == other)


@given(QUESTIONS, WORDS, st.integers(0, 8))
def test_no_word_that_is_put_in_goes_unnoticed(words: tuple[str, ...], more: str, at: int) -> None:
    at %= len(words) + 1
    assert canonical_question(asked(words)) != canonical_question(
        asked((*words[:at], more, *words[at:]))
    )


@given(st.text(max_size=200))
def test_any_text_has_a_canonical_form_whatever_its_punctuation(text: str) -> None:
    assert canonical_question(text) == canonical_question(f"  {text} ?!")


@given(QUESTIONS)
def test_politeness_changes_nothing(words: tuple[str, ...]) -> None:
    bare = f"How did {' '.join(words)} end?"
    polite = f"Could you please tell me how did {' '.join(words)} end, thanks?"
    assert canonical_question(bare) == canonical_question(polite)


def test_synonyms_are_the_operators_own() -> None:
    leave = CompiledSynonyms((("PTO", "paid leave", "vacation"), ("cost", "price")))
    one, other = "How much paid leave do interns get?", "How much PTO do interns get?"
    assert canonical_question(one) != canonical_question(other)
    assert canonical_question(one, leave) == canonical_question(other, leave)
    assert canonical_question("How much leave do interns get?", leave) != canonical_question(
        other, leave
    )
    assert canonical_question("How much vacation do managers get?", leave) != canonical_question(
        other, leave
    )
