"""The documentation names files, headings, commands, options and settings that exist."""

import ast
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click
import pytest

from foliotrace_server.cli.main import main
from foliotrace_server.settings import PREFIX, Settings, leaves_of

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(
    r"(?<![\w/.-])((?:tests|deploy|docs|bench|examples|workflows|instrumentation|\.ci)/[\w./~-]*\w)"
)
EXTRAS = (  # not in the development lock; the recipes run in .ci/stores
    "llama_index.llms.openai_like",
    "llama_index.embeddings.huggingface",
    "llama_index.vector_stores.chroma",
    "llama_index.vector_stores.lancedb",
    "chromadb",
)
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())


def headings(page: Path) -> set[str]:
    """The anchors that a page's headings have."""
    found = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in found}


@every_page
def test_every_link_leads_to_a_file_and_to_a_heading(page: Path) -> None:
    dead = []
    for link, anchor in LINK.findall(page.read_text()):
        target = page.parent / link if link else page
        if not target.exists() or (anchor and anchor not in headings(target)):
            dead.append(f"{link}#{anchor}")
    assert dead == []


def test_every_path_that_a_text_names_exists() -> None:
    listed = ["git", "ls-files", "*.md", "*.py", "*.yaml", "*.toml", "run", "deploy", ".ci"]
    tracked = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    dead = [
        f"{name}: {path}"
        for name in tracked.split()
        if not name.endswith((".lock", ".json")) and (ROOT / name).exists()
        for path in NAMED.findall((ROOT / name).read_text())
        if not (ROOT / path).exists()
    ]
    assert dead == []


def commands_in(page: Path) -> Iterator[list[str]]:
    """The words behind `foliotrace` in the page's shell blocks."""
    for kind, text in BLOCK.findall(page.read_text()):
        if kind in ("sh", "console"):
            for line in text.replace("\\\n", " ").splitlines():
                match = re.match(r"(?:\$ )?(?:[A-Z_]+=\S+ )*(?:\S*/)?foliotrace (.*)", line)
                if match:
                    words = shlex.split(match[1], comments=True)
                    yield words[: words.index(">")] if ">" in words else words


@every_page
def test_every_command_of_a_page_would_be_understood(page: Path) -> None:
    for words in commands_in(page):
        with main.make_context("foliotrace", list(words), resilient_parsing=True) as context:
            command: click.Command = main
            rest = [*context._protected_args, *context.args]
            while isinstance(command, click.Group):
                name, found, rest = command.resolve_command(context, rest)
                assert found is not None, words
                command = found
                context = click.Context(command, parent=context, info_name=name)
            command.make_parser(context).parse_args(list(rest))  # raises for unknown options


@every_page
def test_every_setting_of_a_page_exists(page: Path) -> None:
    leaves = {path for path, _ in leaves_of(Settings)}
    variables = {PREFIX + path.upper().replace(".", "__") for path in leaves}
    text = page.read_text()
    named = set(re.findall(rf"\b{PREFIX}[A-Z][A-Z0-9_]*[A-Z0-9]\b(?!_|\*)", text))
    known = {
        f"{PREFIX}API_KEY",
        f"{PREFIX}CONFIG",
        f"{PREFIX}SECRETS_DIR",
        f"{PREFIX}SPAN_DETAIL",
        f"{PREFIX}LANGFUSE",
        f"{PREFIX}OPENINFERENCE",
    }
    assert named - variables - known == set()
    for kind, block in BLOCK.findall(text):
        if kind == "toml" and "foliotrace.toml" in block:
            Settings.model_validate(tomllib.loads(block))


@every_page
def test_every_import_of_a_page_works(page: Path) -> None:
    for kind, block in BLOCK.findall(page.read_text()):
        if kind == "python":
            flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
            for node in ast.walk(compile(block, str(page), "exec", flags)):
                if isinstance(node, ast.ImportFrom) and node.module not in (None, *EXTRAS):
                    module = import_module(str(node.module))
                    assert [n.name for n in node.names if not hasattr(module, n.name)] == []


def test_every_command_of_run_is_explained_by_its_help() -> None:
    script = (ROOT / "run").read_text()
    commands = set(re.findall(r"^  ([a-z]+)\)", script, re.MULTILINE))
    explained = set(re.findall(r"^#   \./run (\w+)", script, re.MULTILINE))
    assert commands == explained


def test_architecture_names_every_folder_and_answers_twenty_questions_of_a_newcomer() -> None:
    listed = [
        "git",
        "ls-files",
        "workflows",
        "instrumentation",
        "deploy",
        "tests",
        "bench",
        "tools",
    ]
    tracked = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    code = {Path(name).parent for name in tracked.split() if (ROOT / name).exists()}
    product = {
        folder for folder in code if folder.parts[0] in ("workflows", "instrumentation", "deploy")
    } | {Path(folder.parts[0]) for folder in code}
    page = (ROOT / "docs" / "architecture.md").read_text()
    linked = {Path(target.removeprefix("../")) for target, _ in LINK.findall(page)}
    roots = {Path("workflows"), Path("instrumentation"), Path("deploy")}
    inside = {Path("deploy/classic/hosted")}  # one file, named with its parent
    assert product - linked - roots - inside == set()
    answers = page.partition("## Where is ...?")[2].partition("## Every folder")[0]
    assert answers.count("\n| ") - 1 >= 20
