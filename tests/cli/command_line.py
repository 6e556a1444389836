"""The command line in a process of its own, in a folder of its own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

PROGRAM = "from foliotrace_server.cli import main; main(prog_name='foliotrace')"


def foliotrace(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def json_output(folder: Path, *words: str, code: int = 0) -> Any:
    """What the command prints with `--output json`; it must exit with `code`."""
    ended = foliotrace(folder, *words, "--output", "json")
    assert ended.returncode == code, ended.stderr
    return json.loads(ended.stdout)
