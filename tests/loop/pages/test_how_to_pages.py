"""Every shell block of the loop's how-to pages, in order, in a fresh folder, on a real server.

`foliotrace serve &` starts it; a `toml` block is added to `foliotrace.toml`, or replaces it if it
begins with that name, and restarts the server. A `text` block is what the block before it must
have printed; ids and measured numbers may differ. `# exit code N`: what a command must end with.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from tests.fakes.langsmith import running_fake_langsmith
from tests.free_ports import free_port
from tests.loop.pages.judge_service import hosted_judge

pytestmark = [pytest.mark.slow, pytest.mark.timeout(290)]
ROOT = Path(__file__).parents[3]
BLOCK = re.compile(r"^```(sh|toml|text|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RUN_ID, EXPERIMENT_ID = re.compile(r"run_[0-9a-f]{32}"), re.compile(r"exp_[0-9a-f]{16}")
VARYING = re.compile(
    r"run_[0-9a-f]{32}|exp_[0-9a-f]{16}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}"
    r"|\d+\.\d s \(\d+/s\)"
)


@dataclass
class Reader:
    """Somebody who types a page."""

    folder: Path
    variables: dict[str, str]
    port: int = field(default_factory=free_port)
    server: subprocess.Popen[str] | None = None
    printed: str = ""
    run_id: str = "run_..."
    experiment_id: str = "exp_..."

    def follow(self, kind: str, text: str) -> None:
        if kind == "sh":
            self.printed = ""
            for line in text.replace("\\\n", " ").splitlines():
                self.type(line)
        elif kind == "toml":
            self.settings(text)
        elif kind == "python":
            (self.folder / "my_rules.py").write_text(text)
        else:
            self.compare(text)

    def type(self, line: str) -> None:
        command, _, comment = line.partition("    # ")
        command = command.strip().replace("localhost:8080", f"localhost:{self.port}")
        command = command.replace("run_...", self.run_id).replace("exp_...", self.experiment_id)
        if command.startswith("export "):
            name, _, value = command.removeprefix("export ").split()[0].partition("=")
            self.variables.setdefault(name, value)
        elif command == "foliotrace serve &":
            self.serve()
        elif command:
            ended = subprocess.run(
                ["bash", "-c", command],
                cwd=self.folder,
                env=self.variables,
                capture_output=True,
                text=True,
                timeout=120,
            )
            expected = re.search(r"exit code (\d)", comment)
            code = int(expected[1]) if expected else 0
            assert ended.returncode == code, f"$ {command}\n{ended.stdout}{ended.stderr}"
            self.printed += ended.stdout
            if found := RUN_ID.search(ended.stdout) if "foliotrace ask" in command else None:
                self.run_id = found[0]
            if found := EXPERIMENT_ID.search(ended.stdout + ended.stderr):
                self.experiment_id = found[0]

    def settings(self, text: str) -> None:
        file = self.folder / "foliotrace.toml"
        before = file.read_text() if file.exists() and not text.startswith("# foliotrace") else ""
        file.write_text(before + text)
        if self.server is not None:
            self.stop()
            self.serve()

    def compare(self, promised: str) -> None:
        """Each promised line is printed, whole or as the beginning of one, in this order."""
        lines = iter(masked(self.printed).splitlines())
        for line in masked(promised).splitlines():
            assert any(line in each for each in lines), f"{line!r} is not in\n{self.printed}"

    def serve(self) -> None:
        with (self.folder / "serve.log").open("a") as log:
            command = ["foliotrace", "serve", "--port", str(self.port)]
            self.server = subprocess.Popen(
                command, cwd=self.folder, env=self.variables, stdout=log, stderr=log, text=True
            )
        while self.server.poll() is None:
            try:
                with urlopen(f"http://localhost:{self.port}/readyz"):
                    return
            except (URLError, ConnectionError):
                time.sleep(0.1)
        raise AssertionError((self.folder / "serve.log").read_text())

    def stop(self) -> None:
        if self.server is not None:
            self.server.send_signal(signal.SIGTERM)
            self.server.wait(60)
            self.server = None


def masked(text: str) -> str:
    return re.sub(r"[ \t]+", " ", VARYING.sub("#", text))


@contextmanager
def reader_of(folder: Path, **variables: str) -> Iterator[Reader]:
    (folder / "examples").symlink_to(ROOT / "examples")
    (folder / "documents").mkdir()
    handbook = ROOT / "examples/documents/larkfield-handbook.docx"
    (folder / "documents" / handbook.name).write_bytes(handbook.read_bytes())
    path = f"{Path(sys.executable).parent}:{os.defpath}"
    author = {f"GIT_{who}_{what}": "a@example.org"
              for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}  # fmt: skip
    reader = Reader(folder, {"PATH": path, "HOME": str(folder), **author, **variables})
    subprocess.run(["git", "init", "-q", folder], check=True)
    try:
        yield reader
    finally:
        reader.stop()


def blocks(page: str) -> list[tuple[str, str]]:
    found = BLOCK.findall((ROOT / f"docs/how-to/{page}.md").read_text())
    assert any(kind == "sh" for kind, _ in found)
    return found


def test_from_complaint_to_fix(tmp_path: Path) -> None:
    with reader_of(tmp_path) as reader:
        for kind, text in blocks("from-complaint-to-fix"):
            reader.follow(kind, text)


def test_gate_releases_in_ci(tmp_path: Path) -> None:
    with reader_of(tmp_path) as reader, hosted_judge() as judge:
        labels = tmp_path / "evals/judges/tone.labels.jsonl"
        labels.parent.mkdir(parents=True)
        line = '{"inputs": {}, "outputs": {"answer": "Thank you."}, "passed": true}\n'
        labels.write_text(line * 10)
        for kind, text in blocks("gate-releases-in-ci"):
            if "[loop.judge]" in text:
                text += f'api_base = "{judge.url}"\n'
            reader.follow(kind, text)
        assert len(judge.asked) == 3 * 10
        assert "<testsuite" in (tmp_path / "gate.xml").read_text()


def test_release_safely(tmp_path: Path) -> None:
    with reader_of(tmp_path) as reader:
        for kind, text in blocks("release-safely"):
            reader.follow(kind, text)


def test_upload_traces(tmp_path: Path) -> None:
    with running_fake_langsmith() as fake:
        variables = {"LANGSMITH_API_KEY": fake.api_key, "LANGSMITH_ENDPOINT": fake.url}
        with reader_of(tmp_path, **variables) as reader:
            for kind, text in blocks("upload-traces"):
                reader.follow(kind, text)
        assert fake.state.runs
