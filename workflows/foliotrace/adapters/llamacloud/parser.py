"""LlamaParse as a `Parser`."""

from collections.abc import AsyncIterator, Mapping
from hashlib import sha256
from typing import Any, Final

import orjson
from llama_cloud.types import ParsingGetResponse

from foliotrace.adapters.llamacloud.client import CloudFailure, CloudProblem, as_port_error
from foliotrace.adapters.llamacloud.gateway import CloudGateway
from foliotrace.adapters.llamacloud.pages import to_pages
from foliotrace.errors import BudgetExceeded, LedgerUnavailable, ParserUnavailable
from foliotrace.model import Deadline, Inspection, PageNumbers, ParsedPage, SourceFile, runs_of
from foliotrace.ports import Parser
from foliotrace.settings import LlamaCloudSettings

ENGINE: Final = "llamaparse"
"""Prefix of `engine` for pages that LlamaParse read."""

VERSIONS: Final[Mapping[str, str]] = {
    "fast": "2026-06-15",
    "cost_effective": "2026-09-28",
    "agentic": "2026-10-16",
    "agentic_plus": "2026-09-28",
}
"""The version pinned for each tier, so that results do not change unnoticed."""

CREDITS_PER_PAGE: Final[Mapping[str, float]] = {
    "fast": 1.0,
    "cost_effective": 3.0,
    "agentic": 10.0,
    "agentic_plus": 45.0,
}
"""The most that a page costs in each tier, as reserved; the cloud's own figure is charged."""

_PARSED_TYPES: Final = frozenset(
    {
        "application/pdf",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        "image/png",
        "image/jpeg",
        "image/tiff",
    }
)
"""Types that the cloud parses better. The local parsers keep cells and sections of the others."""


class CloudParser:
    """A `Parser` that buys parsed pages. `counting` is a local parser that counts the pages."""

    def __init__(
        self, gateway: CloudGateway, settings: LlamaCloudSettings, counting: Parser
    ) -> None:
        self._gateway = gateway
        self._settings = settings
        self._counting = counting

    @property
    def engine(self) -> str:
        """Tier and version."""
        return f"{ENGINE} {self._settings.parse_tier} {_version(self._settings)}"

    def accepts(self, media_type: str) -> bool:
        return media_type in _PARSED_TYPES

    async def inspect(self, source: SourceFile, *, deadline: Deadline) -> Inspection:
        return await self._counting.inspect(source, deadline=deadline)

    async def parse(
        self, source: SourceFile, *, pages: PageNumbers, deadline: Deadline
    ) -> AsyncIterator[ParsedPage]:
        """A page that the cloud could not read is yielded as failed."""
        try:
            result = await self._result(source, pages, deadline)
            found = to_pages(result, pages, engine=self.engine)
            if self._settings.delete_after_use:
                self._gateway.journal.mark_unneeded(source.tenant, source.content_hash)
        except CloudFailure as failure:
            raise as_port_error(
                ParserUnavailable, failure, setting="llamacloud.parsing"
            ) from failure
        except (BudgetExceeded, LedgerUnavailable) as error:  # a local parser costs nothing
            raise ParserUnavailable(
                error.message, reason=error.reason, hint=error.hint, lasting=True, answered=True
            ) from error
        for page in found:
            yield page

    async def _result(
        self, source: SourceFile, pages: PageNumbers, deadline: Deadline
    ) -> ParsingGetResponse:
        """The result for these pages, of an earlier job while the cloud still has it."""
        key = _key("parse", source.content_hash, _request(self._settings, pages))
        known = self._gateway.journal.is_bought(source.tenant, key)
        try:
            return await self._bought(source, pages, key, deadline)
        except CloudFailure as failure:
            if failure.problem is not CloudProblem.NOT_FOUND or not known:
                raise
            return await self._bought(source, pages, key, deadline)  # the old result has expired

    async def _bought(
        self, source: SourceFile, pages: PageNumbers, key: str, deadline: Deadline
    ) -> ParsingGetResponse:
        file_id = await self._gateway.upload(source.tenant, source, deadline)
        job_id = await self._gateway.buy_parse(
            source.tenant,
            key,
            {**_request(self._settings, pages), "file_id": file_id},
            deadline,
            content_hash=source.content_hash,
            pages=pages,
            worst_credits=len(pages) * CREDITS_PER_PAGE[self._settings.parse_tier],
        )
        return await self._gateway.parsed(
            source.tenant,
            key,
            job_id,
            deadline,
            expand=["items", "markdown", "text", "metadata"],
        )


def _version(settings: LlamaCloudSettings) -> str:
    """The configured version, else the one pinned for the tier."""
    return settings.parse_version or VERSIONS[settings.parse_tier]


def target_pages(pages: PageNumbers) -> str:
    """The numbers as the cloud takes them: `"1-3,7-7"`."""
    return ",".join(f"{run.start}-{run.stop - 1}" for run in runs_of(pages))


def _request(settings: LlamaCloudSettings, pages: PageNumbers) -> dict[str, Any]:
    """The body of a parse job for these pages."""
    body: dict[str, Any] = {
        "tier": settings.parse_tier,
        "version": _version(settings),
        "page_ranges": {"target_pages": target_pages(pages)},
        "processing_control": {"job_failure_conditions": {"allowed_page_failure_ratio": 1.0}},
    }
    if settings.custom_prompt:
        body["agentic_options"] = {"custom_prompt": settings.custom_prompt}
    if settings.languages:
        body["processing_options"] = {"ocr_parameters": {"languages": list(settings.languages)}}
    if settings.disable_cache:
        body["disable_cache"] = True
    return body


def _key(kind: str, content_hash: str, request: Mapping[str, Any]) -> str:
    """Identifies a purchase: equal file and equal request give the same key."""
    body = orjson.dumps(dict(request), option=orjson.OPT_SORT_KEYS)
    return f"{kind}-{sha256(content_hash.encode() + body).hexdigest()[:32]}"
