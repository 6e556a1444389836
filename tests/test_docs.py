"""The documentation names files and commands that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_every_link_leads_to_a_file(page: Path) -> None:
    dead = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert dead == []


def test_every_command_of_run_is_explained_by_its_help() -> None:
    script = (ROOT / "run").read_text()
    commands = set(re.findall(r"^  ([a-z]+)\)", script, re.MULTILINE))
    explained = set(re.findall(r"^#   \./run (\w+)", script, re.MULTILINE))
    assert commands == explained
