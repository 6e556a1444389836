"""A process that pays for calls until it is killed: `python paying_process.py URL FOLDER`."""

import asyncio
import random
import sys
from pathlib import Path

from tests.journeys.billing_model import BillingModel
from tests.journeys.test_one_bill import ask, priced


async def main() -> None:
    """Ask one question after the other, and report each on standard output."""
    model = BillingModel()
    model.url = sys.argv[1]
    async with priced(model, Path(sys.argv[2])) as (generator, _):
        for number in range(10_000):
            await ask(generator, number, random.Random(number))
            print(number, flush=True)


asyncio.run(main())
