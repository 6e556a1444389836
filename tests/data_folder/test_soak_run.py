"""The soak, the hostile-files and the burst benchmarks, shortened."""

from pathlib import Path

import pytest
from bench import burst, hostile, soak
from tests.free_ports import free_port

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(240)]


async def test_a_quarter_of_a_minute_of_work_leaves_no_error_and_no_open_job(
    tmp_path: Path,
) -> None:
    figures = await soak.measure(tmp_path, 0.25, port=free_port())
    assert figures["jobs"]
    assert (figures["errors"], figures["jobs_not_completed"]) == ({}, 0)
    assert figures["audit_verify_exit_code"] == 0


async def test_hostile_files_end_in_a_code_while_questions_are_answered(tmp_path: Path) -> None:
    figures = await hostile.measure(tmp_path, 30, port=free_port())
    assert figures["files"] == 30
    assert hostile.broken(figures) == []


async def test_a_burst_of_questions_is_answered_or_refused_and_none_is_reset(
    tmp_path: Path,
) -> None:
    figures = await burst.measure(tmp_path, 100, port=free_port())
    answers = figures["answers"]
    assert isinstance(answers, dict)
    assert set(answers) <= {"200", "429"}
    assert sum(answers.values()) == 100 * burst.ROUNDS
