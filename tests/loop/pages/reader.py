"""Types a how-to page: its shell blocks, in order, in a fresh folder, on a real server.

`foliotrace serve &` starts it, `deploy/collector/run &` a collector; a `toml` block is added to
`foliotrace.toml`, or replaces it if it begins with that name, and restarts the server. A `text`
block is what the block before it must have printed; ids and measured numbers may differ.
`# exit code N`: what a command must end with.
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

from tests.collector.processes import Collector
from tests.free_ports import free_port

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
    collector: Collector | None = None
    collector_variables: dict[str, str] = field(default_factory=dict)
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
        if self.collector is not None:
            command = command.replace("localhost:4317", self.collector.grpc)
        command = command.replace("run_...", self.run_id).replace("exp_...", self.experiment_id)
        if command.startswith("export "):
            name, _, value = command.removeprefix("export ").split()[0].partition("=")
            self.variables.setdefault(name, value)
        elif command == "foliotrace serve &":
            self.serve()
        elif command.endswith("deploy/collector/run &"):
            self.collect(command.removesuffix("deploy/collector/run &").split())
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

    def collect(self, assignments: list[str]) -> None:
        """Run the page's collector on free ports; a second one takes the place of the first."""
        if self.collector is not None:
            self.collector.stop()
        chosen = dict(each.split("=", 1) for each in assignments)
        variables = {**self.variables, **self.collector_variables, **chosen}
        script = ROOT / "deploy/collector/run"
        self.collector = Collector("", self.folder / "collector", script=script, **variables)
        self.collector.start()

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
        if reader.collector is not None:
            reader.collector.stop()


def blocks(page: str) -> list[tuple[str, str]]:
    found = BLOCK.findall((ROOT / f"docs/how-to/{page}.md").read_text())
    assert any(kind == "sh" for kind, _ in found)
    return found
