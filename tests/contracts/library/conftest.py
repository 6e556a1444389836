"""The adapters over which the contract of each library port runs."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from foliotrace.adapters.local.sqlite.library import SqliteLibrary
from foliotrace.ports import Library


@pytest.fixture(params=["sqlite"])
async def library(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Library]:
    opened = SqliteLibrary.open(tmp_path)
    yield opened
    opened.close()
