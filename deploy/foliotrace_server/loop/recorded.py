"""What a recorded run was answered with: its settings and models, and the documents of then.

A service that keeps the content of its runs notes the settings behind each fingerprint, without
secrets, in the loop's own file.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from foliotrace.model import DocumentView
from foliotrace.settings import MAX_FILTER_DOCUMENTS
from foliotrace_loop.shapes import Inputs, RecordedRun
from foliotrace_loop.store import LoopStore

if TYPE_CHECKING:
    from foliotrace_server.client import AsyncFoliotraceClient
    from foliotrace_server.settings import Settings

_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS configurations"
    " (fingerprint TEXT PRIMARY KEY, settings TEXT NOT NULL) WITHOUT ROWID"
)
_SECTIONS: Final = ("query", "llm", "llm_fallbacks", "embedding")
_KEY: Final = "api_key"
_PLACE: Final = ("provider", "api_base")
_PAGE: Final = 1000


def snapshot_of(settings: "Settings") -> Mapping[str, Any]:
    """The settings that an answer depends on, as JSON values without keys."""
    whole = settings.model_dump(mode="json", include=set(_SECTIONS))
    return {name: _without_key(whole[name]) for name in _SECTIONS}


def note_configurations(store: LoopStore, by_fingerprint: Mapping[str, "Settings"]) -> None:
    """Store the settings behind each fingerprint, once."""
    rows = [
        (fingerprint, json.dumps(snapshot_of(settings), sort_keys=True))
        for fingerprint, settings in by_fingerprint.items()
    ]

    def note(connection: sqlite3.Connection) -> None:
        connection.execute(_TABLE)
        connection.executemany("INSERT OR IGNORE INTO configurations VALUES (?, ?)", rows)

    store.write(note)


def recorded_settings(
    store: LoopStore, fingerprint: str | None, today: "Settings"
) -> Mapping[str, Any] | None:
    """What to set today so that the service answers as then; {} if it does anyhow, None: unknown.

    A key goes only where it goes today: to the same provider and address.
    """
    known = "SELECT 1 FROM sqlite_master WHERE name = 'configurations'"
    if fingerprint is None or not store.rows(known):
        return None
    rows = store.rows("SELECT settings FROM configurations WHERE fingerprint = ?", (fingerprint,))
    if not rows:
        return None
    then: dict[str, Any] = json.loads(rows[0][0])
    if then == snapshot_of(today):
        return {}
    models = [each for each in (today.llm, *today.llm_fallbacks, today.embedding) if each]
    keys = {
        (each.provider, each.api_base): each.api_key.get_secret_value()
        for each in models
        if each.api_key is not None
    }
    return {name: _with_key(value, keys) for name, value in then.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class AsOfThen:
    """The run, asking the documents of then; what was done for that, or why it cannot be."""

    run: RecordedRun
    rebuilt: str | None = None
    missing: tuple[str, ...] = ()


async def as_of_then(client: "AsyncFoliotraceClient", run: RecordedRun) -> AsOfThen:
    """Leave out the documents that came or changed after the run, and name what is gone.

    Raises what the client raises.
    """
    if run.at is None:
        return AsOfThen(run=run)
    collection = str(run.outcome.inputs.get("collection", "default"))
    held = await _documents(client, collection)
    asked = (run.outcome.inputs.get("filters") or {}).get("document_ids")
    if asked:
        held = [each for each in held if each.id in asked]
    same = [each for each in held if each.updated_at <= run.at]
    later = len(held) - len(same)
    cited = {c["content_hash"] for c in run.outcome.outputs.get("citations", ())} - {None}
    hashes = {each.content_hash for each in same}
    gone = len(cited - hashes) + bool(run.lost_citations)
    missing = (f"index: {gone} cited documents changed or were deleted",) if gone else ()
    if not later:
        return AsOfThen(run=run, missing=missing)
    if not 1 <= len(same) <= MAX_FILTER_DOCUMENTS:
        why = f"index: {later} later documents cannot be left out of {len(held)}"
        return AsOfThen(run=run, missing=(*missing, why))
    inputs = _asking(run.outcome.inputs, [each.id for each in same])
    narrowed = replace(run, outcome=replace(run.outcome, inputs=inputs))
    return AsOfThen(run=narrowed, rebuilt=f"index ({later} later left out)", missing=missing)


async def _documents(client: "AsyncFoliotraceClient", collection: str) -> Sequence[DocumentView]:
    found: list[DocumentView] = []
    after: str | None = None
    while True:
        page = await client.documents(collection=collection, limit=_PAGE, after=after)
        found += page.documents
        after = page.next
        if after is None:
            return found


def _asking(inputs: Inputs, ids: Sequence[str]) -> Inputs:
    filters = {**(inputs.get("filters") or {}), "document_ids": list(ids)}
    return {**inputs, "filters": filters}


def _without_key(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        return {name: _without_key(each) for name, each in value.items() if name != _KEY}
    return [_without_key(each) for each in value] if isinstance(value, list) else value


def _with_key(value: Any, keys: Mapping[tuple[Any, Any], str]) -> Any:  # noqa: ANN401 - as above
    if isinstance(value, list):
        return [_with_key(each, keys) for each in value]
    if isinstance(value, dict) and "provider" in value:
        place = (value["provider"], value.get("api_base"))
        return {**value, _KEY: keys.get(place)}
    return value
