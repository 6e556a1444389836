"""Erases what the loop holds about the runs and the people in a scope."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from foliotrace.errors import LibraryUnavailable
from foliotrace.model import Principal, Run
from foliotrace.ports import Erased, ErasureScope, Runs
from foliotrace_loop.datasets.rows import Datasets
from foliotrace_loop.ports import LoopError
from foliotrace_loop.shapes import Row
from foliotrace_loop.store import LoopStore


class LoopErasure:
    """Feedback, reviews, queue items and dataset rows. Called before the runs are erased."""

    def __init__(self, runs: Runs, store: LoopStore, datasets: Path) -> None:
        self._runs = runs
        self._store = store
        self._datasets = Datasets(datasets)

    @property
    def erasers(self) -> Mapping[str, Callable[[ErasureScope], Awaitable[Erased]]]:
        """By what they erase. They need the runs, so they come before the eraser of the runs."""
        return {"feedback_and_reviews": self.erase_ratings, "dataset_rows": self.erase_rows}

    async def erase_ratings(self, scope: ErasureScope) -> Erased:
        """Delete the feedback and queue items of the runs, and what the user said of others."""
        erased, reachable = await self._visited(scope)

        def delete() -> int:
            count = sum(self._store.forget_run(scope.tenant, run_id) for run_id in erased)
            if scope.user is not None:
                within = None if scope.collection is None else reachable
                count += self._store.forget_person(
                    scope.tenant, scope.user, within=within, before=scope.before
                )
            return count

        return Erased(await asyncio.to_thread(delete))

    async def erase_rows(self, scope: ErasureScope) -> Erased:
        """Leave a retired row without content of each case that came from the runs.

        A collection of the tenant `default` takes the rows along that ask it, whatever they came
        from. Raises LibraryUnavailable.
        """
        erased, _ = await self._visited(scope)
        try:
            return Erased(await asyncio.to_thread(self._retire, scope, erased))
        except (OSError, LoopError) as error:
            raise LibraryUnavailable(
                f"the datasets cannot be rewritten: {error}",
                hint="Mend the file, or `loop.datasets`, and send the request again.",
            ) from error

    def _retire(self, scope: ErasureScope, erased: set[str]) -> int:
        def is_meant(row: Row) -> bool:
            if row.metadata.get("promoted_from_run") in erased:
                return True
            asks_it = row.inputs.get("collection", "default") == scope.collection
            old = scope.before is None or row.created < scope.before.date().isoformat()
            # Rows name no tenant: only where there is one do those of a collection belong to it.
            alone = scope.tenant == Principal().tenant
            return bool(row.inputs) and scope.user is None and alone and asks_it and old

        today = datetime.now(UTC).date().isoformat()
        return sum(self._datasets.erase(name, is_meant, today) for name in self._datasets.names())

    async def _visited(self, scope: ErasureScope) -> tuple[set[str], set[str]]:
        """(ids of the runs in the scope, ids of those in it whoever asked)."""
        erased, reachable = set[str](), set[str]()

        def visit(run: Run) -> bool:
            if scope.collection in (None, run.request.collection):
                reachable.add(run.id)
                if scope.user is None or scope.user in (run.subject, run.user_id):
                    erased.add(run.id)
            return True

        await self._runs.visit(scope.tenant, visit, until=scope.before)
        return erased, reachable
