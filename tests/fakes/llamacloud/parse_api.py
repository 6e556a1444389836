"""Parse v2: create by id, URL or upload; poll; expand; cancel; delete; list; versions."""

import json
import urllib.request
from collections.abc import Callable
from typing import Any, get_args

from llama_cloud.pagination import SyncPaginatedCursor
from llama_cloud.types import (
    ParsingCancelResponse,
    ParsingCreateResponse,
    ParsingDeleteResponse,
    ParsingGetResponse,
    ParsingListResponse,
    ParsingListVersionsResponse,
    parsing_cancel_params,
    parsing_create_params,
    parsing_delete_params,
    parsing_get_params,
    parsing_list_params,
    parsing_upload_file_params,
)
from tests.fakes.llamacloud import content, layout
from tests.fakes.llamacloud.content import Page
from tests.fakes.llamacloud.files_api import store
from tests.fakes.llamacloud.jobs import PARSE_CREDITS, Charge, Job, JobFailed, now
from tests.fakes.llamacloud.routing import Call, endpoint
from tests.fakes.llamacloud.state import Refused, StoredFile, iso, new_id, own, paged
from tests.fakes.wire.checks import body_problems

PARSE = "/api/v2/parse"
LATEST = {
    "fast": "2026-06-15",
    "cost_effective": "2026-09-28",
    "agentic": "2026-10-16",
    "agentic_plus": "2026-09-28",
}
VERSIONS = {
    tier: list(get_args(get_args(ParsingListVersionsResponse.model_fields[tier].annotation)[0]))
    for tier in LATEST
}
ALLOWED_FAILURE_RATIO = 0.05
METADATA_LIMITS = (50, 500)
SOURCE_TIMEOUT_S = 10
NOT_WORK = frozenset(
    {
        "file_id",
        "user_metadata",
        "client_name",
        "webhook_configurations",
        "webhook_configuration_ids",
    }
)
Params = parsing_create_params.ParsingCreateParams


class Parsed:
    """What a finished parse job holds. `failed` are the numbers of failed pages."""

    def __init__(
        self,
        source: StoredFile,
        pages: tuple[Page, ...],
        failed: frozenset[int],
        *,
        failed_have_text: bool = False,
    ) -> None:
        self._failed_have_text = failed_have_text
        self.source = source
        self.pages = pages
        self.failed = failed

    def raw_text(self, page: Page) -> str:
        """The text of a page, whether it was read or not."""
        return page.text if page.number not in self.failed or self._failed_have_text else ""

    @property
    def good(self) -> tuple[Page, ...]:
        """The pages that were parsed."""
        return tuple(page for page in self.pages if page.number not in self.failed)


def chosen_pages(total: int, target: str | None, most: int | None) -> set[int]:
    """The 1-based pages that `target_pages` or `max_pages` select. Raises `Refused`."""
    if not target:
        return set(range(1, min(total, most or total) + 1))
    numbers: list[int] = []
    for part in target.split(","):
        ends = part.strip().split("-")
        if len(ends) > 2 or not all(end.strip().isdigit() for end in ends):
            raise Refused(422, f"Invalid target_pages: {target}")
        first, last = int(ends[0]), int(ends[-1])
        numbers += range(first, min(last, total) + 1)
        if first < 1 or last < first:
            raise Refused(422, f"Invalid target_pages: {target}")
    if len(numbers) != len(set(numbers)):
        raise Refused(422, "target_pages names a page twice")
    return set(numbers)


def accept(
    call: Call, request: dict[str, Any], source: Callable[[], StoredFile], digest: str
) -> Job:
    """A new parse job, billed."""
    ranges = request.get("page_ranges") or {}
    control = (request.get("processing_control") or {}).get("job_failure_conditions") or {}
    ratio = control.get("allowed_page_failure_ratio")
    chosen_pages(1, ranges.get("target_pages"), None)
    job = Job(
        new_id("pjb"),
        "parse",
        call.project_id,
        work=lambda: None,
        pace=call.cloud.pace_of("parse"),
        behaviours=call.behaviours,
        request=request,
    )

    def work() -> Parsed:
        try:
            stored = source()
            pages = content.read(stored.name, stored.content)
        except (content.Unreadable, Refused, OSError) as error:
            raise JobFailed(str(error)) from error
        wanted = chosen_pages(len(pages), ranges.get("target_pages"), ranges.get("max_pages"))
        pages = tuple(page for page in pages if page.number in wanted)
        partial = job.behaves("partial")
        failed = frozenset(partial.pages if partial else ()) & {page.number for page in pages}
        if failed and len(failed) / len(pages) > (
            ALLOWED_FAILURE_RATIO if ratio is None else ratio
        ):
            raise JobFailed(f"{len(failed)} of {len(pages)} pages failed")
        _bill(call, job, request, digest, len(pages) - len(failed))
        raw = call.cloud.failed_pages_have_text
        return Parsed(stored, pages, failed, failed_have_text=raw)

    job.work = work
    _bill(call, job, request, digest, 0)
    call.cloud.start(job, request)
    return job


