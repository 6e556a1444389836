"""Extract v2: create, poll, expand, cancel, delete, list; schema validation and generation."""

import json
import re
from typing import Any

from llama_cloud.pagination import SyncPaginatedCursor
from llama_cloud.types import (
    ConfigurationCreate,
    ExtractV2Job,
    ExtractV2SchemaValidateResponse,
    extract_cancel_params,
    extract_create_params,
    extract_delete_params,
    extract_generate_schema_params,
    extract_get_params,
    extract_list_params,
    extract_validate_schema_params,
)
from tests.fakes.llamacloud import content, extraction
from tests.fakes.llamacloud.content import Page, phrase
from tests.fakes.llamacloud.jobs import EXTRACT_CREDITS, PARSE_CREDITS, Charge, Job, JobFailed, now
from tests.fakes.llamacloud.parse_api import chosen_pages
from tests.fakes.llamacloud.routing import Call, endpoint
from tests.fakes.llamacloud.state import Refused, iso, new_id, own, paged

EXTRACT = "/api/v2/extract"
DEFAULT_TIER, DEFAULT_PARSE_TIER = "cost_effective", "cost_effective"
MOST_PROPERTIES, MOST_DEPTH, MOST_CHARS = 5000, 7, 120_000
TYPES = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})
EXPANSIONS = frozenset({"configuration", "extract_metadata", "usage"})


