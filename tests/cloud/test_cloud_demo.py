"""`./run demo --cloud-fake` tells its story to the end."""

import pytest
from tests.cloud_demo import story

pytestmark = pytest.mark.anyio


async def test_the_story_goes_as_told() -> None:
    assert await story()
