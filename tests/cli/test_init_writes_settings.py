"""`foliotrace init`: what it finds and asks, and that the file it writes passes the doctor."""

import json
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.fakes.openai import FakeOpenAI, running_fake_openai
from tests.fakes.wire import Fault

from foliotrace_server.cli.command import Exit
from foliotrace_server.cli.main import main
from foliotrace_server.doctor import model_servers


@pytest.fixture
def fake() -> Iterator[FakeOpenAI]:
    with running_fake_openai() as running:
        yield running


class ModelServer(BaseHTTPRequestHandler):
    """As vLLM answers: without a key, with the context window of its model."""

    models = ({"id": "nomic-embed-text"}, {"id": "qwen2.5", "max_model_len": 32768})

    def do_GET(self) -> None:
        self.reply({"data": self.models})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        message = {"role": "assistant", "content": "pong"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        self.reply(
            {"id": "1", "object": "chat.completion", "created": 1, "model": "qwen2.5",
             "choices": [choice], "usage": usage}
        )  # fmt: skip

    def reply(self, body: object) -> None:
        raw = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def vllm() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), ModelServer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(model_servers, "LOCAL_SERVERS", {})  # of whoever runs the tests
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "LLAMA_CLOUD_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def run(*words: str, typed: str = "") -> Result:
    done = CliRunner().invoke(main, list(words), input=typed)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def written(path: Path) -> dict[str, object]:
    return tomllib.loads((path / "foliotrace.toml").read_text())


@pytest.mark.parametrize("named", [False, True])
def test_a_model_server_on_this_machine_is_found_and_the_file_passes_the_doctor(
    tmp_path: Path, vllm: str, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    monkeypatch.setattr(model_servers, "LOCAL_SERVERS", {} if named else {"vLLM": vllm})
    done = run("init", "--yes", *(("--server", vllm) if named else ()))
    assert done.exit_code == 0, done.output
    assert written(tmp_path)["llm"] == {
        "provider": "openai_like",
        "model": "qwen2.5",
        "api_base": vllm,
        "context_window": 32768,
    }
    checked = run("doctor")
    assert checked.exit_code == 0, checked.output
    assert "language model qwen2.5 on answers" in " ".join(checked.output.split())


def test_nothing_found_is_a_file_that_passes_the_doctor(tmp_path: Path) -> None:
    assert run("init", "--yes").exit_code == 0
    assert written(tmp_path) == {"data_dir": "foliotrace-data"}
    assert run("doctor").exit_code == 0


def test_a_key_of_the_environment_is_tried_and_not_written(
    tmp_path: Path, fake: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_servers, "OPENAI", fake.url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-fake-canary")
    done = run("init", "--yes")
    assert written(tmp_path)["llm"] == {"provider": "openai", "model": "gpt-4o-mini"}
    assert "canary" not in (tmp_path / "foliotrace.toml").read_text() + done.output
    fake.fail("GET /v1/models", Fault.unauthorized)
    refused = run("init", "--yes", "--force")
    assert "OPENAI_API_KEY is set and not accepted" in refused.output
    assert "llm" not in written(tmp_path)


def test_three_questions_are_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_CLOUD_API_KEY", "llx-1")
    done = run("init", typed="papers\nollama:llama3.2\ny\n")
    assert done.exit_code == 0, done.output
    assert written(tmp_path) == {
        "data_dir": "papers",
        "llm": {"provider": "ollama", "model": "llama3.2"},
        "llamacloud": {"parsing": "cloud_then_local"},
    }


def test_each_question_has_an_option(tmp_path: Path) -> None:
    words = ("--data-dir", "papers", "init", "--llm", "none", "--no-llamacloud")
    assert run(*words).exit_code == 0
    assert written(tmp_path) == {"data_dir": "papers"}


def test_a_file_is_replaced_only_if_asked_for(tmp_path: Path) -> None:
    (tmp_path / "foliotrace.toml").write_text("# mine\n")
    refused = run("init", "--yes")
    assert (refused.exit_code, "--force" in refused.output) == (Exit.WRONG_INPUT, True)
    assert (tmp_path / "foliotrace.toml").read_text() == "# mine\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--llm", "gpt-4o"), "PROVIDER:MODEL"),
        (("--llm", "none", "--llamacloud"), "LLAMA_CLOUD_API_KEY"),
        (("--llm", "gpt:4o", "--no-llamacloud"), "provider"),
    ],
)
def test_an_answer_that_cannot_work_writes_nothing(
    tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    done = run("init", "--yes", *words)
    assert done.exit_code in (Exit.WRONG_INPUT, Exit.MISCONFIGURED)
    assert said in done.output
    assert not (tmp_path / "foliotrace.toml").exists()
