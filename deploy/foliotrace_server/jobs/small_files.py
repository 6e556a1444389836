"""Runs of small files, ingested together outside the engine."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

from opentelemetry.context import Context
from workflows import Workflow

from foliotrace.events import span
from foliotrace.ingest.services import IngestServices
from foliotrace.ingest.together import QueuedFile, ingest_together
from foliotrace.ingest.workflow import Ingested
from foliotrace_server.host.run_journal import AcceptedRun
from foliotrace_server.observing.trace_context import inside, stored_context

_OF_A_STORED_FILE = {"document_id", "job_id"}


@contextmanager
def _run_span(trace: Context, workflow: Workflow) -> Iterator[None]:
    """The span of a run that the engine does not execute, as the engine's runs have one."""
    with inside(trace), span(f"{type(workflow).__name__}.run", workflow) as call:
        call.result = {"executed": "together with other small files"}
        yield


async def ingest_runs(
    services: IngestServices, workflow: Workflow, tenant: str, runs: Sequence[AcceptedRun]
) -> Mapping[str, Ingested]:
    """Ingest the small files among the accepted runs together; see `ingest_together`.

    The results of those that have completed, by handler id.
    """
    queued = []
    for run in runs:
        start = {k: v for k, v in json.loads(run.start_event).items() if v not in (None, False)}
        if start.keys() == _OF_A_STORED_FILE and start["job_id"] == run.handler_id:
            trace = stored_context(run.trace)
            queued.append(
                QueuedFile(
                    job_id=start["job_id"],
                    document_id=start["document_id"],
                    context=partial(inside, trace),
                    run=partial(_run_span, trace, workflow),
                )
            )
    ingested = await ingest_together(services, tenant, queued)
    return {
        job_id: Ingested.of(file.job.id, file.document, file.index_version)
        for job_id, file in ingested.items()
    }
