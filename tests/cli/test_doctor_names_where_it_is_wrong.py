"""`foliotrace doctor` names the file, variable or server that is wrong, and prints no key."""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import orjson
import pytest
from click.testing import CliRunner
from tests.fakes.llamacloud import running_fake_llamacloud
from tests.free_ports import free_port
from tests.otlp_sink import OtlpSink

from foliotrace_server.cli.main import main

MODEL = '[llm]\nprovider = "openai"\nmodel = "gpt-4o-mini"\n'
LIKE = '[llm]\nprovider = "openai_like"\nmodel = "fake-llm"\n'
CLOUD = '[llamacloud]\nparsing = "cloud"\n'
ENDPOINT, TRACES = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("foliotrace_server.doctor.collector.COLLECTOR_S", 0.5)
    for name in ("OPENAI_API_KEY", "LLAMA_CLOUD_API_KEY", "TESSDATA_PREFIX", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)


def doctor(
    *more: str, code: int = 7, toml: str = "", offline: bool = True
) -> dict[str, tuple[str, str]]:
    """(state, what it says and what mends it) by area."""
    if toml:
        Path("foliotrace.toml").write_text(toml)
    where = ["--offline"] if offline else []
    done = CliRunner().invoke(main, ["--output", "json", *more, "doctor", *where])
    assert done.exit_code == code, done.output
    rows = orjson.loads(done.stdout)
    return {row["area"]: (row["state"], f"{row['said']} | {row['adds']}") for row in rows}


@pytest.mark.parametrize("key", ["llx-canary\n", '"llx-canary"', "llx-canary llx", "sk-canary"])
def test_a_key_that_cannot_be_one_is_named_and_not_printed(
    monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("LLAMA_CLOUD_API_KEY", key)
    state, text = doctor(toml=CLOUD)["keys"]
    assert state == "problem"
    assert "LLAMA_CLOUD_API_KEY of the environment" in text
    assert "canary" not in text
    assert ("a key of openai" in text) == key.startswith("sk-")


def test_of_two_keys_the_one_in_force_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("LLAMA_CLOUD_API_KEY=llx-new\n")
    monkeypatch.setenv("LLAMA_CLOUD_API_KEY", "llx-old")
    state, text = doctor(toml=CLOUD, code=0)["keys"]
    assert state == "warning"
    assert "key of LLAMA_CLOUD_API_KEY of the environment is used" in text
    assert "LLAMA_CLOUD_API_KEY of .env" in text
    Path(".env").write_text("LLAMA_CLOUD_API_KEY=llx-old\n")
    assert doctor(code=0)["keys"][0] == "on"


def test_a_file_with_a_key_that_others_can_read_is_a_warning() -> None:
    Path("foliotrace.toml").write_text(MODEL + 'api_key = "sk-canary"\n')
    Path("foliotrace.toml").chmod(0o644)
    state, text = doctor(code=0)["settings file"]
    assert (state, "mode 0644" in text, "chmod 600" in text) == ("warning", True, True)
    assert "canary" not in text
    Path("foliotrace.toml").chmod(0o600)
    assert doctor(code=0)["settings file"][0] == "on"


def test_the_settings_file_that_was_looked_for_is_named(tmp_path: Path) -> None:
    state, text = doctor(code=0)["settings file"]
    assert (state, str(tmp_path / "foliotrace.toml") in text) == ("off", True)
    (tmp_path / "other.toml").write_text("")
    assert "other.toml" in doctor("--config", "other.toml", code=0)["settings file"][1]


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("OPENAI_BASEURL", "OPENAI_BASE_URL"),
        ("LLAMACLOUD_API_KEY", "LLAMA_CLOUD_API_KEY"),
        ("OTEL_EXPORTER_OTLP_ENDPONT", ENDPOINT),
    ],
)
def test_a_variable_that_is_nearly_right_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, nearest: str
) -> None:
    monkeypatch.setenv(name, "x")
    state, text = doctor(code=0)["variables"]
    assert state == "warning"
    assert f"{name} is not read; did you mean {nearest}?" in text
    monkeypatch.delenv(name)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "1")
    assert doctor(code=0)["variables"][0] == "on"


def test_a_windows_path_in_double_quotes_is_explained() -> None:
    assert "single quotes" in doctor(toml='data_dir = "C:\\docs"\n')["setting config"][1]
    assert "single quotes" in doctor(toml='data_dir = "C:\\new"\n')["paths"][1]


