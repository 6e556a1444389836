"""Calls that share a thread: each gets its outcome, whatever fails between them."""

from collections.abc import Sequence

import pytest

from foliotrace.adapters.local.grouped_calls import GroupedCalls

pytestmark = pytest.mark.anyio


def doubled(items: Sequence[int]) -> Sequence[int | Exception]:
    return [ValueError("odd") if item % 2 else 2 * item for item in items]


def broken() -> None:
    raise OSError("the disk is gone")


async def test_calls_are_served_after_what_follows_a_call_has_failed() -> None:
    calls = GroupedCalls(doubled, name="test", done=broken)
    try:
        assert [await calls.call(2), await calls.call(4)] == [4, 8]
        with pytest.raises(ValueError, match="odd"):
            await calls.call(3)
        assert await calls.call(6) == 12
    finally:
        calls.close()