def _bill(call: Call, job: Job, request: dict[str, Any], digest: str, pages: int) -> None:
    options = {k: v for k, v in request.items() if k not in NOT_WORK}
    work = json.dumps(["parse", digest, options], sort_keys=True)
    spent = PARSE_CREDITS[request["tier"]] * pages
    charge = Charge(job.id, "parse", spent, pages, call.key, work, now())
    call.cloud.bill(charge)


def checked_request(call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """The request with its saved configuration and tier resolved. Raises `Refused`."""
    request = dict(body)
    saved_id = request.get("configuration_id")
    if saved_id:
        saved = call.cloud.configuration(saved_id, "parse_v2", call.project_id)
        given = {k: v for k, v in request.items() if v != "configured"}
        request = {k: v for k, v in saved.items() if k != "product_type"} | given
    if request["tier"] not in LATEST:
        raise Refused(422, f"Unknown tier {request['tier']!r}")
    if request["version"] != "latest" and request["version"] not in VERSIONS[request["tier"]]:
        raise Refused(422, f"Tier {request['tier']} has no version {request['version']!r}")
    metadata = request.get("user_metadata") or {}
    most, longest = METADATA_LIMITS
    if len(metadata) > most or any(
        len(k) > longest or len(v) > longest for k, v in metadata.items()
    ):
        raise Refused(422, "user_metadata is too large")
    return request


@endpoint("POST", PARSE, params=Params, takes="json", returns=ParsingCreateResponse)
async def create(call: Call) -> Any:
    """Parse a stored file or a URL."""
    request = checked_request(call, call.body)
    file_id, url = request.get("file_id"), request.get("source_url")
    if bool(file_id) == bool(url):
        raise Refused(422, "Provide exactly one of file_id and source_url")
    if file_id:
        stored = call.cloud.state.file(file_id, call.project_id)
        return job_json(call, accept(call, request, lambda: stored, stored.digest))
    return job_json(call, accept(call, request, lambda: _fetched(call, str(url)), str(url)))


def _fetched(call: Call, url: str) -> StoredFile:
    if not url.startswith(("http://", "https://")):
        raise Refused(422, "source_url must be an HTTP URL")
    with urllib.request.urlopen(url, timeout=SOURCE_TIMEOUT_S) as reply:
        name = url.split("?")[0].rsplit("/", 1)[-1] or "source"
        return StoredFile(new_id("dfl"), call.project_id, name, reply.read(), "parse")


@endpoint(
    "POST",
    f"{PARSE}/upload",
    params=parsing_upload_file_params.ParsingUploadFileParams,
    takes="form",
    returns=ParsingCreateResponse,
    required_files=("file",),
)
async def upload(call: Call) -> Any:
    """Upload and parse in one call. `configuration` is a JSON string."""
    try:
        configuration = json.loads(call.body.get("configuration", ""))
    except ValueError as error:
        raise Refused(422, "configuration must be a JSON object") from error
    problems = body_problems(Params, configuration)
    if problems:
        raise Refused(422, problems)
    request = checked_request(call, configuration)
    stored = store(call, call.files["file"], "parse", None)
    return job_json(call, accept(call, request, lambda: stored, stored.digest))


def job_json(call: Call, job: Job, *, usage: bool = False) -> dict[str, Any]:
    """A parse job without its results."""
    source = job.outcome.source.name if job.outcome else None
    shown: dict[str, Any] = {
        "id": job.id,
        "project_id": job.project_id,
        "status": job.status,
        "created_at": iso(job.created_at),
        "updated_at": iso(job.updated_at),
        "error_message": job.error,
        "name": source,
        "tier": job.request["tier"],
        "user_metadata": job.request.get("user_metadata"),
    }
    if usage:
        shown["usage"] = {"credits": call.cloud.state.billing.of(job.id) if job.terminal else None}
    return shown


@endpoint("GET", f"{PARSE}/versions", returns=ParsingListVersionsResponse)
async def versions(call: Call) -> Any:
    """The dated versions of each tier."""
    return {**VERSIONS, "latest": LATEST}


@endpoint(
    "GET",
    PARSE,
    params=parsing_list_params.ParsingListParams,
    returns=SyncPaginatedCursor[ParsingListResponse],
)
async def list_jobs(call: Call) -> Any:
    """Parse jobs, newest first. Asking for jobs by their ids is a status read of each."""
    for job_id in call.many.get("job_ids", ()):
        job = call.cloud.state.jobs.get(job_id)
        if job is not None and job.project_id == call.project_id:
            await call.cloud.poll(job)
    jobs, token = paged(
        call.cloud.selected_jobs(call, "parse"), call.number("page_size"), call.one("page_token")
    )
    return {"items": [job_json(call, job) for job in jobs], "next_page_token": token}


@endpoint(
    "GET",
    PARSE + "/{job_id}",
    params=parsing_get_params.ParsingGetParams,
    returns=ParsingGetResponse,
)
async def get(call: Call) -> Any:
    """The job, and what `expand` asks for once it is COMPLETED."""
    job = _job(call)
    await call.cloud.poll(job)
    expand = {part for given in call.many.get("expand", []) for part in given.split(",")}
    unknown = expand - EXPANSIONS.keys() - {"usage", "images_content_metadata"}
    if unknown:
        raise Refused(422, f"Cannot expand {sorted(unknown)}")
    reply: dict[str, Any] = {"job": job_json(call, job, usage="usage" in expand)}
    if job.status != "COMPLETED":
        return reply
    for name in sorted(expand & EXPANSIONS.keys()):
        _expand(call, job, name, reply)
    if "images_content_metadata" in expand:
        reply["images_content_metadata"] = {"images": [], "total_count": 0}
    return reply


def _expand(call: Call, job: Job, name: str, reply: dict[str, Any]) -> None:
    if not name.endswith("_content_metadata"):
        reply[name] = EXPANSIONS[name](job.outcome)
        return
    side = name.removesuffix("_content_metadata")
    size = len(side_file(job, side))
    link = call.cloud.presign(call.base_url, f"results/{job.id}/{side}")
    held = reply.setdefault("result_content_metadata", {})
    held[side] = {"size_bytes": size, "exists": size > 0, "presigned_url": link["url"]}


def side_file(job: Job, side: str) -> bytes:
    """A result as a download."""
    return str(EXPANSIONS[f"{side}_content_metadata"](job.outcome)).encode()


def _failed(page: Page) -> dict[str, Any]:
    return {"page_number": page.number, "success": False, "error": "Page could not be processed"}


def text_of(parsed: Parsed) -> dict[str, Any]:
    """`text`: failed pages are empty, or have the text that the engine began with."""
    return {"pages": [{"page_number": p.number, "text": parsed.raw_text(p)} for p in parsed.pages]}


def markdown_of(parsed: Parsed) -> dict[str, Any]:
    """`markdown`: one entry per page, failed ones with their error."""
    return {
        "pages": [
            _failed(p)
            if p.number in parsed.failed
            else {"page_number": p.number, "success": True, "markdown": layout.markdown_of(p)}
            for p in parsed.pages
        ]
    }


def items_of(parsed: Parsed) -> dict[str, Any]:
    """`items`: structured pages."""
    return {
        "pages": [
            _failed(p) if p.number in parsed.failed else layout.items_page(p) for p in parsed.pages
        ]
    }


def metadata_of(parsed: Parsed) -> dict[str, Any]:
    """`metadata`: confidence 1.0 where there is text, none where there is not."""
    pages = [
        {
            "page_number": p.number,
            "confidence": 1.0 if p.lines else None,
            "original_orientation_angle": 0,
        }
        for p in parsed.good
    ]
    return {
        "pages": pages,
        "document": {"confidence": 1.0 if any(p.lines for p in parsed.good) else None},
    }


def _forms_of(parsed: Parsed) -> dict[str, Any]:
    return {"pages": [{"page_number": p.number, "success": True, "forms": []} for p in parsed.good]}


def _job_metadata_of(parsed: Parsed) -> dict[str, Any]:
    return {"total_pages": len(parsed.pages), "failed_pages": sorted(parsed.failed)}


def _words_of(parsed: Parsed) -> str:
    return "".join(json.dumps(row) + "\n" for page in parsed.good for row in layout.word_rows(page))


EXPANSIONS: dict[str, Callable[[Parsed], Any]] = {
    "text": text_of,
    "markdown": markdown_of,
    "items": items_of,
    "metadata": metadata_of,
    "forms": _forms_of,
    "job_metadata": _job_metadata_of,
    "text_content_metadata": lambda parsed: "\n\n".join(p.text for p in parsed.good),
    "markdown_content_metadata": lambda parsed: "\n\n".join(
        layout.markdown_of(p) for p in parsed.good
    ),
    "items_content_metadata": lambda parsed: json.dumps(items_of(parsed)),
    "metadata_content_metadata": lambda parsed: json.dumps(metadata_of(parsed)),
    "forms_content_metadata": lambda parsed: json.dumps(_forms_of(parsed)),
    "raw_words_content_metadata": _words_of,
    "xlsx_content_metadata": lambda _parsed: "",
    "output_pdf_content_metadata": lambda _parsed: "",
}


def _job(call: Call) -> Job:
    job: Job = own(call.cloud.state.jobs, call.path["job_id"], call.project_id, "Parse job")
    if job.product != "parse":
        raise Refused(404, f"Parse job {job.id} not found")
    return job


@endpoint(
    "POST",
    PARSE + "/{job_id}/cancel",
    params=parsing_cancel_params.ParsingCancelParams,
    returns=ParsingCancelResponse,
)
async def cancel(call: Call) -> Any:
    """Stop a job that has not ended."""
    job = _job(call)
    call.cloud.cancel(job)
    return job_json(call, job)


@endpoint(
    "DELETE",
    PARSE + "/{job_id}",
    params=parsing_delete_params.ParsingDeleteParams,
    returns=ParsingDeleteResponse,
)
async def delete(call: Call) -> Any:
    """Delete a job that has ended, with its results."""
    job = _job(call)
    call.cloud.delete_job(job)
    return {"id": job.id, "project_id": job.project_id}
