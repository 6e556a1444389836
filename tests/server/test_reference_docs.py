"""The reference pages say what the code says."""

from pathlib import Path

import pytest

from foliotrace_server.reference_docs import pages

_FOLDER = Path(__file__).parents[2] / "docs" / "reference"


@pytest.mark.parametrize("name", ["settings.md", "errors.md", "cli.md", "http-api.md"])
def test_a_reference_page_is_current(name: str) -> None:
    assert (_FOLDER / name).read_text() == pages()[name], (
        "run python -m foliotrace_server.reference_docs"
    )
