"""However a process dies, each run has one first and one last audit record; `verify` proves it."""

import asyncio
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.audit.log_reading import audit_records
from tests.data_folder.folders import filled, ingest, serving

from foliotrace_audit import AuditWriter
from foliotrace_server.cli.main import main
from foliotrace_server.compose import compose
from foliotrace_server.settings import load_settings

pytestmark = pytest.mark.anyio
_ROOT = Path(__file__).parents[2]


def pairs(folder: Path) -> dict[str, tuple[int, int]]:
    """By run: how many first and last records it has."""
    found = Counter(
        (record["run_id"], record["event"].endswith("_received"))
        for record in audit_records(folder / "audit")
        if not record["event"].startswith("access_")  # one record each, of requests that only read
    )
    return {run: (found[run, True], found[run, False]) for run, _ in found}


async def _die_at(folder: Path, event: str, when: str) -> None:
    """Serve, upload or ask, and die right before or after the record `event` is on the disk."""
    append = AuditWriter.append

    def dying(self: AuditWriter, entry: object, **options: object) -> int:
        if getattr(entry, "event", "") != event:
            return append(self, entry, **options)  # type: ignore[arg-type] # passed on
        if when == "after":
            self.wait_durable(append(self, entry, **options), timeout_s=10)  # type: ignore[arg-type] # passed on
        time.sleep(0.2)  # what came before it is on the disk
        os._exit(9)

    AuditWriter.append = dying  # type: ignore[method-assign] # in a process of its own
    async with serving(folder) as client:
        if event.startswith("query"):
            await client.post("/v1/query", json={"query": "refund window"})
        else:
            await ingest(client, "refunds.txt", "The refund window is 30 days after delivery.")


@pytest.mark.parametrize(
    ("event", "when"),
    [
        ("ingest_received", "before"),
        ("ingest_received", "after"),
        ("ingest_completed", "before"),
        ("ingest_completed", "after"),
        ("query_completed", "before"),
    ],
)
async def test_a_killed_run_has_one_first_and_one_last_record(
    tmp_path: Path, event: str, when: str
) -> None:
    died = subprocess.run(
        [sys.executable, "-m", __spec__.name, str(tmp_path), event, when],
        cwd=_ROOT, timeout=60, check=False, capture_output=True,
    )  # fmt: skip
    assert died.returncode == 9, died.stderr.decode()
    engine = compose(load_settings(None, data_dir=tmp_path), serving=True)
    await engine.start()
    while engine.durable.accepted:
        await asyncio.sleep(0.02)
    await engine.stop()
    found = pairs(tmp_path)
    assert found
    assert set(found.values()) == {(1, 1)}


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["--data-dir", str(folder), "audit", *arguments])
    return result.exit_code, result.output


async def test_one_command_makes_the_log_of_a_default_installation_sound(tmp_path: Path) -> None:
    folder = await filled(tmp_path / "data")
    assert run(folder, "verify")[0] == 2
    code, said = run(folder, "rotate-key")
    assert code == 0, said
    assert run(folder, "verify")[0] == 0
    async with serving(folder) as client:
        await client.post("/v1/query", json={"query": "refund window"})
    code, said = run(folder, "verify")
    assert (code, said.partition(":")[0]) == (0, "sound")


async def test_keys_made_while_a_service_runs_sign_the_end_of_its_log(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with serving(folder) as client:
        await client.post("/v1/query", json={"query": "refund window"})
        assert run(folder, "rotate-key")[0] == 0
    code, said = run(folder, "verify")
    assert code == 0, said
    log = next(
        file for file in (folder / "audit").glob("*/0000.jsonl") if file.stat().st_size > 2000
    )
    log.write_bytes(log.read_bytes().replace(b'"success":false', b'"success":true', 1)[:-200])
    assert run(folder, "verify")[0] == 1


if __name__ == "__main__":
    asyncio.run(_die_at(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
