"""`foliotrace doctor --probe` tries what there is, says what fails, and tells no secret."""

from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner
from tests.fakes.openai import running_fake_openai
from tests.fakes.wire import Fault
from tests.otlp_sink import OtlpSink

from foliotrace_server.cli.main import main
from foliotrace_server.doctor import collector

SECRET = "canary-9f31"


def probed(folder: Path) -> tuple[int, dict[str, tuple[str, str]], str]:
    command = ["--data-dir", str(folder), "--output", "json", "doctor", "--probe"]
    done = CliRunner().invoke(main, command)
    found = {each["area"]: (each["state"], each["said"]) for each in orjson.loads(done.stdout)}
    return done.exit_code, found, done.output


def test_a_probe_needs_nothing_configured_and_leaves_nothing_behind(tmp_path: Path) -> None:
    code, found, _ = probed(tmp_path)
    assert code == 0
    assert found["disk"][0] == "on"
    assert found["audit keys"] == ("on", "none yet: development keys are made at the first start")
    assert list(tmp_path.iterdir()) == []


def test_what_fails_is_named_without_its_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_fake_openai() as fake:
        for name, value in {
            "LLM__PROVIDER": "openai",
            "LLM__MODEL": "gpt-4o-mini",
            "LLM__API_BASE": fake.url,
            "LLM__API_KEY": f"sk-{SECRET}",
            "EMBEDDING__PROVIDER": "openai",
            "EMBEDDING__MODEL": "text-embedding-3-small",
            "EMBEDDING__API_BASE": fake.url,
            "EMBEDDING__API_KEY": f"sk-{SECRET}",
            "REDIS__URL": f"redis://:{SECRET}@127.0.0.1:1/0",
        }.items():
            monkeypatch.setenv(f"FOLIOTRACE_{name}", value)
        fake.fail("POST /v1/embeddings", Fault.unauthorized)
        keys = tmp_path / "audit-keys"
        keys.mkdir()
        (keys / "active.json").write_text(f'{{"chain": "{SECRET}"}}')
        monkeypatch.setenv("FOLIOTRACE_AUDIT__KEYS_FOLDER", str(keys))
        code, found, output = probed(tmp_path / "data")
    assert code == 7
    states = {area: state for area, (state, _) in found.items()}
    assert states["embedding text-embedding-3-small"] == "problem"
    assert states["redis"] == "problem"
    assert states["audit keys"] == "problem"
    assert states["disk"] == "on"
    assert "language model gpt-4o-mini" in states
    assert SECRET not in output


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_the_collector_is_tried_where_one_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    with OtlpSink() as sink:
        place = sink.grpc_endpoint if protocol == "grpc" else sink.http_endpoint
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", place)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
        code, found, _ = probed(tmp_path)
        assert (code, found["collector"][0]) == (0, "on")
        assert [received.signal for received in sink.received] == ["traces"]
        assert sink.spans == []
    monkeypatch.setattr(collector, "COLLECTOR_S", 0.5)
    code, found, _ = probed(tmp_path)
    assert (code, found["collector"][0]) == (0, "warning")


def test_a_probe_works_before_first_use_with_a_model_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_fake_openai() as fake:
        for name, value in {
            "PROVIDER": "openai",
            "MODEL": "gpt-4o-mini",
            "API_BASE": fake.url,
            "API_KEY": "sk-fake",
        }.items():
            monkeypatch.setenv(f"FOLIOTRACE_LLM__{name}", value)
        code, found, output = probed(tmp_path / "new")
    assert (code, found["language model gpt-4o-mini"]) == (0, ("on", "answers")), output
    assert not (tmp_path / "new").exists()


OWN = """
from llama_index.core import MockEmbedding
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.embeddings import BaseEmbedding

class Down(BaseRetriever):
    def _retrieve(self, query_bundle):
        raise ValueError("Async store is not open")

class Deaf(MockEmbedding):
    def _get_query_embedding(self, query):
        raise OSError("model file is missing")

down, deaf = Down(), Deaf(embed_dim=2)
"""


def test_each_object_of_ones_own_has_a_row_that_says_what_it_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "probed_parts.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("FOLIOTRACE_QUERY__RETRIEVER", "probed_parts:down")
    monkeypatch.setenv("FOLIOTRACE_EMBEDDING__PROVIDER", "import")
    monkeypatch.setenv("FOLIOTRACE_EMBEDDING__MODEL", "probed_parts:deaf")
    monkeypatch.setenv("FOLIOTRACE_LLM__PROVIDER", "import")
    monkeypatch.setenv("FOLIOTRACE_LLM__MODEL", "probed_parts:nothing")
    code, found, _ = probed(tmp_path / "data")
    assert code == 7
    said = {area: text for area, (state, text) in found.items() if state == "problem"}
    assert "ValueError: Async store is not open" in said["query.retriever"]
    assert "OSError: model file is missing" in said["embedding probed_parts:deaf"]
    assert "cannot be imported: AttributeError" in said["language model probed_parts:nothing"]
