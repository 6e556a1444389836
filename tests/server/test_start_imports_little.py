"""What a plain `foliotrace serve` imports before it is ready: only what it needs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

_NOT_NEEDED = (
    "docx",
    "genai_prices",
    "google.protobuf",
    "grpc",
    "jsonschema",
    "liteparse",
    "llama_cloud",
    "llama_index.core",
    "lxml",
    "numpy",
    "openai",
    "PIL",
    "pygments",
    "redis",
    "rich",
)
_START = """
import asyncio, json, sys, types
from foliotrace_server.cli import main

def started(settings, reread):
    del sys.modules["foliotrace_server.serve"]
    from foliotrace_server import serve
    from foliotrace_server.compose import compose
    from foliotrace_server.app import build_app

    async def modules():
        async with build_app(compose(settings, serving=True)).lifespan(None):
            return sorted(sys.modules)

    print(json.dumps(asyncio.run(modules())))

stopped_at_once = types.ModuleType("foliotrace_server.serve")
stopped_at_once.serve = started
sys.modules["foliotrace_server.serve"] = stopped_at_once
main(["serve"])
"""


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> frozenset[str]:
    """The modules of a started server with default settings, in a process of its own."""
    ended = subprocess.run(
        [sys.executable, "-c", _START],
        cwd=tmp_path_factory.mktemp("start"),
        env={"PATH": "/usr/bin:/bin", "HOME": str(Path.home())},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return frozenset(json.loads(ended.stdout.splitlines()[-1]))


@pytest.mark.parametrize("module", _NOT_NEEDED)
def test_a_started_server_has_not_imported(imported: frozenset[str], module: str) -> None:
    assert module not in imported


def test_what_was_hidden_at_the_start_can_be_imported_afterwards() -> None:
    code = (
        "from foliotrace_server.cli.main import import_without_rich;"
        "import_without_rich('httpx', 'structlog');"
        "from rich.console import Console; import pygments"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_help_imports_no_command_and_no_library_but_click() -> None:
    code = (
        "import sys; from foliotrace_server.cli import main\n"
        "try: main(['--help'])\n"
        "finally: print(*sys.modules, file=sys.stderr)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    imported = set(ended.stderr.split())
    assert "foliotrace_server.cli.main" in imported
    heavy = {"pydantic", "httpx", "structlog", "orjson", "foliotrace.model", "opentelemetry"}
    assert not heavy & imported
    assert not {name for name in imported if name.endswith((".documents", ".cli.ask", ".demo"))}