def test_a_path_with_a_tilde_is_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    for text in ("~/library", "$HOME/library"):
        assert "data_dir = '/home/ada/library'" in doctor(toml=f'data_dir = "{text}"\n')["paths"][1]


def test_a_folder_of_files_that_is_missing_or_empty_is_named(tmp_path: Path) -> None:
    table = "[ingest.outside_files]\nfolders = ['contracts']\n"
    assert f"{tmp_path}/contracts: No such file" in doctor(toml=table)["paths"][1]
    (tmp_path / "contracts").mkdir()
    state, text = doctor(code=0)["paths"]
    assert (state, "contracts is empty" in text) == ("warning", True)
    (tmp_path / "contracts" / "a.txt").write_text("a")
    assert doctor(code=0)["paths"][0] == "on"


def test_an_address_with_its_endpoint_is_shortened() -> None:
    found = doctor(toml=LIKE + 'api_base = "http://127.0.0.1:9/v1/chat/completions"\n')
    assert "Remove /chat/completions from the end of llm.api_base" in found["language model"][1]


def test_an_ocr_language_of_two_letters_is_translated(tmp_path: Path) -> None:
    (tmp_path / "eng.traineddata").write_text("")
    found = doctor(toml='[ingest]\ntessdata = "."\nocr_languages = "eng+de"\n')
    assert "set ingest.ocr_languages to eng+deu" in found["OCR"][1]


def test_a_tessdata_prefix_without_data_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESSDATA_PREFIX", "/nowhere")
    state, text = doctor(code=0)["OCR"]
    assert (state, "TESSDATA_PREFIX is /nowhere" in text) == ("warning", True)


def test_vectors_of_another_model_are_named(tmp_path: Path) -> None:
    (tmp_path / "foliotrace-data").mkdir()
    with sqlite3.connect(tmp_path / "foliotrace-data" / "vectors.db") as database:
        database.execute("CREATE TABLE state (model TEXT)")
        database.execute("CREATE TABLE vectors (vector BLOB)")
        database.execute("INSERT INTO state VALUES ('emb-384')")
        database.execute("INSERT INTO vectors VALUES (zeroblob(1536))")
    database.close()
    embedding = '[embedding]\nprovider = "openai_like"\napi_base = "http://127.0.0.1:9/v1"\n'
    state, text = doctor(toml=f'{embedding}model = "emb-768"\n', code=0)["vector index"]
    assert state == "warning"
    assert "emb-384, 384 dimensions; the settings name emb-768" in text
    assert doctor(toml=f'{embedding}model = "emb-384"\n', code=0)["vector index"][0] == "on"


@pytest.mark.parametrize(
    ("variables", "mending"),
    [
        ({ENDPOINT: "http://c:4317", PROTOCOL: "http/protobuf"}, f"Set {PROTOCOL}=grpc"),
        ({ENDPOINT: "http://c:4318", PROTOCOL: "grpc"}, f"Set {PROTOCOL}=http/protobuf"),
        ({ENDPOINT: "c:4318", PROTOCOL: "http/protobuf"}, f"{ENDPOINT}=http://c:4318"),
        ({TRACES: "http://c:4318", PROTOCOL: "http/protobuf"}, "Append /v1/traces"),
        ({ENDPOINT: "http://c:4318/v1/traces", PROTOCOL: "http/protobuf"}, "Remove /v1/traces"),
        (
            {ENDPOINT: "http://c:4317", "OTEL_EXPORTER_OTLP_HEADERS": "Authorization: Bearer x"},
            "name=value",
        ),
    ],
)
def test_an_address_of_a_collector_that_cannot_work_is_written_out(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], mending: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    state, text = doctor()["traces"]
    assert state == "problem"
    assert mending in text


def test_a_slash_at_the_end_and_headers_that_are_right_are_no_problem(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(ENDPOINT, "http://c:4318/")
    monkeypatch.setenv(PROTOCOL, "http/protobuf")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20a,x-tenant=b")
    assert doctor(code=0)["traces"][0] == "on"


def test_the_variable_that_switches_traces_off_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENDPOINT, "http://c:4317")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    state, text = doctor(code=0)["traces"]
    assert (state, "OTEL_SDK_DISABLED is true" in text) == ("warning", True)


