"""The kill benchmark, shortened: ten kills with a full queue, three of them during a start-up."""

from pathlib import Path

import pytest
from bench.kill import broken, run_kills
from tests.free_ports import free_port

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(240)]


async def test_ten_kills_lose_double_and_forget_nothing(tmp_path: Path) -> None:
    figures = await run_kills(
        tmp_path,
        10,
        port=free_port(),
        settings={"FOLIOTRACE_SERVER__MAX_PENDING_JOBS": "20"},
    )
    assert (figures["kills"], figures["kills_in_start_up"]) == (10, 3)
    assert figures["refused_by_a_full_queue"]
    assert broken(figures) == []
