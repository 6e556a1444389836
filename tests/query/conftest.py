from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.query.query_stack import QueryStack, open_query_stack


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[QueryStack]:
    async with open_query_stack(tmp_path) as opened:
        yield opened
