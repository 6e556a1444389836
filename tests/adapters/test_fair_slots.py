"""Who gets the next parser process: every tenant its share, small files before large ones."""

import asyncio

import pytest

from foliotrace.adapters.local.readers.fair_slots import FairSlots

pytestmark = pytest.mark.anyio


async def order_of(slots: FairSlots, *requests: tuple[str, str], cost: float = 1.0) -> list[str]:
    """The order in which requests that wait together get the only slot."""
    served: list[str] = []

    async def take(tenant: str, file: str) -> None:
        async with slots.slot(tenant, file):
            served.append(file)
            await asyncio.sleep(0)
            slots.charge(tenant, file, cost)

    async with slots.slot("nobody", "first"):
        tasks = [asyncio.create_task(take(*each)) for each in requests]
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    return served


async def test_a_small_file_passes_the_many_parts_of_a_large_one() -> None:
    slots = FairSlots(1)
    slots.charge("a", "large", 50)
    served = await order_of(slots, *[("a", "large")] * 8, ("a", "small"))
    assert served.index("small") <= 1


async def test_a_tenant_with_one_file_passes_a_tenant_with_many() -> None:
    slots = FairSlots(1)
    slots.charge("a", "a0", 50)
    served = await order_of(slots, *[("a", f"a{n}") for n in range(20)], ("b", "b1"), ("b", "b2"))
    assert served.index("b1") <= 2
    assert served.index("b2") <= 4


async def test_a_large_file_goes_on_while_small_ones_keep_coming() -> None:
    slots = FairSlots(1)
    slots.charge("a", "large", 1000)
    served = await order_of(slots, ("a", "large"), *[("a", f"s{n}") for n in range(20)])
    assert served.index("large") <= 4


async def test_a_tenant_that_paused_does_not_keep_the_others_waiting() -> None:
    slots = FairSlots(1)
    slots.charge("a", "a", 1000)
    served = await order_of(slots, *[("a", "a")] * 4, *[("b", f"b{n}") for n in range(8)])
    assert served.index("a") <= 4
    assert served[:8].count("a") >= 2


async def test_as_many_as_there_are_slots_run_and_a_cancelled_one_leaves() -> None:
    slots = FairSlots(2)
    running = most = 0

    async def take(number: int) -> None:
        nonlocal running, most
        async with slots.slot("a", number):
            running += 1
            most = max(most, running)
            try:
                await asyncio.sleep(0.001)
            finally:
                running -= 1

    tasks = [asyncio.create_task(take(number)) for number in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::3]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert most == 2
    await asyncio.wait_for(take(99), 1)
    await asyncio.wait_for(asyncio.gather(take(1), take(2)), 1)
