"""A writer goes on with the stream that the last one ended, so that a data folder has one."""

import shutil
from pathlib import Path

from tests.cli.command_line import foliotrace, json_output

from foliotrace_audit import AuditWriter, Entry, open_keys
from foliotrace_audit.files import segments, streams
from foliotrace_audit.verify.evidence import read_evidence
from foliotrace_audit.verify.log import verify_log
from foliotrace_audit.verify.verdict import Verdict


def written(folder: Path, run_id: str, *, resume: bool = True) -> str:
    writer = AuditWriter.open(folder / "log", open_keys(folder / "keys"), resume=resume)
    writer.append(Entry(event="query_received", run_id=run_id, tenant="t"))
    writer.close()
    return writer.stream


def verified(folder: Path) -> Verdict:
    evidence = read_evidence(
        folder / "log", key_folder=folder / "keys", public_keys=(), checkpoints=()
    )
    return verify_log(folder / "log", evidence, jobs=1)


def test_writers_one_after_the_other_share_one_sound_stream(tmp_path: Path) -> None:
    names = {written(tmp_path, f"run_{number}") for number in range(4)}
    (stream,) = streams(tmp_path / "log")
    assert names == {stream.name}
    assert list(segments(stream)) == [0, 1, 2, 3]
    (verdict,) = verified(tmp_path).streams
    assert verdict.findings == ()
    assert verdict.records == 4 * 3  # opened, the query, sealed


def test_a_writer_beside_another_has_a_stream_of_its_own(tmp_path: Path) -> None:
    keys = open_keys(tmp_path / "keys")
    first = AuditWriter.open(tmp_path / "log", keys, resume=True)
    assert written(tmp_path, "run_2") != first.stream
    first.close()
    assert [each.findings for each in verified(tmp_path).streams] == [(), ()]


def test_a_segment_removed_from_the_middle_is_found(tmp_path: Path) -> None:
    for number in range(3):
        written(tmp_path, f"run_{number}")
    (stream,) = streams(tmp_path / "log")
    segments(stream)[1].unlink()
    assert verified(tmp_path).streams[0].findings


def test_resumed_segments_that_were_cut_off_are_found_by_the_checkpoints(tmp_path: Path) -> None:
    written(tmp_path, "run_1")
    written(tmp_path, "run_2")
    (stream,) = streams(tmp_path / "log")
    segments(stream)[1].unlink()
    assert verified(tmp_path).streams[0].findings


def test_a_stream_that_was_changed_is_not_gone_on_with(tmp_path: Path) -> None:
    before = written(tmp_path, "run_1")
    (stream,) = streams(tmp_path / "log")
    path = segments(stream)[0]
    path.write_bytes(path.read_bytes().replace(b'"final":true', b'"final": true'))
    assert written(tmp_path, "run_2") != before


def test_other_keys_begin_a_new_stream(tmp_path: Path) -> None:
    before = written(tmp_path, "run_1")
    shutil.rmtree(tmp_path / "keys")
    assert written(tmp_path, "run_2") != before


def test_commands_on_a_data_folder_write_one_stream(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Refunds are paid within 30 days.")
    foliotrace(tmp_path, "ingest", "a.txt")
    foliotrace(tmp_path, "ask", "When are refunds paid?")
    foliotrace(tmp_path, "documents", "list")
    assert len(streams(tmp_path / "foliotrace-data" / "audit")) == 1
    events = foliotrace(tmp_path, "audit", "find", "--event", "query_completed")
    assert events.stdout.count("query_completed") == 1
    assert "streams" in foliotrace(tmp_path, "audit", "verify").stdout
    assert json_output(tmp_path, "documents", "list")
