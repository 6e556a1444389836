"""The Presidio recipe of the docs, with Presidio itself where it is installed (.ci/presidio)."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from foliotrace_otel.export.span_redaction import Redactor

if importlib.util.find_spec("presidio_analyzer") is None:
    pytest.skip("presidio-analyzer is not installed: see .ci/presidio", allow_module_level=True)

RECIPES = Path(__file__).parents[2] / "examples" / "redaction"


@pytest.fixture(scope="module")
def redactor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redactor]:
    """A redactor with the recipe, over a pipeline that knows two names."""
    import spacy

    pipeline = spacy.blank("en")
    names = [{"label": "PERSON", "pattern": name} for name in ("Jane Doe", "Jürgen Groß")]
    pipeline.add_pipe("entity_ruler").add_patterns(names)
    folder = tmp_path_factory.mktemp("pipeline")
    pipeline.to_disk(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRESIDIO_MODEL", str(folder))
        patch.setattr(sys, "path", [str(RECIPES), *sys.path])
        from presidio_names import People

        yield Redactor(b"key", rules=[People()])


def test_a_name_becomes_a_token_and_the_rest_stays(redactor: Redactor) -> None:
    text = redactor.redact("Did Jane Doe sign for Jürgen Groß on page 3?")
    assert text.startswith("Did <NAME:")
    assert text.endswith("> on page 3?")
    assert text.count("<NAME:") == 2


def test_one_person_has_one_token(redactor: Redactor) -> None:
    first = redactor.redact("Ask Jane Doe")
    again = redactor.redact("told Jane Doe")
    assert first.split()[-1] == again.split()[-1]


def test_the_built_in_rules_still_find_what_is_beside_a_name(redactor: Redactor) -> None:
    text = redactor.redact("Jane Doe <jane@example.com> paid with 4111 1111 1111 1111")
    assert ("<NAME:" in text, "<EMAIL:" in text, "<CARD:" in text) == (True, True, True)
    assert "Jane" not in text


def test_a_text_without_names_is_left_as_it_is(redactor: Redactor) -> None:
    assert redactor.redact("Refunds are paid within 30 days.") == "Refunds are paid within 30 days."
