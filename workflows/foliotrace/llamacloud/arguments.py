"""Arguments of earlier clients: translated, warned about or refused, never silently ignored."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from foliotrace.errors import Misconfigured


class ArgumentWithoutEffect(UserWarning):
    """An argument has no effect; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FormerArguments:
    """What became of earlier arguments: a new name, no effect (why), or a refusal (what to do)."""

    renamed: Mapping[str, str]
    without_effect: Mapping[str, str]
    refused: Mapping[str, str]


def translate(owner: str, arguments: Mapping[str, Any], former: FormerArguments) -> dict[str, Any]:
    """The arguments under their current names. Raises Misconfigured for refused or unknown ones."""
    current: dict[str, Any] = {}
    for name, value in arguments.items():
        if name in former.renamed:
            current[former.renamed[name]] = value
        elif name in former.without_effect:
            warn(owner, name, former.without_effect[name])
        elif name in former.refused:
            raise Misconfigured(f"{owner} does not take {name} any more", hint=former.refused[name])
        else:
            known = [*former.renamed, *former.without_effect, *former.refused]
            near = get_close_matches(name, known, n=1)
            raise Misconfigured(
                f"{owner} takes no argument {name}",
                hint=f"Did you mean {near[0]}?" if near else "See its documentation.",
            )
    return current


def warn(owner: str, name: str, why: str) -> None:
    """Warn that an argument has no effect."""
    warnings.warn(f"{owner}: {name} has no effect: {why}", ArgumentWithoutEffect, stacklevel=4)


_PROGRESS = "nothing is printed; follow the spans or the job"
_WAITING = "set limit_s, the time for a whole call"

PARSE = FormerArguments(
    renamed={
        "parsing_instruction": "custom_prompt",
        "user_prompt": "custom_prompt",
        "language": "languages",
        "base_url": "where",
        "do_not_cache": "disable_cache",
        "max_timeout": "limit_s",
    },
    without_effect={
        "result_type": "a page is its text, with blocks, tables and boxes beside it",
        "split_by_page": "there is always one document for each page",
        "num_workers": "the process shares one pool of parser workers",
        "verbose": _PROGRESS,
        "show_progress": _PROGRESS,
        "check_interval": "polling is paced for you",
        "partition_pages": "windows are cut for you",
    },
    refused={
        "premium_mode": 'Use tier="agentic_plus".',
        "fast_mode": 'Use tier="fast".',
        "gpt4o_mode": 'Use tier="agentic".',
        "use_vendor_multimodal_model": 'Use tier="agentic" or tier="agentic_plus".',
        "parse_mode": "Use tier.",
        "preset": "Use tier.",
        "ignore_errors": "A page that cannot be read is marked in its metadata; a file that "
        "cannot be read raises FileRefused.",
        "invalidate_cache": "Use disable_cache=True.",
    },
)

EXTRACT = FormerArguments(
    renamed={"base_url": "where", "max_timeout": "limit_s", "system_prompt": "instructions"},
    without_effect={
        "verbose": _PROGRESS,
        "show_progress": _PROGRESS,
        "check_interval": "polling is paced for you",
        "num_workers": "jobs are paced by the documented rates",
    },
    refused={
        "extraction_mode": 'Use tier="cost_effective", "agentic" or "agentic_plus".',
        "cite_sources": "Every value is cited and grounded.",
    },
)

INDEX = FormerArguments(
    renamed={"base_url": "where", "timeout": "limit_s", "max_timeout": "limit_s"},
    without_effect={
        "embedding_model": "the managed index chooses its own (Index v2)",
        "embed_model": "the managed index chooses its own (Index v2); locally, retrieval is by "
        "keyword",
        "embedding_config": "the managed index chooses its own (Index v2)",
        "chunk_size": "the managed index cuts its own chunks (Index v2); locally, the chunker "
        "keeps to sentences and tables",
        "chunk_overlap": "see chunk_size",
        "transformations": "see chunk_size",
        "transform_config": "see chunk_size",
        "verbose": _PROGRESS,
        "show_progress": _PROGRESS,
        "max_retries": "one layer retries each dependency",
    },
    refused={
        "index_id": "An index is found by its name.",
        "pipeline_id": "Pipelines are Index v1; an index is found by its name.",
        "project_name": "Use project_id.",
    },
)
