"""Checkpoints are read from what they were exported in, and nothing else is taken for one."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.audit.log_reading import OpenLog, fill, judge

from foliotrace_audit import CHECKPOINT_EVENT
from foliotrace_audit.checkpoint import numbered_lines, signed_lines
from foliotrace_audit.verify.verdict import TamperKind

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def in_otlp(*lines: str) -> str:
    records = [
        {
            "eventName": CHECKPOINT_EVENT,
            "attributes": [
                {"key": "foliotrace.audit.seq", "value": {"intValue": "7"}},
                {"key": CHECKPOINT_EVENT, "value": {"stringValue": line}},
            ],
        }
        for line in lines
    ]
    other = {"body": {"stringValue": "something else"}}
    return json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [other, *records]}]}]})


def in_log(line: str) -> str:
    return json.dumps({"event": "audit.checkpoint", "level": "info", "line": line})


def bare(line: str) -> str:
    return line


@pytest.mark.parametrize("wrapped", [in_otlp, in_log, bare])
def test_every_form_proves_the_log_and_finds_its_truncation(
    wrapped: Any, open_log: OpenLog, tmp_path: Path
) -> None:
    fill(writer := open_log(), 4)
    writer.close()
    (file,) = (tmp_path / "outside").iterdir()
    lines = file.read_text().splitlines()
    noise = ['{"event":"server.started"}', '{"resourceSpans":[]}', "INFO:  some other program"]
    twice = [*noise, *(wrapped(line) for line in lines), *(wrapped(line) for line in lines)]
    exported = tmp_path / "exported.jsonl"
    exported.write_text("".join(f"{line}\n" for line in twice))
    expected = sorted([*lines, *lines])
    held = numbered_lines([line.encode() for line in twice])
    assert sorted(line.decode() for _, line in held) == expected
    assert judge(tmp_path, outside=exported).status() == "sound"
    (segment,) = (tmp_path / "log").glob("*/0000.jsonl")
    segment.write_bytes(b"".join(segment.read_bytes().splitlines(keepends=True)[:-2]))
    assert judge(tmp_path, outside=exported).status() == "tampered"


def test_a_batch_of_several_is_read_in_order() -> None:
    assert signed_lines(in_otlp("a", "b").encode()) == [b"a", b"b"]


def test_a_checkpoint_that_was_changed_on_its_way_is_a_finding(
    open_log: OpenLog, tmp_path: Path
) -> None:
    fill(writer := open_log(), 2)
    writer.close()
    (file,) = (tmp_path / "outside").iterdir()
    line = file.read_text().splitlines()[-1]
    exported = tmp_path / "exported.jsonl"
    for broken in (line.replace('"seq":', '"seq":1'), "no checkpoint"):
        exported.write_text(in_otlp(line) + "\n" + in_otlp(broken) + "\n")
        verdict = judge(tmp_path, outside=exported)
        assert verdict.status() == "tampered"
        assert TamperKind.BAD_SIGNATURE in {finding.kind for finding in verdict.findings}


def test_among_bare_lines_one_that_is_none_is_a_finding(open_log: OpenLog, tmp_path: Path) -> None:
    fill(writer := open_log(), 2)
    writer.close()
    (file,) = (tmp_path / "outside").iterdir()
    file.write_text(file.read_text() + "no checkpoint\n")
    assert judge(tmp_path).status() == "tampered"


def test_the_logs_own_checkpoints_are_signed_lines_and_nothing_else(
    open_log: OpenLog, tmp_path: Path
) -> None:
    fill(writer := open_log(), 2)
    writer.close()
    (own,) = (tmp_path / "log").glob("*/checkpoints.jsonl")
    own.write_text(own.read_text() + '{"event":"hidden"}\n')
    assert judge(tmp_path, outside=tmp_path / "outside").status() == "tampered"


@given(VALUES)
def test_whatever_an_export_holds_reading_it_never_fails(value: Any) -> None:
    for made in (value, {"resourceLogs": value}, {"resourceLogs": [{"scopeLogs": value}]}):
        found = numbered_lines([json.dumps(made).encode(), b"text"])
        assert all(isinstance(line, bytes) for _, line in found)