def checked_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema itself. Raises `Refused` beyond the documented limits."""
    if len(json.dumps(schema)) > MOST_CHARS:
        raise Refused(422, f"data_schema is longer than {MOST_CHARS} characters")
    if schema.get("type", "object") != "object" or not schema.get("properties"):
        raise Refused(422, "data_schema must be an object with properties")
    if _walk(schema, 1) > MOST_PROPERTIES:
        raise Refused(422, f"data_schema has more than {MOST_PROPERTIES} properties")
    return schema


def _walk(node: dict[str, Any], depth: int) -> int:
    if depth > MOST_DEPTH:
        raise Refused(422, f"data_schema is nested deeper than {MOST_DEPTH}")
    declared = node.get("type", "object" if "properties" in node else None)
    for name in declared if isinstance(declared, list) else [declared]:
        if name is not None and name not in TYPES:
            raise Refused(422, f"data_schema has an unknown type {name!r}")
    total = 0
    for field in node.get("properties", {}).values():
        if not isinstance(field, dict):
            raise Refused(422, "data_schema properties must be objects")
        total += 1 + _walk(field, depth + 1)
    if isinstance(node.get("items"), dict):
        total += _walk(node["items"], depth)
    return total


@endpoint(
    "POST",
    EXTRACT,
    params=extract_create_params.ExtractCreateParams,
    takes="json",
    returns=ExtractV2Job,
)
async def create(call: Call) -> Any:
    """Extract from a file or from a finished parse job."""
    inline, saved_id = call.body.get("configuration"), call.body.get("configuration_id")
    if bool(inline) == bool(saved_id):
        raise Refused(422, "Provide exactly one of configuration and configuration_id")
    configuration = inline or call.cloud.configuration(str(saved_id), "extract_v2", call.project_id)
    configuration = {k: v for k, v in configuration.items() if k != "product_type"}
    checked_schema(configuration["data_schema"])
    return job_json(call, accept(call, call.body["file_input"], configuration, saved_id), set())


def accept(call: Call, source: str, configuration: dict[str, Any], saved_id: str | None) -> Job:
    """A new extract job, billed."""
    digest, parse_job = find_source(call, source)
    request = {"file_input": source, "configuration": configuration, "configuration_id": saved_id}
    job = Job(
        new_id("exj"),
        "extract",
        call.project_id,
        work=lambda: None,
        pace=call.cloud.pace_of("extract"),
        behaviours=call.behaviours,
        request=request | {k: v for k, v in call.body.items() if k.startswith("webhook")},
    )

    def work() -> dict[str, Any]:
        pages = source_pages(call, source, parse_job)
        wanted = chosen_pages(
            max((p.number for p in pages), default=1),
            configuration.get("target_pages"),
            configuration.get("max_pages"),
        )
        pages = tuple(page for page in pages if page.number in wanted)
        _bill(call, job, digest, pages, parsed_here=parse_job is None)
        return _result(pages, configuration) | {"parse_job_id": parse_job.id if parse_job else None}

    job.work = work
    _bill(call, job, digest, (), parsed_here=parse_job is None)
    call.cloud.start(job, job.request)
    return job


def find_source(call: Call, source: str) -> tuple[str, Job | None]:
    """The digest of the bytes behind a file or a finished parse job, and that job."""
    if source.startswith("pjb-"):
        parse_job: Job = own(call.cloud.state.jobs, source, call.project_id, "Parse job")
        if parse_job.status != "COMPLETED":
            raise Refused(400, f"Parse job {source} is not completed")
        return parse_job.outcome.source.digest, parse_job
    entry = call.cloud.state.directory_files.get(source)
    return call.cloud.state.file(entry.file_id if entry else source, call.project_id).digest, None


def source_pages(call: Call, source: str, parse_job: Job | None) -> tuple[Page, ...]:
    """The pages to work on. Raises `JobFailed`."""
    if parse_job is not None:
        good: tuple[Page, ...] = parse_job.outcome.good
        return good
    entry = call.cloud.state.directory_files.get(source)
    try:
        stored = call.cloud.state.file(entry.file_id if entry else source, call.project_id)
        return content.read(stored.name, stored.content)
    except (content.Unreadable, Refused) as error:
        raise JobFailed(str(error)) from error


def _result(pages: tuple[Page, ...], configuration: dict[str, Any]) -> dict[str, Any]:
    schema = configuration["data_schema"]
    options = extraction.Options(
        cite=bool(configuration.get("cite_sources")),
        confidence=bool(configuration.get("confidence_scores")),
    )
    target = configuration.get("extraction_target") or "per_doc"
    if target == "per_table_row":
        records, metadata = extraction.rows(pages, schema, options)
        return {"result": records, "metadata": {"row_metadata": metadata}}
    if target == "per_page":
        found = [extraction.extract((page,), schema, options) for page in pages]
        return {
            "result": [record for record, _ in found],
            "metadata": {"page_metadata": [metadata for _, metadata in found]},
        }
    record, document = extraction.extract(pages, schema, options)
    return {"result": record, "metadata": {"document_metadata": document}}


def _bill(call: Call, job: Job, digest: str, pages: tuple[Page, ...], *, parsed_here: bool) -> None:
    configuration = job.request["configuration"]
    per_page = EXTRACT_CREDITS[configuration.get("tier") or DEFAULT_TIER]
    parse = (
        PARSE_CREDITS[configuration.get("parse_tier") or DEFAULT_PARSE_TIER] if parsed_here else 0
    )
    work = json.dumps(["extract", digest, configuration], sort_keys=True)
    spent = (per_page + parse) * len(pages)
    call.cloud.bill(Charge(job.id, "extract", spent, len(pages), call.key, work, now()))


def job_json(call: Call, job: Job, expand: set[str]) -> dict[str, Any]:
    """An extract job; the result is shown once it is COMPLETED."""
    shown: dict[str, Any] = {
        "id": job.id,
        "project_id": job.project_id,
        "file_input": job.request["file_input"],
        "configuration_id": job.request["configuration_id"],
        "status": job.status,
        "created_at": iso(job.created_at),
        "updated_at": iso(job.updated_at),
        "error_message": job.error,
    }
    if "configuration" in expand:
        shown["configuration"] = job.request["configuration"]
    if job.status == "COMPLETED":
        shown["extract_result"] = job.outcome["result"]
        if "extract_metadata" in expand:
            shown["extract_metadata"] = {
                "field_metadata": job.outcome["metadata"],
                "parse_job_id": job.outcome["parse_job_id"],
                "parse_tier": job.request["configuration"].get("parse_tier") or DEFAULT_PARSE_TIER,
            }
    if "usage" in expand:
        shown["usage"] = _usage(call, job)
    return shown


def _usage(call: Call, job: Job) -> dict[str, Any]:
    charge = next((c for c in call.cloud.billing.standing if c.job_id == job.id), None)
    if charge is None or not job.terminal or call.cloud.billing.is_late:
        return {"credits": None}
    tier = job.request["configuration"].get("tier") or DEFAULT_TIER
    extracted = EXTRACT_CREDITS[tier] * charge.pages
    parsed = charge.credits - extracted
    return {"credits": charge.credits, "extract_credits": extracted, "parse_credits": parsed}


def _expand(call: Call) -> set[str]:
    expand = {part for given in call.many.get("expand", []) for part in given.split(",")}
    if expand - EXPANSIONS:
        raise Refused(422, f"Cannot expand {sorted(expand - EXPANSIONS)}")
    return expand


@endpoint(
    "GET",
    EXTRACT,
    params=extract_list_params.ExtractListParams,
    returns=SyncPaginatedCursor[ExtractV2Job],
)
async def list_jobs(call: Call) -> Any:
    """Extract jobs, newest first. Asking for jobs by their ids is a status read of each."""
    for job_id in call.many.get("job_ids", ()):
        job = call.cloud.state.jobs.get(job_id)
        if job is not None and job.project_id == call.project_id:
            await call.cloud.poll(job)
    file_input, saved = call.one("file_input"), call.one("configuration_id")
    found = [
        job
        for job in call.cloud.selected_jobs(call, "extract")
        if file_input in (None, job.request["file_input"])
        and saved in (None, job.request["configuration_id"])
    ]
    jobs, token = paged(found, call.number("page_size"), call.one("page_token"))
    expand = _expand(call)
    return {"items": [job_json(call, job, expand) for job in jobs], "next_page_token": token}


@endpoint(
    "GET", EXTRACT + "/{job_id}", params=extract_get_params.ExtractGetParams, returns=ExtractV2Job
)
async def get(call: Call) -> Any:
    """One job with its result."""
    job = _job(call)
    expand = _expand(call)
    await call.cloud.poll(job)
    return job_json(call, job, expand)


def _job(call: Call) -> Job:
    job: Job = own(call.cloud.state.jobs, call.path["job_id"], call.project_id, "Extract job")
    if job.product != "extract":
        raise Refused(404, f"Extract job {job.id} not found")
    return job


@endpoint(
    "POST",
    EXTRACT + "/{job_id}/cancel",
    params=extract_cancel_params.ExtractCancelParams,
    returns=ExtractV2Job,
)
async def cancel(call: Call) -> Any:
    """Stop a job that has not ended."""
    job = _job(call)
    call.cloud.cancel(job)
    return job_json(call, job, set())


@endpoint(
    "DELETE",
    EXTRACT + "/{job_id}",
    params=extract_delete_params.ExtractDeleteParams,
    returns=object,
)
async def delete(call: Call) -> Any:
    """Delete a job that has ended (or any, with `force`)."""
    call.cloud.delete_job(_job(call), force=call.flag("force"))
    return {}


@endpoint(
    "POST",
    f"{EXTRACT}/schema/validation",
    params=extract_validate_schema_params.ExtractValidateSchemaParams,
    takes="json",
    returns=ExtractV2SchemaValidateResponse,
)
async def validate_schema(call: Call) -> Any:
    """The schema, if it may be used."""
    return {"data_schema": checked_schema(call.body["data_schema"])}


@endpoint(
    "POST",
    f"{EXTRACT}/schema/generate",
    params=extract_generate_schema_params.ExtractGenerateSchemaParams,
    takes="json",
    returns=ConfigurationCreate,
)
async def generate_schema(call: Call) -> Any:
    """A schema with one string per "Label: value" line of the file, or per noun of the prompt."""
    given, file_id, prompt = (call.body.get(k) for k in ("data_schema", "file_id", "prompt"))
    if not (given or file_id or prompt):
        raise Refused(422, "Provide data_schema, file_id or prompt")
    properties = dict((given or {}).get("properties", {}))
    labels = re.findall(r"[a-z]{4,}", str(prompt or "").lower())
    if file_id:
        stored = call.cloud.state.file(file_id, call.project_id)
        try:
            labels += _labelled(content.read(stored.name, stored.content))
        except content.Unreadable as error:
            raise Refused(400, str(error)) from error
    for label in labels:
        properties.setdefault(label, {"type": "string", "title": label.replace("_", " ")})
    schema = {"type": "object", "properties": properties}
    name = call.body.get("name") or "generated"
    return {"name": name, "parameters": {"product_type": "extract_v2", "data_schema": schema}}


def _labelled(pages: tuple[Page, ...]) -> list[str]:
    lines = (phrase(cell) for page in pages for line in page.lines for cell in line.cells)
    found = (re.match(r"([A-Za-z][A-Za-z ]{2,30}):\s*\S", line) for line in lines)
    return [match.group(1).strip().lower().replace(" ", "_") for match in found if match]