def test_a_collector_of_another_protocol_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with OtlpSink() as sink:
        monkeypatch.setenv(ENDPOINT, sink.http_endpoint.replace("http://", "https://"))
        monkeypatch.setenv(PROTOCOL, "http/protobuf")
        assert "speaks plain text" in doctor(offline=False)["collector"][1]
        monkeypatch.setenv(ENDPOINT, sink.grpc_endpoint)
        assert f"{PROTOCOL}=grpc" in doctor(offline=False)["collector"][1]


@contextmanager
def answering(status: int, *, ahead_s: float = 0.0, body: bytes = b"") -> Iterator[str]:
    """An HTTP server whose answers have one status, and a clock that is ahead; its URL."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header(
                "Content-Type", "application/json" if body[:1] in b"[{" else "text/html"
            )
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def date_time_string(self, timestamp: float | None = None) -> str:
            import time

            return formatdate(time.time() + ahead_s, usegmt=True)

        def log_message(self, *_: object) -> None:
            return

        do_GET = do_POST = do_HEAD = _answer

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(("ahead_s", "state"), [(540, "problem"), (-540, "problem"), (5, "on")])
def test_a_clock_that_is_wrong_is_named(ahead_s: int, state: str) -> None:
    with answering(404, ahead_s=ahead_s) as url:
        found = doctor(toml=f'{LIKE}api_base = "{url}/v1"\n', offline=False)["clock"]
    assert found[0] == state
    if state == "problem":
        assert ("behind" if ahead_s > 0 else "ahead") in found[1]
        assert "NTP" in found[1]


def test_a_proxy_that_refuses_is_named_instead_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(403) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.replace("://", "://ada:canary@"))
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        toml = LIKE + 'api_base = "http://models.example/v1"\nfree = true\n'
        text = doctor(toml=toml, offline=False)["language model fake-llm"][1]
    assert "add models.example to NO_PROXY" in text
    assert "HTTP_PROXY" in text
    assert "canary" not in text


def test_an_embedding_model_for_answers_is_named() -> None:
    with answering(400) as url:
        toml = LIKE.replace("fake-llm", "nomic-embed-text") + f'api_base = "{url}/v1"\n'
        found = doctor(toml=toml, offline=False)
    assert "nomic-embed-text is an embedding model" in found["language model nomic-embed-text"][1]


@pytest.mark.parametrize(("free", "inodes", "none"), [(9, 0, True), (0, 0, False), (9, 9, False)])
def test_no_inodes_are_told_from_no_space(free: int, inodes: int, none: bool) -> None:
    from foliotrace_server.doctor.probes import no_inode_is_left

    disk = SimpleNamespace(f_files=100, f_favail=inodes, f_bavail=free)
    assert no_inode_is_left(disk) is none  # type: ignore[arg-type] # stands for statvfs


def test_a_read_only_disk_has_its_own_mending(monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    def refuse(**_: object) -> object:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("foliotrace_server.doctor.probes.tempfile.NamedTemporaryFile", refuse)
    assert "ReadWritePaths=" in doctor(offline=False)["disk"][1]


def test_a_collector_that_is_down_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setenv(ENDPOINT, f"http://127.0.0.1:{port}")
    state, text = doctor(code=0, offline=False)["collector"]
    assert (state, f"nothing answers at 127.0.0.1:{port}" in text) == ("warning", True)


def test_a_temporary_folder_that_is_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "missing"))
    assert "TMPDIR" in doctor(offline=False)["disk"][1]


def test_an_unknown_name_has_its_line_and_the_nearest_of_its_section() -> None:
    found = doctor(toml="[embeding]\nprovider = 'x'\n[query]\ncache_ttl = 3\nchunksize = 3\n")
    assert "did you mean embedding? (foliotrace.toml, line 1)" in found["setting embeding"][1]
    assert (
        "did you mean query.cache_ttl_s? (foliotrace.toml, line 4)"
        in found["setting query.cache_ttl"][1]
    )
    assert "did you mean" not in found["setting query.chunksize"][1]


def test_the_host_that_is_asked_without_an_address_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    assert "at api.openai.com" in doctor(toml=MODEL, code=0)["language model"][1]


def test_langsmith_without_a_key_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LANGSMITH_API_KEY", raising=False)
    monkeypatch.setenv("LANGSMITH_TRACING", "true")
    assert "Set LANGSMITH_API_KEY" in doctor()["traces"][1]


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_llamacloud_refuses_is_named_with_the_host(
    monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setenv("LLAMA_CLOUD_API_KEY", "llx-canary")
    with answering(status) as url:
        text = doctor(toml=f'{CLOUD}where = "{url}"\n', offline=False)["llamacloud"][1]
    assert f"127.0.0.1 does not accept the key: status {status}" in text
    assert "llamacloud.where" in text
    assert "canary" not in text


@pytest.mark.parametrize(
    ("status", "body", "state", "named", "mending"),
    [
        (200, b"<html>a portal</html>", "problem", "not as LlamaCloud does", "eu, us, or the base"),
        (200, b'{"data": []}', "problem", "not as LlamaCloud does", "eu, us, or the base"),
        (404, b"", "problem", "status 404", "llamacloud.where"),
        (402, b"{}", "problem", "no credits left", "Buy credits"),
        (429, b"{}", "warning", "beyond its rate", "Wait a minute"),
        (500, b"oops", "warning", "fails by itself", "local parts answer meanwhile"),
    ],
)
def test_what_llamacloud_answers_is_explained(
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    body: bytes,
    state: str,
    named: str,
    mending: str,
) -> None:
    monkeypatch.setenv("LLAMA_CLOUD_API_KEY", "llx-canary")
    code = 7 if state == "problem" else 0
    with answering(status, body=body) as url:
        toml = f'{CLOUD}where = "{url}"\n'.replace('"cloud"', '"cloud_then_local"')
        found = doctor(toml=toml, offline=False, code=code)["llamacloud"]
    assert found[0] == state
    assert named in found[1]
    assert mending in found[1]


def test_an_outage_is_a_problem_where_nothing_local_may_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LLAMA_CLOUD_API_KEY", "llx-canary")
    with answering(500) as url:
        found = doctor(toml=f'{CLOUD}where = "{url}"\n', offline=False)["llamacloud"]
    assert found[0] == "problem"
    assert "cloud_then_local" in found[1]


@pytest.mark.parametrize(
    ("wrong", "named", "mending"),
    [
        ('project_id = "prj-lost"', "llamacloud.project_id is not one", "prj-fake (fake)"),
        ('organization_id = "org-lost"', "llamacloud.organization_id is not one", "org-fake"),
        ('parse_version = "2020-01-01"', "has no version 2020-01-01", "2026-09-28"),
        ('where = "{url}/api/v1"', "not as LlamaCloud does", "without /api/v1"),
        ('where = "{tls}"', "speaks plain text", "Write http://"),
        ('where = "europe"', "neither a region", "Set it to eu, us"),
    ],
)
def test_what_is_wrong_beside_the_key_is_named(
    monkeypatch: pytest.MonkeyPatch, wrong: str, named: str, mending: str
) -> None:
    with running_fake_llamacloud() as fake:
        monkeypatch.setenv("LLAMA_CLOUD_API_KEY", fake.api_key)
        lines = wrong.format(url=fake.url, tls=fake.url.replace("http:", "https:"))
        where = "" if "where" in wrong else f'where = "{fake.url}"\n'
        text = doctor(toml=f"{CLOUD}{where}{lines}\n", offline=False)["llamacloud"][1]
    assert named in text
    assert mending in text


def test_the_proxy_before_llamacloud_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_CLOUD_API_KEY", "llx-canary")
    monkeypatch.setenv("HTTPS_PROXY", f"http://ada:canary@127.0.0.1:{free_port()}")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    text = doctor(toml=f"{CLOUD}\n", offline=False)["llamacloud"][1]
    assert "HTTPS_PROXY (127.0.0.1:" in text
    assert "NO_PROXY" in text
    assert "canary" not in text


def test_the_clock_is_held_against_llamacloud_where_no_model_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LLAMA_CLOUD_API_KEY", "llx-canary")
    with answering(200, ahead_s=-900, body=b"[]") as url:
        found = doctor(toml=f'{CLOUD}where = "{url}"\n', offline=False)["clock"]
    assert found[0] == "problem"
    assert "ahead" in found[1]


def test_a_data_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("not a folder")
    text = doctor(toml='data_dir = "data"\n')["data folder"][1]
    assert "is a file, not a folder" in text


@pytest.mark.parametrize("inside", [True, False])
def test_localhost_inside_a_container_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: bool
) -> None:
    mark = tmp_path / "dockerenv"
    if inside:
        mark.touch()
    monkeypatch.setattr("foliotrace_server.doctor.model_servers._CONTAINER_FILES", (mark,))
    toml = LIKE + f'api_base = "http://127.0.0.1:{free_port()}/v1"\n'
    text = doctor(toml=toml, offline=False)["language model fake-llm"][1]
    assert ("host.docker.internal" in text) is inside
