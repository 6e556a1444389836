"""Every error code, reason and page problem is documented in docs/reference/errors.md."""

import importlib
import pkgutil
import re
from pathlib import Path

import pytest
from tests.server.small_service import serving, small_engine

import foliotrace
import foliotrace_server
from foliotrace import errors
from foliotrace.catalog import ErrorCode, PageProblem, Reason, ReasonFamily
from foliotrace.errors import FoliotraceError

PAGE = Path(__file__).parents[2] / "docs/reference/errors.md"
WORDS = re.compile(r"^\| `([^`]+)` \|(?: `([^`]+)` \|)?", re.MULTILINE)


def documented() -> set[str]:
    """The first two cells of each row: a code or reason, or a class and its code."""
    return {cell for row in WORDS.findall(PAGE.read_text()) for cell in row}


def test_every_entry_of_the_catalogue_is_on_the_page() -> None:
    families = {family.pattern for family in ReasonFamily}
    assert {*ErrorCode, *Reason, *PageProblem, *families} <= documented()


def test_every_word_says_what_happened() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    silent = [row for row in rows if not any(len(cell.split()) > 2 for cell in row.split("|"))]
    assert silent == []


def test_every_class_of_errors_is_on_the_page_with_its_code() -> None:
    for package in (foliotrace, foliotrace_server):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith(("__main__", ".llamactl")) and ".redis" not in module.name:
                importlib.import_module(module.name)
    kinds = [FoliotraceError]
    for kind in kinds:
        kinds += [k for k in kind.__subclasses__() if k.__module__.startswith("foliotrace")]
    assert len(kinds) > 30
    assert {kind.__name__ for kind in kinds[1:]} - documented() == set()
    assert {kind.code for kind in kinds} <= set(ErrorCode)
    tree = set(re.findall(r"\w+", errors.__doc__ or ""))
    assert {kind.__name__ for kind in kinds} - tree == set()


@pytest.mark.anyio
async def test_what_a_service_answers_to_nonsense_is_on_the_page(tmp_path: Path) -> None:
    async with serving(small_engine(tmp_path)) as client:
        answers = [
            await client.get("/nowhere"),
            await client.put("/v1/query"),
            await client.post("/v1/query", content=b"{"),
            await client.post("/v1/documents", content=b""),
            await client.post("/v1/documents", files={"file": ("..", b"x")}),
            await client.post("/v1/documents", files={"file": ("big.txt", b"x" * 100_001)}),
            await client.get("/v1/documents/doc_none"),
            await client.get("/v1/jobs/job_none"),
            await client.get("/v1/runs/run_none"),
            await client.get("/results/none"),
            await client.post("/workflows/none/run", json={}),
            await client.get("/v1/documents", headers={"host": "elsewhere.test"}),
            await client.post("/v1/query", json={}, headers={"origin": "https://else.test"}),
        ]
    assert [a.request.url for a in answers if "code" not in a.json()] == []
    codes = {answer.json()["code"] for answer in answers}
    assert len(codes) >= 9
    assert codes - documented() == set()
