"""LlamaCloud: what is sent there, and what it may cost."""

from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from foliotrace.model import ExecutionMode
from foliotrace.settings.limits import EXTRACTION_WINDOW_PAGES
from foliotrace.settings.section import Section


class LlamaCloudSettings(Section):
    """LlamaCloud. Nothing is sent there until a capability is switched to it."""

    where: str = Field(
        default="us", description="Region (`us`, `eu`) or base URL; keys belong to a region."
    )
    project_id: str | None = Field(
        default=None, description="Project in which everything is created."
    )
    organization_id: str | None = Field(default=None, description="Organization of the project.")
    timeout_s: float = Field(default=60.0, gt=0, description="Time limit of one request.")
    parsing: ExecutionMode = Field(
        default=ExecutionMode.LOCAL,
        description="What parses PDF, DOCX, PPTX and images. `cloud_then_local` falls back page "
        "by page; with `cloud`, a page that LlamaParse cannot read stays unread.",
    )
    extraction: ExecutionMode = Field(
        default=ExecutionMode.LOCAL,
        description="What extracts records. `cloud_then_local` falls back to the language model "
        "and the rules.",
    )
    index: ExecutionMode = Field(
        default=ExecutionMode.LOCAL,
        description="What retrieves passages. With `cloud_then_local` the local index answers "
        "when the managed one cannot; with `cloud` the local index is kept up to date but not "
        "queried.",
    )
    parse_tier: Literal["fast", "cost_effective", "agentic", "agentic_plus"] = Field(
        default="cost_effective", description="LlamaParse tier."
    )
    parse_version: str | None = Field(
        default=None, description="LlamaParse version. None: the one pinned for the tier."
    )
    custom_prompt: str | None = Field(
        default=None, description="Instructions for LlamaParse; not available in tier `fast`."
    )
    languages: tuple[str, ...] = Field(default=(), description="Languages for OCR by LlamaParse.")
    extract_tier: Literal["cost_effective", "agentic", "agentic_plus", "turbo"] = Field(
        default="cost_effective", description="LlamaExtract tier."
    )
    extract_version: str = Field(default="latest", description="LlamaExtract version.")
    extract_window_pages: int = Field(
        default=EXTRACTION_WINDOW_PAGES,
        ge=1,
        le=500,
        description="Pages of one LlamaExtract job; a longer document is extracted in windows "
        "whose records are merged. Types without pages (text, sheets, DOCX) are sent whole.",
    )
    disable_cache: bool = Field(
        default=False, description="Ask LlamaParse neither to reuse nor to keep results."
    )
    delete_after_use: bool = Field(
        default=False,
        description="Delete file and result in the cloud once they have been used. Cannot be "
        "combined with the managed index, which needs its files.",
    )
    webhook_url: str | None = Field(
        default=None,
        description="Public address of `POST /v1/webhooks/llamacloud` "
        "(`https://.../v1/webhooks/llamacloud`). Each billed job asks LlamaCloud to post its end "
        "there; polling becomes the fallback.",
    )

    @property
    def in_use(self) -> bool:
        """Whether any capability is switched to the cloud."""
        return {self.parsing, self.extraction, self.index} != {ExecutionMode.LOCAL}

    @model_validator(mode="after")
    def _consistent(self) -> "LlamaCloudSettings":
        if self.delete_after_use and self.index is not ExecutionMode.LOCAL:
            raise ValueError("delete_after_use would delete the files of the managed index")
        if self.custom_prompt and self.parse_tier == "fast":
            raise ValueError("tier fast ignores custom_prompt: choose another tier")
        if self.webhook_url is not None:
            parts = urlsplit(self.webhook_url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError("webhook_url is not an http(s) address")
        return self
