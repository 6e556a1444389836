"""Thirty-one planted misconfigurations: `foliotrace doctor` names each, and what mends it.

The first eleven were written beside the checks, the other twenty from the list of settings before
the checks that they need were written, by an author who had read the checks of before.
"""

import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner
from tests.fakes.openai import FakeOpenAI, running_fake_openai
from tests.fakes.wire import Fault

from foliotrace_server.cli.command import Exit
from foliotrace_server.cli.main import main

OWN = """
from llama_index.core import MockEmbedding
from llama_index.core.llms import MockLLM

llm = MockLLM()
retriever = "no retriever"

class Deaf(MockEmbedding):
    def _get_query_embedding(self, query):
        raise OSError("model file is missing")

deaf = Deaf(embed_dim=2)

def breaks():
    raise KeyError("token")
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """A mistake: its settings, the area and words that must name it, and what must be advised."""

    named: str
    mending: str
    toml: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    break_it: Callable[[FakeOpenAI], object] = lambda fake: None
    state: str = "problem"


CHAT = "POST /v1/chat/completions"
MODEL = '[llm]\nprovider = "openai"\nmodel = "gpt-4o-mini"\n'
SERVED = MODEL + 'api_base = "{llm}"\n'
KEYED = SERVED + 'api_key = "sk-fake"\n'
LIKE = '[llm]\nprovider = "openai_like"\nmodel = "fake-llm"\n'
EMBEDDING = '[embedding]\nprovider = "openai"\nmodel = "text-embedding-3-small"\n'

BESIDE_THE_CHECKS = {
    "a mistyped name in the file": Planted(
        toml="[server]\nprot = 9000\n", named="server.prot", mending="did you mean server.port"
    ),
    "a mistyped variable": Planted(
        env={"FOLIOTRACE_LLM_MODEL": "x"}, named="FOLIOTRACE_LLM_MODEL", mending="LLM__MODEL"
    ),
    "a provider without a key": Planted(toml=MODEL, named="has no key", mending="OPENAI_API_KEY"),
    "a key that is not accepted": Planted(
        toml=KEYED,
        break_it=lambda fake: [
            fake.fail(at, Fault.unauthorized)
            for at in ("POST /v1/chat/completions", "GET /v1/models")
        ],
        named="status 401",
        mending="The key is not accepted: set llm.api_key (OPENAI_API_KEY)",
    ),
    "a server that is not started": Planted(
        toml=LIKE + 'api_base = "http://127.0.0.1:{free_port}/v1"\n',
        named="cannot be reached",
        mending="start the server",
    ),
    "a model that the server lacks": Planted(
        toml='[llm]\nprovider = "openai_like"\nmodel = "llama9"\napi_base = "{llm}"\n'
        'api_key = "sk-fake"\n',
        named="language model llama9",
        mending="gpt-4o-mini",
    ),
    "an address without /v1": Planted(
        toml=LIKE + 'api_base = "{llm_root}"\napi_key = "sk-fake"\n',
        named="status 404",
        mending="/v1",
    ),
    "a context window below what a question sends": Planted(
        toml=LIKE + 'api_base = "{llm}"\napi_key = "sk-fake"\ncontext_window = 2048\n',
        named="a context window of 2048 tokens is smaller than the 2932",
        mending="query.max_answer_tokens (512)",
    ),
    "a retriever that is none": Planted(
        toml='[query]\nretriever = "planted_parts:retriever"\n',
        named="planted_parts:retriever, which is not a BaseRetriever",
        mending="Name an object of that class",
    ),
    "an embedding of one's own that fails": Planted(
        toml='[embedding]\nprovider = "import"\nmodel = "planted_parts:deaf"\n',
        named="OSError: model file is missing",
        mending="embedding.model",
    ),
    "LlamaCloud without a key": Planted(
        toml='[llamacloud]\nparsing = "cloud"\n',
        named="without a key",
        mending="LLAMA_CLOUD_API_KEY",
    ),
}

FROM_THE_REFERENCE_PAGE = {
    "a number that is none": Planted(
        env={"FOLIOTRACE_SERVER__PORT": "eighty"}, named="server.port", mending="Port to bind"
    ),
    "a port out of range": Planted(
        toml="[server]\nport = 99999\n", named="server.port", mending="Port to bind"
    ),
    "a file that is not TOML": Planted(
        toml='[server]\nport = "9000\n', named="line 2", mending="Fix the file"
    ),
    "a list that is not JSON": Planted(
        env={"FOLIOTRACE_LLM_FALLBACKS": "gpt-4o"}, named="llm_fallbacks", mending="JSON"
    ),
    "fallbacks without a first model": Planted(
        env={"FOLIOTRACE_LLM_FALLBACKS": '[{"provider": "openai", "model": "gpt-4o-mini"}]'},
        named="llm_fallbacks are set without llm",
        mending="Set llm.provider",
    ),
    "a model without its name": Planted(
        toml='[llm]\nprovider = "openai"\n', named="llm.model", mending="Name of the model"
    ),
    "a port that is taken": Planted(
        toml="[server]\nport = {taken_port}\n", named="in use", mending="server.port"
    ),
    "an open address without a key": Planted(
        toml='[server]\nhost = "0.0.0.0"\n', named="0.0.0.0", mending="foliotrace keys create"
    ),
    "a certificate that is not there": Planted(
        toml='[server]\ntls_certificate = "cert.pem"\n',
        named="server.tls_certificate",
        mending="PEM files",
    ),
    "a proxy nobody trusts": Planted(
        toml='[auth.proxy]\nsubject_header = "X-User"\n',
        named="X-User",
        mending="server.trusted_proxies",
    ),
    "a semantic cache without embedding": Planted(
        toml="[query]\nsemantic_cache = true\n",
        named="semantic cache",
        mending="embedding.provider",
    ),
    "a lexicon that is not there": Planted(
        toml='[query]\nlexicon = "words"\n', named="there is no folder words", mending=""
    ),
    "OCR in a language that is not installed": Planted(
        toml='[ingest]\ntessdata = "tess"\nocr_languages = "deu"\n',
        files={"tess/eng.traineddata": ""},
        named="no trained data for deu",
        mending="tesseract-ocr-deu",
    ),
    "a folder without OCR models": Planted(
        toml='[ingest]\ntessdata = "tess"\n', named="tess does not exist", mending="ingest.tessdata"
    ),
    "a region that there is none of": Planted(
        toml='[llamacloud]\nparsing = "cloud"\nwhere = "mars"\napi_key = "llx-1"\n',
        named="llamacloud.where",
        mending="Set it to eu, us or https://",
    ),
    "settings that exclude each other": Planted(
        toml='[llamacloud]\nindex = "cloud"\ndelete_after_use = true\napi_key = "llx-1"\n',
        named="delete_after_use would delete",
        mending="settings.md",
    ),
    "a Redis that is not there": Planted(
        toml='[redis]\nurl = "redis://127.0.0.1:{free_port}"\n', named="redis", mending=""
    ),
    "audit keys inside the log": Planted(
        toml='[audit]\nfolder = "log"\nkeys_folder = "log/keys"\n',
        named="audit.keys_folder",
        mending="outside of audit.folder",
    ),
    "a workflow that cannot be imported": Planted(
        toml='[workflows]\ngreet = "planted_flows:greet"\n',
        named="workflows.greet names planted_flows:greet",
        mending="pkg.mod:object",
    ),
    "a collector that does not answer": Planted(
        env={
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:{free_port}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        },
        named="collector",
        mending="OTEL_EXPORTER_OTLP_ENDPOINT",
        state="warning",
    ),
}
assert (len(BESIDE_THE_CHECKS), len(FROM_THE_REFERENCE_PAGE)) == (11, 20)
PLANTED = {**BESIDE_THE_CHECKS, **FROM_THE_REFERENCE_PAGE}


@pytest.fixture
def ports() -> Iterator[Mapping[str, int]]:
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        yield {"taken_port": taken.getsockname()[1], "free_port": unheard.getsockname()[1]}


def doctor(*more: str) -> tuple[int, list[dict[str, str]], str]:
    done = CliRunner().invoke(main, ["--output", "json", "doctor", *more])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, orjson.loads(done.stdout), done.output


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("foliotrace_server.doctor.collector.COLLECTOR_S", 0.5)
    monkeypatch.setattr("foliotrace_server.doctor.model_servers._CONTAINER_FILES", ())
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "LLAMA_CLOUD_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("mistake", PLANTED.values(), ids=PLANTED)
def test_each_mistake_is_named_with_its_mending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ports: Mapping[str, int], mistake: Planted
) -> None:
    (tmp_path / "planted_parts.py").write_text(OWN)
    for name, text in mistake.files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    with running_fake_openai() as fake:
        mistake.break_it(fake)
        root = fake.url.removesuffix("/v1")

        def filled(text: str) -> str:
            for name, value in {**ports, "llm": fake.url, "llm_root": root}.items():
                text = text.replace(f"{{{name}}}", str(value))
            return text

        (tmp_path / "foliotrace.toml").write_text(filled(mistake.toml))
        for name, value in mistake.env.items():
            monkeypatch.setenv(name, filled(value))
        code, rows, _ = doctor()
    problems = [row for row in rows if row["state"] == "problem"]
    assert code == (Exit.MISCONFIGURED if mistake.state == "problem" else Exit.DONE)
    found = [row for row in rows if row["state"] == mistake.state]
    naming = [row for row in found if mistake.named in f"{row['area']} {row['said']}"]
    assert naming, problems
    assert any(mistake.mending in f"{row['said']} {row['adds']}" for row in naming), naming
    assert "foliotrace doctor" not in str(rows)
    whole = {"data folder", "language model", "LlamaCloud", "OCR", "audit log", "traces", "disk"}
    assert whole <= {row["area"] for row in rows}
    unrelated = {row["area"] for row in problems} - {row["area"] for row in naming}
    assert len(unrelated) <= 1, problems  # a check and a probe may find the same mistake


def test_nothing_wrong_is_reported_where_nothing_is_wrong(tmp_path: Path) -> None:
    with running_fake_openai() as fake:
        text = KEYED.replace("{llm}", fake.url)
        embedding = f'{EMBEDDING}api_base = "{fake.url}"\napi_key = "sk-fake"\n'
        (tmp_path / "foliotrace.toml").write_text(text + embedding)
        code, rows, output = doctor()
        assert (code, fake.count()) == (0, 1), output
        assert doctor("--offline")[0] == 0
        assert fake.count() == 1  # nothing is sent
    found = {row["area"]: row["said"] for row in rows}
    assert found["language model gpt-4o-mini"] == "answers"
    assert not (tmp_path / "foliotrace-data").exists()


def test_no_value_of_a_wrong_setting_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOLIOTRACE_SERVER__PORT", "canary-7")
    monkeypatch.setenv("FOLIOTRACE_LLM__API_KEY", "canary-8")
    _, _, output = doctor("--offline")
    assert "canary" not in output


def test_the_settings_that_are_right_are_checked_beside_a_wrong_one(tmp_path: Path) -> None:
    (tmp_path / "foliotrace.toml").write_text(
        f"[server]\nport = 9090\nprot = 1\n{MODEL}api_key = 'sk-fake'\n"
    )
    _, rows, _ = doctor("--offline")
    found = {row["area"]: row for row in rows}
    assert found["language model"]["said"].startswith("openai gpt-4o-mini")
    assert found["setting server.prot"]["state"] == "problem"
