"""docs/how-to/use-the-clients.md, as it stands, against a service on a socket."""

import ast
import asyncio
import inspect
import re
from collections.abc import AsyncIterator
from pathlib import Path
from types import CodeType

import pytest
from tests.server.small_service import serving

from foliotrace_server.compose import compose
from foliotrace_server.settings import load_settings

pytestmark = pytest.mark.anyio
PAGE = Path(__file__).parents[2] / "docs/how-to/use-the-clients.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
async def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    monkeypatch.chdir(tmp_path)
    Path("report.pdf").write_text("The refund window is 30 days.")  # typed by what it holds
    engine = compose(load_settings(None, data_dir=tmp_path / "data", telemetry={"enabled": False}))
    async with serving(engine) as client:
        yield str(client.base_url)


def compiled(block: str, url: str) -> CodeType:
    here = block.replace("http://127.0.0.1:8080", url)
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code: CodeType = compile(here, PAGE.name, "exec", flags)
    return code


async def test_the_examples_of_the_clients_work(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ours, protocol = BLOCKS
    await asyncio.to_thread(eval, compiled(ours, url), {})
    assert "refund window is 30 days" in capsys.readouterr().out
    awaited = eval(compiled(protocol, url), {})
    assert inspect.isawaitable(awaited)
    await awaited
    assert "refund window is 30 days" in capsys.readouterr().out
