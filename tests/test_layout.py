"""The three code folders are source roots, and `workflows` stays the LlamaIndex distribution."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCE_ROOTS = ("workflows", "instrumentation", "deploy")


def test_workflows_is_the_distribution_even_from_the_repository_root() -> None:
    code = "import workflows; print(workflows.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
    assert "site-packages" in found, found


def test_no_source_root_is_a_package_or_holds_loose_modules() -> None:
    stray = [p for root in SOURCE_ROOTS for p in (ROOT / root).glob("*.py")]
    assert stray == []
    assert not (ROOT / "tests" / "workflows").exists()


def test_every_package_ships_its_types() -> None:
    packages = [p.parent for root in SOURCE_ROOTS for p in (ROOT / root).glob("*/__init__.py")]
    assert [p.name for p in packages if not (p / "py.typed").exists()] == []


def test_no_lock_names_a_registry_host_and_no_uv_lock_is_committed() -> None:
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert "uv.lock" not in tracked
    for lock in (ROOT / "requirements").glob("*.lock"):
        assert "://" not in lock.read_text().replace("https://github.com", ""), lock


COLLECT = """
import sys, pytest
assert pytest.main(["--collect-only", "-qq", "-p", "no:cacheprovider", "tests"]) == 0
loaded = {"llama_index.core", "openai", "docling", "torch"} & set(sys.modules)
sys.exit(f"imported while tests are collected: {sorted(loaded)}" if loaded else 0)
"""


def test_collecting_the_tests_imports_no_heavy_sdk() -> None:
    """One test by name must start at once; `tests/lazy_sdk.py` says how modules defer an import."""
    ended = subprocess.run(
        [sys.executable, "-c", COLLECT], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 0, (ended.stderr or ended.stdout)[-2000:]
