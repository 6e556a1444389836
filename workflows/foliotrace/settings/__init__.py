"""Every limit and default of the core, each declared once.

The sections are what a user can set; a journey or an adapter receives the section it needs, whole.
The server adds the environment, secrets and the settings of the process; the Python facade uses the
defaults. `limits` are fixed: they are part of the API or of the design, not of a deployment.
"""

from pydantic import Field

from foliotrace.settings.documents import IndexSettings, IngestSettings, OutsideFileSettings
from foliotrace.settings.limits import (
    EXTRACT_PARSE_DEADLINE_S,
    EXTRACTION_DEADLINE_S,
    EXTRACTION_OTHERS,
    EXTRACTION_WINDOW_PAGES,
    INDEX_SYNC_DEADLINE_S,
    INSPECT_DEADLINE_S,
    MAX_EXTRACTION_TOKENS,
    MAX_FILTER_DOCUMENTS,
    MAX_FILTER_FIELDS,
    MAX_FILTER_VALUES,
    MAX_HISTORY,
    MAX_METADATA_FIELDS,
    MAX_QUERY_CHARACTERS,
    MAX_QUOTES,
    MAX_TAGS,
    MAX_TOP_K,
    MAX_UNWINDOWED_PAGES,
    MAX_VALUE_CHARACTERS,
    MODEL_CALL_S,
    PARSE_PAGE_DEADLINE_S,
    PARSE_PART_DEADLINE_S,
    PARSE_PART_PAGES,
    RETRY_AFTER_S,
    SHORT_CHARACTERS,
    WORKER_CPU_S,
    WORKER_IDLE_S,
    WORKER_MEMORY_BYTES,
    WORKER_REQUESTS,
)
from foliotrace.settings.llamacloud import LlamaCloudSettings
from foliotrace.settings.operation import (
    BudgetSettings,
    Money,
    PriceSettings,
    ResilienceSettings,
    RunsSettings,
)
from foliotrace.settings.queries import (
    Grounding,
    PlanningSettings,
    QuerySettings,
    RedactionSettings,
)
from foliotrace.settings.section import Section

__all__ = [
    "EXTRACTION_DEADLINE_S",
    "EXTRACTION_OTHERS",
    "EXTRACTION_WINDOW_PAGES",
    "EXTRACT_PARSE_DEADLINE_S",
    "INDEX_SYNC_DEADLINE_S",
    "INSPECT_DEADLINE_S",
    "MAX_EXTRACTION_TOKENS",
    "MAX_FILTER_DOCUMENTS",
    "MAX_FILTER_FIELDS",
    "MAX_FILTER_VALUES",
    "MAX_HISTORY",
    "MAX_METADATA_FIELDS",
    "MAX_QUERY_CHARACTERS",
    "MAX_QUOTES",
    "MAX_TAGS",
    "MAX_TOP_K",
    "MAX_UNWINDOWED_PAGES",
    "MAX_VALUE_CHARACTERS",
    "MODEL_CALL_S",
    "PARSE_PAGE_DEADLINE_S",
    "PARSE_PART_DEADLINE_S",
    "PARSE_PART_PAGES",
    "RETRY_AFTER_S",
    "SHORT_CHARACTERS",
    "WORKER_CPU_S",
    "WORKER_IDLE_S",
    "WORKER_MEMORY_BYTES",
    "WORKER_REQUESTS",
    "BudgetSettings",
    "CoreSettings",
    "Grounding",
    "IndexSettings",
    "IngestSettings",
    "LlamaCloudSettings",
    "Money",
    "OutsideFileSettings",
    "PlanningSettings",
    "PriceSettings",
    "QuerySettings",
    "RedactionSettings",
    "ResilienceSettings",
    "RunsSettings",
    "Section",
]


class CoreSettings(Section):
    """The sections of the core."""

    query: QuerySettings = Field(default=QuerySettings(), description="Questions and answers.")
    ingest: IngestSettings = Field(default=IngestSettings(), description="Files.")
    index: IndexSettings = Field(default=IndexSettings(), description="The vector index.")
    llamacloud: LlamaCloudSettings = Field(
        default=LlamaCloudSettings(), description="LlamaCloud. By default nothing is sent there."
    )
    budget: BudgetSettings = Field(default=BudgetSettings(), description="Limits on spending.")
    resilience: ResilienceSettings = Field(
        default=ResilienceSettings(), description="Retries and circuit breakers."
    )
    runs: RunsSettings = Field(default=RunsSettings(), description="What is stored about runs.")
