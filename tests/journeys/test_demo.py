"""The demo runs every step in an empty folder, with no key, server or network."""

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
    report = json.loads(ended.stdout)
    assert report["ok"]
    assert report["documents"] == 8
    assert [answer["mode"] for answer in report["answered"]] == ["extractive"] * 3
    assert report["answered"][1]["figure"].startswith("D-ELKB, Hourly rate (EUR): 176.50")
    assert report["record"]["accident_number"] == "NYC08CA055"
    assert report["record"]["insurance_claim_number"] is None
    assert "invoke_workflow QueryWorkflow" in report["trace"]
    assert report["audit"] == "unanchored"  # development keys: honestly not proved
    assert report["audit_records"] > 8
