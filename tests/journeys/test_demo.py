"""The demo tells its whole story from an empty folder, with no key, server or network."""

import json
import subprocess
import sys
from pathlib import Path


def test_the_demo_answers_refuses_and_extracts_in_an_empty_folder(tmp_path: Path) -> None:
    foliotrace = Path(sys.executable).with_name("foliotrace")
    ended = subprocess.run(
        [str(foliotrace), "demo", "--output", "json"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    story = json.loads(ended.stdout)
    assert story["ok"]
    assert story["documents"] == 8
    assert [answer["mode"] for answer in story["answered"]] == ["extractive"] * 3
    assert story["record"]["accident_number"] == "NYC08CA055"
    assert story["record"]["insurance_claim_number"] is None
    assert "invoke_workflow QueryWorkflow" in story["trace"]
    assert story["audit"] == "unanchored"  # development keys: honestly not proved
    assert story["audit_records"] > 8
