"""The sections of the production loop: releases, online evaluation, judges, LangSmith."""

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from foliotrace.settings import Section
from foliotrace_server.sections import LLMSettings


class ReleaseSettings(Section):
    """Another configuration of answers over the same library."""

    query: dict[str, Any] = Field(
        default_factory=dict,
        description="The settings of `query` that differ from the base; an empty text unsets one.",
    )
    llm: LLMSettings | None = Field(
        default=None, description="Its language model. None: those of the base."
    )
    base_url: str | None = Field(
        default=None,
        description="A second foliotrace that answers instead: questions are forwarded to it with "
        "the key of their caller, and not redirected. https, or a private address.",
    )


class OnlineSettings(Section):
    """Evaluation of answers in production, off the request path."""

    enabled: bool = Field(
        default=False,
        description="Rate answers as they are given; the ratings are feedback of source `online`.",
    )
    share: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="Share of answers that are rated, by trace id. Failed and degraded ones, and "
        "those that somebody rates 0.5 or lower, always are.",
    )
    evaluators: tuple[str, ...] = Field(
        default=("no_hallucination", "latency_ok", "cost_ok"),
        description="What rates them: names of evaluators that need no reference. "
        "`tone_appropriate` asks the judge of `loop.judge`.",
    )
    daily_usd: Decimal = Field(
        default=Decimal("0.50"),
        ge=0,
        description="What judges may spend here in a day (UTC), apart from what answers may: the "
        "account `judge:online` of the ledger. Then they rate nothing until the next day.",
    )
    max_waiting: int = Field(
        default=200, gt=0, description="Answers that may wait to be rated; further ones are not."
    )
    automatic_rollback: bool = Field(
        default=True,
        description="Take a canary out as soon as its errors, degraded answers, latency or cost "
        "are worse than those of the stable release beyond chance.",
    )


class LoopSettings(Section):
    """Datasets, judges, and the copy of ratings, datasets and experiments in LangSmith."""

    datasets: Path = Field(
        default=Path("evals/datasets"),
        description="Folder of the datasets, from the working folder: for erasures and LangSmith. "
        "Calibrations of judges are in `judges` beside it.",
    )
    judge: LLMSettings | None = Field(
        default=None,
        description="The language model that judges answers, by a pinned name. None: `llm`.",
    )
    judge_daily_usd: Decimal = Field(
        default=Decimal("1.00"),
        ge=0,
        description="What judges may spend on evaluations in a day (UTC), apart from what answers "
        "may: the account `judge:evaluations` of the ledger.",
    )
    sync_every_s: Annotated[float, Field(ge=0.1)] | None = Field(
        default=30.0,
        description="Pause between two copies of ratings, datasets and experiments to LangSmith, "
        "where LANGSMITH_API_KEY is set. None: they are copied by `foliotrace loop sync` alone.",
    )
