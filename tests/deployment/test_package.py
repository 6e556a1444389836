"""What is published: complete metadata, and a description that reads well elsewhere."""

import re
import subprocess
import sys
import tomllib
import zipfile
from email.parser import BytesParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# valid names (https://pypi.org/classifiers/); PyPI refuses an upload with another one
CLASSIFIERS = {
    "Development Status", "Environment", "Framework", "Intended Audience", "Operating System",
    "Programming Language", "Topic", "Typing",
}  # fmt: skip


def test_the_description_begins_with_the_installation_and_has_absolute_links() -> None:
    text = (ROOT / PROJECT["readme"]).read_text()
    assert text.splitlines()[1] == "pip install foliotrace"
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert links
    base = PROJECT["urls"]["Homepage"]
    assert all(link.startswith(base) for link in [*links, *PROJECT["urls"].values()])
    named = [link.partition("/blob/main/")[2] for link in links if "/blob/" in link]
    assert all((ROOT / name).is_file() for name in named)


def test_every_extra_of_the_description_exists() -> None:
    text = (ROOT / PROJECT["readme"]).read_text()
    named = re.findall(r"`(?:foliotrace)?\[([a-z-]+)\]`", text)
    assert named
    assert set(named) <= set(PROJECT["optional-dependencies"])


def test_the_metadata_says_for_whom_the_package_is() -> None:
    assert {"Homepage", "Documentation", "Changelog", "Issues"} <= set(PROJECT["urls"])
    kinds = {each.partition(" ::")[0] for each in PROJECT["classifiers"]}
    assert kinds == CLASSIFIERS  # no licence: the SPDX expression is in `license`
    least = PROJECT["requires-python"].removeprefix(">=")
    assert f"Programming Language :: Python :: {least}" in PROJECT["classifiers"]


@pytest.mark.slow
def test_the_wheel_has_the_description_and_the_metadata(tmp_path: Path) -> None:
    hatchling = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = subprocess.run(hatchling, cwd=ROOT, capture_output=True, text=True, timeout=100)
    if "No module named hatchling" in done.stderr:
        pytest.skip("hatchling is not installed")
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [each for each in archive.namelist() if each.endswith("/METADATA")]
        metadata = BytesParser().parsebytes(archive.read(name))
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert len(metadata.get_all("Project-URL")) == 4
    assert metadata.get_payload() == (ROOT / PROJECT["readme"]).read_text()
