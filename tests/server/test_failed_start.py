"""A service that cannot be composed leaves nothing of itself in the process."""

from pathlib import Path
from typing import Any

import pytest
from llama_index_instrumentation import get_dispatcher

from foliotrace.errors import FoliotraceError, Misconfigured
from foliotrace_server.compose import assemble, compose
from foliotrace_server.settings import load_settings

pytestmark = pytest.mark.anyio


def watchers() -> list[object]:
    root = get_dispatcher()
    return [*root.span_handlers, *root.event_handlers]


@pytest.mark.parametrize(
    "settings",
    [
        {"audit": {"keys_folder": "audit/keys"}},
        {"llm": {"provider": "nobody", "model": "none"}},
        {"query": {"semantic_cache": True}},
        {"workflows": {"own": "nowhere:workflow"}},
    ],
    ids=["keys in the log", "unknown model", "no embedder", "no such workflow"],
)
async def test_a_failed_start_takes_its_handlers_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    before = watchers()
    with pytest.raises(Misconfigured):
        compose(load_settings(None, data_dir=Path(), **settings))
    assert watchers() == before
    assembly = assemble(load_settings(None, data_dir=Path()))
    assert watchers() != before
    for close in assembly.closing:
        await close()
    assert watchers() == before


async def test_a_damaged_library_takes_them_off_too(tmp_path: Path) -> None:
    before = watchers()
    (tmp_path / "library.db").mkdir()
    with pytest.raises(FoliotraceError):
        compose(load_settings(None, data_dir=tmp_path))
    assert watchers() == before
