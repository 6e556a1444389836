"""One writer per data folder; the second one is told who the first is."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from foliotrace.adapters.local.files.lease import LeaseHolder, WriterLease
from foliotrace.errors import Conflict, LibraryUnavailable

HOLDS_UNTIL_KILLED = """
import sys, time
from pathlib import Path
from foliotrace.adapters.local.files.lease import WriterLease
lease = WriterLease.acquire(Path(sys.argv[1]), url="http://127.0.0.1:8080")
print("held", flush=True)
time.sleep(60)
"""


def test_a_second_writer_is_refused_with_the_url_of_the_first(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDS_UNTIL_KILLED, str(tmp_path)], stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"held\n"
    with pytest.raises(Conflict) as refused:
        WriterLease.acquire(tmp_path)
    assert refused.value.error_code == "data_folder_locked"
    assert "http://127.0.0.1:8080" in refused.value.message
    holder = WriterLease.holder(tmp_path)
    assert holder == LeaseHolder(pid=child.pid, url="http://127.0.0.1:8080")
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert WriterLease.holder(tmp_path) is None
    WriterLease.acquire(tmp_path).release()


def test_two_writers_in_one_process_exclude_each_other(tmp_path: Path) -> None:
    with WriterLease.acquire(tmp_path) as lease:
        with pytest.raises(Conflict):
            WriterLease.acquire(tmp_path)
        lease.announce("http://127.0.0.1:9000")
        assert WriterLease.holder(tmp_path) == LeaseHolder(
            pid=os.getpid(), url="http://127.0.0.1:9000"
        )
    lease.release()
    assert WriterLease.holder(tmp_path) is None


def test_a_folder_that_nobody_made_has_no_holder(tmp_path: Path) -> None:
    assert WriterLease.holder(tmp_path / "none") is None


def test_a_folder_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LibraryUnavailable):
        WriterLease.acquire(tmp_path / "file")
