"""A parser process cannot take all of the machine's memory."""

import sys
from pathlib import Path

import pytest
from tests.adapters.parsing import EXAMPLES, reading

from foliotrace.settings import WORKER_MEMORY_BYTES

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="limits are read from /proc"),
]


async def test_a_parser_process_runs_under_its_memory_limit() -> None:
    async with reading() as local:
        await local.read(EXAMPLES / "ntsb-NYC08CA055-tallahassee.pdf")
        (process,) = local.workers.idle_processes
        limits = Path(f"/proc/{process}/limits").read_text().splitlines()
    (line,) = (line for line in limits if line.startswith("Max address space"))
    assert line.split()[3:5] == [str(WORKER_MEMORY_BYTES)] * 2
