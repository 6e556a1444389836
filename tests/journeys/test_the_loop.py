"""The whole loop as a person types it: a complaint becomes a case that no later release fails."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from foliotrace.adapters.local.readers.reading_options import find_tessdata

STORY = Path(__file__).parent.parent.parent / "examples" / "loop" / "story.py"


def _story() -> ModuleType:
    spec = importlib.util.spec_from_file_location("story", STORY)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.timeout(280)
@pytest.mark.skipif(find_tessdata() is None, reason="reads a scan: no Tesseract model is installed")
def test_a_wrong_answer_is_rated_found_replayed_promoted_gated_and_stays_fixed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    _story().play(tmp_path)
    assert "ok: what was fixed stays fixed" in capfd.readouterr().out
