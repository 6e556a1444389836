"""The reference page says what the code says."""

from pathlib import Path

from foliotrace_otel.reference import page

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "telemetry.md"


def test_the_page_is_what_its_script_writes() -> None:
    assert PAGE.read_text() == page(), (
        "run: python -m foliotrace_otel.reference > docs/reference/telemetry.md"
    )
