"""The reference pages say what the code says."""

import subprocess
import sys
from pathlib import Path


def test_the_reference_pages_are_current() -> None:
    """In a process of its own: click remembers the help option of the first to invoke a command."""
    checked = subprocess.run(
        [sys.executable, "-m", "tools.docs.reference", "--check"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
