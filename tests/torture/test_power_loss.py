"""Power cuts, torn writes and failing disks lose nothing that was acknowledged.

A recorder in C stands between the process and the system's calls; disks are rebuilt from its log.
"""

import asyncio
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.torture.disk import Disk, read_log, write_image
from tests.torture.stores import kept

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[1]
_COMPILER = shutil.which("cc") or shutil.which("gcc")
pytestmark = [
    pytest.mark.skipif(
        sys.platform != "linux" or _COMPILER is None, reason="needs Linux and a C compiler"
    ),
    pytest.mark.timeout(180),
]


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("recorder") / "recorder.so"
    command = [str(_COMPILER), "-shared", "-fPIC", "-O1", "-o", str(library)]
    subprocess.run([*command, str(_HERE / "recorder.c"), "-ldl"], check=True)
    return library


def run(recorder: Path, root: Path, *arguments: str, log: Path | None = None) -> str:
    env = {"PATH": os.defpath, "LD_PRELOAD": str(recorder), "TORTURE_ROOT": str(root)}
    if log is not None:
        env["TORTURE_LOG"] = str(log)
    command = [sys.executable, "-m", "tests.torture.stores", str(root), *arguments]
    done = subprocess.run(
        command, env=env, cwd=_ROOT, timeout=150, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def lost_at_power_cuts(recorder: Path, scratch: Path, *mutation: str, torn: int = 0) -> list[str]:
    """What is lost when the power fails before and after each sync and after each promise."""
    root, log = scratch / "root", scratch / "log"
    run(recorder, root, *mutation, log=log)
    disk, draw, lost, cuts = Disk(), random.Random(5), [], 0
    for op in read_log(log, root):
        promised = len(disk.acknowledged)
        if op.kind == "s":
            cuts += 1
            lost += _lost(disk, scratch, [random.Random(draw.random()) for _ in range(torn)])
        disk.apply(op)
        if len(disk.acknowledged) > promised:
            cuts += 1
            lost += _lost(disk, scratch, [None])
        if lost:
            return lost
    assert disk.acknowledged
    assert cuts > 20
    return lost


def _lost(
    disk: Disk, scratch: Path, draws: "list[random.Random | None] | list[random.Random]"
) -> list[str]:
    lost = []
    for draw in draws or [None]:
        folder = scratch / "image"
        write_image(disk.image(draw), folder)
        try:
            missing = set(disk.acknowledged) - asyncio.run(kept(folder))
            lost += sorted(missing)
        except Exception as error:  # noqa: BLE001 - a store that does not open has lost everything
            lost.append(repr(error))
        shutil.rmtree(folder)
    return lost


def test_a_power_cut_at_any_sync_loses_nothing_that_was_acknowledged(
    recorder: Path, tmp_path: Path
) -> None:
    assert lost_at_power_cuts(recorder, tmp_path) == []


def test_writes_that_reach_the_disk_in_part_lose_nothing_either(
    recorder: Path, tmp_path: Path
) -> None:
    assert lost_at_power_cuts(recorder, tmp_path, torn=1) == []


@pytest.mark.parametrize(
    "mutation", ["original", "folder of originals", "journal", "library", "audit"]
)
def test_a_store_that_skips_a_sync_is_found_out(
    recorder: Path, tmp_path: Path, mutation: str
) -> None:
    assert lost_at_power_cuts(recorder, tmp_path, mutation)


def test_a_disk_that_fails_at_any_call_is_a_typed_error_and_loses_nothing(
    recorder: Path, tmp_path: Path
) -> None:
    assert "typed failures" in run(recorder, tmp_path / "root", "--faults", "9")
