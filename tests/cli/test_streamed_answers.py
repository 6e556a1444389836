"""`foliotrace ask` prints an answer of a language model while it is written."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.command_line import PROGRAM, foliotrace
from tests.fakes.openai import FakeOpenAI, LLMFault, running_fake_openai

CHAT = "POST /v1/chat/completions"
QUESTION = "What does unleaded cost per litre?"


@pytest.fixture
def model() -> Iterator[FakeOpenAI]:
    with running_fake_openai() as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path, model: FakeOpenAI) -> Path:
    """A folder with one document, and a language model in its settings."""
    (tmp_path / "fuel.txt").write_text("Unleaded costs 2.31 EUR per litre at the pump.")
    (tmp_path / "foliotrace.toml").write_text(
        f'[llm]\nprovider = "openai"\nmodel = "gpt-4o-mini"\n'
        f'api_base = "{model.url}"\napi_key = "sk-fake"\n'
    )
    assert foliotrace(tmp_path, "ingest", "fuel.txt").returncode == 0
    return tmp_path


def test_the_first_words_are_printed_before_the_last_are_written(
    folder: Path, model: FakeOpenAI
) -> None:
    model.fail(CHAT, LLMFault.slow_tokens(0.2))
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "ask", QUESTION],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "LC_ALL": "C.UTF-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    first = process.stdout.read(1)
    first_at_s = time.monotonic()
    rest, errors = process.communicate(timeout=60)
    assert time.monotonic() - first_at_s > 0.4
    printed = (first + rest).decode()
    assert process.returncode == 0, errors
    assert "2.31" in printed
    assert "[1] fuel.txt, section 1: “Unleaded costs 2.31 EUR" in printed
    assert printed.count("at the pump") <= 2  # the answer and its quote, neither twice


def test_json_is_one_value_and_quoted_passages_are_printed_once(folder: Path) -> None:
    as_json = foliotrace(folder, "ask", QUESTION, "--output", "json")
    assert json.loads(as_json.stdout)["answer_mode"] == "generated"
    (folder / "foliotrace.toml").unlink()
    quoted = foliotrace(folder, "ask", QUESTION)
    assert quoted.returncode == 0, quoted.stderr
    answer, citations = quoted.stdout.split("\n\n", 1)
    assert answer.count("2.31") == citations.count("2.31") == 1


def test_an_answer_that_breaks_off_ends_with_its_error(folder: Path, model: FakeOpenAI) -> None:
    model.fail(CHAT, LLMFault.stream_cut(after=6))
    broken = foliotrace(folder, "ask", QUESTION)
    assert broken.stdout.strip()
    assert "Traceback" not in broken.stderr
