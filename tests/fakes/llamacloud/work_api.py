"""Classify, split and batches."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from llama_cloud.pagination import SyncPaginatedCursor
from llama_cloud.types import (
    BatchCancelResponse,
    BatchCreateResponse,
    BatchGetResponse,
    BatchListResponse,
    ClassifyCancelResponse,
    ClassifyCreateResponse,
    ClassifyDeleteResponse,
    ClassifyGetResponse,
    ClassifyListResponse,
    SplitCancelResponse,
    SplitCreateResponse,
    SplitGetResponse,
    SplitListResponse,
    batch_cancel_params,
    batch_create_params,
    batch_get_params,
    batch_list_params,
    classify_cancel_params,
    classify_create_params,
    classify_delete_params,
    classify_get_params,
    classify_list_params,
    split_cancel_params,
    split_create_params,
    split_delete_params,
    split_get_params,
    split_list_params,
)
from tests.fakes.llamacloud import extract_api, parse_api
from tests.fakes.llamacloud.content import Page
from tests.fakes.llamacloud.jobs import Charge, Job, now
from tests.fakes.llamacloud.routing import Call, endpoint
from tests.fakes.llamacloud.search import terms
from tests.fakes.llamacloud.state import DirectoryFile, Refused, iso, new_id, own, paged

CLASSIFY, SPLIT, BATCHES = "/api/v2/classify", "/api/v1/split/jobs", "/api/v2/batches"
CREDITS_PER_PAGE = {"classify": 1.0, "split": 1.0}
SPLIT_WORDS = {
    "PENDING": "pending",
    "RUNNING": "processing",
    "COMPLETED": "completed",
    "FAILED": "failed",
    "CANCELLED": "cancelled",
}
USER = "usr-fake"
Worker = Callable[[tuple[Page, ...], dict[str, Any]], Any]


def _accept(call: Call, product: str, worker: Worker) -> Job:
    """A new job over a file or a finished parse job."""
    source = (
        call.body.get("file_input") or call.body.get("file_id") or call.body.get("parse_job_id")
    )
    inline, saved_id = call.body.get("configuration"), call.body.get("configuration_id")
    if not source or bool(inline) == bool(saved_id):
        raise Refused(422, "Provide file_input and one of configuration and configuration_id")
    kind = {"classify": "classify_v2", "split": "split_v1"}[product]
    configuration = inline or call.cloud.configuration(str(saved_id), kind, call.project_id)
    configuration = {k: v for k, v in configuration.items() if k != "product_type"}
    digest, parse_job = extract_api.find_source(call, source)
    job = Job(
        new_id({"classify": "cls", "split": "spl"}[product]),
        product,
        call.project_id,
        work=lambda: None,
        pace=call.cloud.pace_of(product),
        behaviours=call.behaviours,
        request={**call.body, "file_input": source, "configuration": configuration},
    )

    def bill(pages: int) -> None:
        spent = CREDITS_PER_PAGE[product] * pages
        work = f"{product} {digest} {configuration}"
        call.cloud.bill(Charge(job.id, product, spent, pages, call.key, work, now()))

    def work() -> Any:
        pages = extract_api.source_pages(call, source, parse_job)
        bill(len(pages))
        return worker(pages, configuration)

    job.work = work
    bill(0)
    call.cloud.start(job, job.request)
    return job


def _overlap(text: str, label: str) -> float:
    wanted = set(terms(label))
    return len(wanted & set(terms(text))) / len(wanted) if wanted else 0.0


def _classified(pages: tuple[Page, ...], configuration: dict[str, Any]) -> dict[str, Any]:
    text = "\n".join(page.text for page in pages)
    scored = [
        (_overlap(text, f"{r['type']} {r['description']}"), r) for r in configuration["rules"]
    ]
    score, rule = max(scored, key=lambda entry: entry[0])
    if score == 0:
        return {"type": None, "confidence": 0.0, "reasoning": "No rule shares a word"}
    reason = f"Shares {score:.0%} of the rule's words"
    return {"type": rule["type"], "confidence": round(score, 3), "reasoning": reason}


def _segments(pages: tuple[Page, ...], configuration: dict[str, Any]) -> dict[str, Any]:
    segments: list[dict[str, Any]] = []
    for page in pages:
        scored = [
            (_overlap(page.text, f"{c['name']} {c.get('description') or ''}"), c["name"])
            for c in configuration["categories"]
        ]
        score, name = max(scored, key=lambda entry: entry[0])
        category = name if score else "uncategorized"
        if segments and segments[-1]["category"] == category:
            segments[-1]["pages"].append(page.number)
            continue
        sure = "high" if score > 0.5 else "medium" if score else "low"
        segments.append({"category": category, "confidence_category": sure, "pages": [page.number]})
    return {"segments": segments}


def _shown(job: Job) -> dict[str, Any]:
    source = job.request["file_input"]
    return {
        "id": job.id,
        "project_id": job.project_id,
        "user_id": USER,
        "file_input": source,
        "document_input_type": "parse_job_id" if source.startswith("pjb-") else "file_id",
        "configuration_id": job.request.get("configuration_id"),
        "transaction_id": job.request.get("transaction_id"),
        "created_at": iso(job.created_at),
        "updated_at": iso(job.updated_at),
        "error_message": job.error,
        "result": job.outcome if job.status == "COMPLETED" else None,
    }


def _classify_json(call: Call, job: Job) -> dict[str, Any]:
    shown = _shown(job) | {"status": job.status, "configuration": job.request["configuration"]}
    if "usage" in call.many.get("expand", []):
        shown["usage"] = {"credits": call.cloud.billing.of(job.id) if job.terminal else None}
    return shown


def _split_json(job: Job) -> dict[str, Any]:
    held = ("categories", "splitting_strategy", "target_pages", "parse_config_id", "parse_tier")
    configuration = {k: v for k, v in job.request["configuration"].items() if k in held}
    return _shown(job) | configuration | {"status": SPLIT_WORDS[job.status]}


def _job(call: Call, product: str) -> Job:
    job_id = call.path.get("job_id") or call.path["split_job_id"]
    job: Job = own(call.cloud.state.jobs, job_id, call.project_id, "Job")
    if job.product != product:
        raise Refused(404, f"Job {job_id} not found")
    return job


def _repeated(call: Call, product: str) -> Job | None:
    """The job of the same `transaction_id`: these two calls may be repeated safely."""
    key = call.body.get("transaction_id")
    jobs = [j for j in call.cloud.state.jobs.values() if j.project_id == call.project_id]
    same = [
        j for j in jobs if key and (j.product, j.request.get("transaction_id")) == (product, key)
    ]
    return same[0] if same else None


@endpoint(
    "POST",
    CLASSIFY,
    params=classify_create_params.ClassifyCreateParams,
    takes="json",
    returns=ClassifyCreateResponse,
)
async def classify(call: Call) -> Any:
    """Choose the rule that shares most words with the document."""
    job = _repeated(call, "classify") or _accept(call, "classify", _classified)
    return _classify_json(call, job)


@endpoint(
    "GET",
    CLASSIFY,
    params=classify_list_params.ClassifyListParams,
    returns=SyncPaginatedCursor[ClassifyListResponse],
)
async def list_classify(call: Call) -> Any:
    """Classify jobs, newest first."""
    found = call.cloud.selected_jobs(call, "classify")
    jobs, token = paged(found, call.number("page_size"), call.one("page_token"))
    return {"items": [_classify_json(call, job) for job in jobs], "next_page_token": token}


@endpoint(
    "GET",
    CLASSIFY + "/{job_id}",
    params=classify_get_params.ClassifyGetParams,
    returns=ClassifyGetResponse,
)
async def get_classify(call: Call) -> Any:
    """One classify job."""
    job = _job(call, "classify")
    await call.cloud.poll(job)
    return _classify_json(call, job)


@endpoint(
    "POST",
    CLASSIFY + "/{job_id}/cancel",
    params=classify_cancel_params.ClassifyCancelParams,
    returns=ClassifyCancelResponse,
)
async def cancel_classify(call: Call) -> Any:
    """Stop it."""
    job = _job(call, "classify")
    call.cloud.cancel(job)
    return _classify_json(call, job)


@endpoint(
    "DELETE",
    CLASSIFY + "/{job_id}",
    params=classify_delete_params.ClassifyDeleteParams,
    returns=ClassifyDeleteResponse,
)
async def delete_classify(call: Call) -> Any:
    """Forget it."""
    job = _job(call, "classify")
    call.cloud.delete_job(job)
    return {"id": job.id, "project_id": job.project_id}


@endpoint(
    "POST",
    SPLIT,
    params=split_create_params.SplitCreateParams,
    takes="json",
    returns=SplitCreateResponse,
)
async def split(call: Call) -> Any:
    """Give each page its nearest category; neighbours of one category form a segment."""
    return _split_json(_repeated(call, "split") or _accept(call, "split", _segments))


@endpoint(
    "GET",
    SPLIT,
    params=split_list_params.SplitListParams,
    returns=SyncPaginatedCursor[SplitListResponse],
)
async def list_split(call: Call) -> Any:
    """Split jobs, newest first."""
    wanted = call.one("status")
    every = replace(call, many={k: v for k, v in call.many.items() if k != "status"})
    found = call.cloud.selected_jobs(every, "split")
    found = [job for job in found if wanted in (None, SPLIT_WORDS[job.status])]
    jobs, token = paged(found, call.number("page_size"), call.one("page_token"))
    return {"items": [_split_json(job) for job in jobs], "next_page_token": token}


@endpoint(
    "GET",
    SPLIT + "/{split_job_id}",
    params=split_get_params.SplitGetParams,
    returns=SplitGetResponse,
)
async def get_split(call: Call) -> Any:
    """One split job."""
    job = _job(call, "split")
    await call.cloud.poll(job)
    return _split_json(job)


@endpoint(
    "POST",
    SPLIT + "/{split_job_id}/cancel",
    params=split_cancel_params.SplitCancelParams,
    returns=SplitCancelResponse,
)
async def cancel_split(call: Call) -> Any:
    """Stop it."""
    job = _job(call, "split")
    call.cloud.cancel(job)
    return _split_json(job)


@endpoint(
    "DELETE",
    SPLIT + "/{split_job_id}",
    params=split_delete_params.SplitDeleteParams,
    returns=object,
)
async def delete_split(call: Call) -> Any:
    """Forget it."""
    call.cloud.delete_job(_job(call, "split"))
    return {}


def _child(call: Call, entry: DirectoryFile, kind: str, saved_id: str) -> Job | str:
    alone = replace(call, body={}, behaviours=())
    try:
        parameters = call.cloud.configuration(saved_id, kind, call.project_id)
        parameters = {k: v for k, v in parameters.items() if k != "product_type"}
        if kind == "extract_v2":
            return extract_api.accept(alone, entry.file_id, parameters, saved_id)
        stored = call.cloud.state.file(entry.file_id, call.project_id)
        request = parse_api.checked_request(alone, parameters)
        return parse_api.accept(alone, request, lambda: stored, stored.digest)
    except Refused as refused:
        return str(refused.detail)


def _batch_json(batch: Job, *, results: bool = False) -> dict[str, Any]:
    shown = {
        "id": batch.id,
        "project_id": batch.project_id,
        "source_directory_id": batch.request["source_directory_id"],
        "config": batch.request["config"],
        "status": batch.status,
        "created_at": iso(batch.created_at),
        "updated_at": iso(batch.updated_at),
    }
    if results:
        kind = batch.request["config"]["job"]["type"]
        shown["results"] = [
            {"source_directory_file_id": entry_id, "error_message": child}
            if isinstance(child, str)
            else {
                "source_directory_file_id": entry_id,
                "job_reference": {"id": child.id, "type": kind},
            }
            for entry_id, child in batch.request["children"].items()
        ]
    return shown


@endpoint(
    "POST",
    BATCHES,
    params=batch_create_params.BatchCreateParams,
    takes="json",
    returns=BatchCreateResponse,
)
async def create_batch(call: Call) -> Any:
    """One job per file of the directory."""
    directory = own(
        call.cloud.state.directories, call.body["source_directory_id"], call.project_id, "Directory"
    )
    wanted = call.body["config"]["job"]
    call.cloud.configuration(wanted["configuration_id"], wanted["type"], call.project_id)
    entries = call.cloud.state.directory_files.values()
    children = {
        entry.id: _child(call, entry, wanted["type"], wanted["configuration_id"])
        for entry in [e for e in entries if e.directory_id == directory.id]
    }
    jobs = [child for child in children.values() if isinstance(child, Job)]

    def finish_all() -> None:
        for job in jobs:
            job.finish()

    batch = Job(
        new_id("bat"),
        "batch",
        call.project_id,
        work=finish_all,
        pace=call.cloud.pace_of("batch"),
        behaviours=call.behaviours,
        request={**call.body, "children": children},
    )
    call.cloud.start(batch, batch.request)
    return _batch_json(batch)


def _batch(call: Call) -> Job:
    batch: Job = own(call.cloud.state.jobs, call.path["batch_id"], call.project_id, "Batch")
    if batch.product != "batch":
        raise Refused(404, f"Batch {batch.id} not found")
    return batch


@endpoint(
    "GET",
    BATCHES,
    params=batch_list_params.BatchListParams,
    returns=SyncPaginatedCursor[BatchListResponse],
)
async def list_batches(call: Call) -> Any:
    """Batches, newest first."""
    source = call.one("source_directory_id")
    found = [
        batch
        for batch in call.cloud.selected_jobs(call, "batch")
        if source in (None, batch.request["source_directory_id"])
    ]
    batches, token = paged(found, call.number("page_size"), call.one("page_token"))
    return {"items": [_batch_json(batch) for batch in batches], "next_page_token": token}


@endpoint(
    "GET", BATCHES + "/{batch_id}", params=batch_get_params.BatchGetParams, returns=BatchGetResponse
)
async def get_batch(call: Call) -> Any:
    """One batch; its files with `expand=results`."""
    batch = _batch(call)
    await call.cloud.poll(batch)
    return _batch_json(batch, results="results" in call.many.get("expand", []))


@endpoint(
    "POST",
    BATCHES + "/{batch_id}/cancel",
    params=batch_cancel_params.BatchCancelParams,
    returns=BatchCancelResponse,
)
async def cancel_batch(call: Call) -> Any:
    """Stop what has not ended."""
    batch = _batch(call)
    call.cloud.cancel(batch)
    for child in batch.request["children"].values():
        if isinstance(child, Job) and not child.terminal:
            child.cancel()
    return _batch_json(batch)
