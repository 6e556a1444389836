from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.query import kit


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[kit.Desk]:
    async with kit.desk(tmp_path) as made:
        yield made
