"""CPU that online evaluation adds to a question, on the request path and behind it.

Questions about the shipped documents go through the workflow in process, past the caches, by rules
alone. Two services take turns, some questions at a time: with 5 % and with all answers in the
sample. On the path: the two calls into the release router, which are all that it adds there, timed
by themselves as a share of the question's CPU (whole questions vary by more than that from one
round to the next). Behind it: what rating costs, after the answer was sent.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import process_time_ns
from typing import Any

from tests.data_folder.folders import ingest, serving

from bench.record import save
from foliotrace.adapters.local.files.lease import WriterLease
from foliotrace.query.workflow import AskQuestion, QueryWorkflow
from foliotrace_otel import separate_trace
from foliotrace_server.compose import assemble
from foliotrace_server.loop.releases import ReleaseRouter
from foliotrace_server.settings import load_settings

COMMAND = "python -m bench.online"
TEXTS = [
    f"Building {n} has {n * 7} rooms. Its rent is {n * 113} EUR a month." for n in range(1, 41)
]
VARIANTS = {"5 %": 0.05, "all": 1.0}


class Service:
    """One service over a data folder of its own, not started: nothing runs behind its answers."""

    def __init__(self, folder: Path, share: float) -> None:
        online = {"enabled": True, "share": share, "max_waiting": 100_000}
        self.lease = WriterLease.acquire(folder)
        self.assembly = assemble(load_settings(None, data_dir=folder, online=online))
        workflow = self.assembly.query()
        assert isinstance(workflow, QueryWorkflow)
        self.workflow = workflow
        self.hooks_ns = self.rating_ns = 0
        router = workflow._releases
        self.router = router if isinstance(router, ReleaseRouter) else None
        if self.router is not None:
            for name in ("services_for", "ended"):
                setattr(self.router, name, self._timed(getattr(self.router, name)))

    def _timed(self, hook: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            began = process_time_ns()
            try:
                return hook(*args)
            finally:
                self.hooks_ns += process_time_ns() - began

        return call

    async def ask(self, numbers: range) -> int:
        """Nanoseconds of CPU for these questions."""
        began = process_time_ns()
        for n in numbers:
            text = f"What is the rent of building {n % 40 + 1}? ({n})"
            with separate_trace():  # as each request has its own
                await self.workflow.answer_directly(AskQuestion(query=text, bypass_cache=True))
        return process_time_ns() - began

    async def rate(self) -> int:
        """Rate what waits; nanoseconds of CPU."""
        if self.router is None or self.router._online is None:
            return 0
        began = process_time_ns()
        await self.router._online.settle()
        return process_time_ns() - began


async def measured(folder: Path, rounds: int, questions: int) -> dict[str, Any]:
    services = {}
    for name, share in VARIANTS.items():
        data = folder / name.replace(" %", "")
        async with serving(data) as client:
            for n, text in enumerate(TEXTS):
                await ingest(client, f"{n}.txt", text)
        services[name] = Service(data, share)
    path: dict[str, list[float]] = {name: [] for name in services}
    hooks: dict[str, list[float]] = {name: [] for name in services}
    behind: dict[str, float] = dict.fromkeys(services, 0.0)
    for turn in range(rounds + 1):
        for name, service in services.items():
            service.hooks_ns = 0
            asked = range(turn * questions, (turn + 1) * questions)
            spent = await service.ask(asked)
            rated = await service.rate()
            if turn:  # the first one warms up
                path[name].append(spent / questions / 1000)
                hooks[name].append(service.hooks_ns / spent)
                behind[name] += rated / 1000
    for service in services.values():
        for close in service.assembly.closing:
            with suppress(Exception):
                await close()
        service.lease.release()
    return {
        "questions": rounds * questions,
        **{
            name: {
                "us_per_question": round(statistics.median(path[name])),
                "share_on_the_path": round(statistics.median(hooks[name]), 4),
                "behind_us_per_question": round(behind[name] / (rounds * questions)),
            }
            for name in services
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--questions", type=int, default=40)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(measured(Path(folder), options.rounds, options.questions))
    print(json.dumps(figures, indent=1))
    save("online", figures, command=" ".join([COMMAND, *sys.argv[1:]]))


if __name__ == "__main__":
    main()
