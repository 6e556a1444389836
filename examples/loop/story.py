"""From a wrong answer to a fix that stays fixed, on the example documents, without a key.

    python examples/loop/story.py [FOLDER]

A service is set to a faulty retriever. Its wrong answer is rated, found, replayed and promoted to a
dataset row; the gate goes red. The setting is mended; the gate goes green; the row stays. Every
step is the `foliotrace` command that a person would type. Last, the mended setting is released to
half of the users, watched and promoted.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

HERE = Path(__file__).parent
# Each command is a process of its own: with its modules compiled once, it takes half the time.
COMPILED = "import sys; sys.dont_write_bytecode = False"
COMMAND = [sys.executable, "-c", f"{COMPILED}; from foliotrace_server.cli import main; main()"]
QUESTION = "What is the joining fee?"
RIGHT = "150 EUR once"
CONTENT = '[runs]\nkeep_content = "redacted"\n'
RELEASED = f"""{CONTENT}
[query]
retriever = "last_paragraph:retriever"
cache_ttl_s = 0.0

[releases.fixed.query]
retriever = ""
"""
FAULTY = CONTENT + '[query]\nretriever = "last_paragraph:retriever"\ncache_ttl_s = 0.0\n'


class Story:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "last_paragraph.py").write_text((HERE / "last_paragraph.py").read_text())
        self.settings(CONTENT)

    def settings(self, text: str) -> None:
        (self.folder / "foliotrace.toml").write_text(text)

    def run(self, *words: str, code: int = 0) -> str:
        print(f"$ foliotrace {' '.join(words)}", flush=True)
        ended = subprocess.run(
            [*COMMAND, *words],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        print("\n".join(f"  {line}" for line in ended.stdout.splitlines()[:30]), flush=True)
        if ended.returncode != code:
            sys.exit(f"exit code {ended.returncode}, expected {code}\n{ended.stderr}")
        return ended.stdout

    @contextmanager
    def serving(self) -> Iterator[str]:
        """`foliotrace serve` until the block ends; its address."""
        command = [*COMMAND, "serve", "--port", "0"]
        print(f"$ foliotrace {' '.join(command[3:])} &", flush=True)
        server = subprocess.Popen(
            command,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            assert server.stdout is not None
            first = server.stdout.readline()
            print(f"  {first.rstrip()}", flush=True)
            yield first.split()[2]
        finally:
            server.terminate()
            server.communicate(timeout=60)

    def json(self, *words: str, code: int = 0) -> Any:
        return json.loads(self.run(*words, "--output", "json", code=code))


def wait_for_rollout(url: str) -> None:
    """Until the service follows the rollout that was stored before it started."""
    for _ in range(300):
        try:
            if {ask(url, user=f"early-{n}")["release"] for n in range(12)} == {"base", "fixed"}:
                return
        except OSError:
            pass
        time.sleep(0.1)
    sys.exit("the service did not follow the rollout")


def ask(url: str, *, user: str) -> Any:
    body = json.dumps({"query": QUESTION, "user_id": user}).encode()
    headers = {"content-type": "application/json"}
    with urlopen(Request(f"{url}/v1/query", body, headers), timeout=30) as response:
        return json.load(response)


def play(folder: Path) -> None:
    story = Story(folder)
    story.settings(FAULTY)
    with story.serving():
        story.run("ingest", str(HERE.parent / "documents"))

        print("\n-- a wrong answer is given, and rated")
        answer = story.json("ask", QUESTION)
        assert "150" not in answer["answer"], answer["answer"]
        run_id = answer["run_id"]
        story.run("runs", "rate", run_id, "--score", "0", "--comment", "that is no fee")

        print("\n-- it is found and replayed: still wrong, three times of three")
        found = story.json("loop", "find")
        assert [run["id"] for run in found["runs"]] == [run_id]
        replayed = story.json("loop", "replay", run_id, "--reference", RIGHT, code=1)
        assert replayed["verdict"] == "reproduced", replayed

        print("\n-- it becomes a row, and the gate goes red")
        promotion = ("--reference", RIGHT, "--split", "smoke", "--category", "wrong_passage")
        row = story.json("loop", "promote", run_id, *promotion, "--incident", "T-41")
        again = story.json("loop", "promote", run_id, *promotion, "--incident", "T-41")
        assert (again["id"], again["new"]) == (row["id"], False)
        story.run("loop", "gate", "--suite", "smoke", "--save", "baseline.json", code=1)

    print("\n-- the setting is mended: the gate goes green, and the row stays")
    story.settings(CONTENT)
    gate = ("loop", "gate", "--suite", "smoke", "--target", row["id"])
    story.run(*gate, "--baseline", "baseline.json", "--save", "fixed.json", "--junit", "gate.xml")
    as_recorded = story.json("loop", "replay", run_id, "--reference", RIGHT, code=1)
    assert as_recorded["verdict"] == "reproduced", as_recorded
    assert {"settings", "index"} <= set(as_recorded["rebuilt"]), as_recorded
    now = story.json("loop", "replay", run_id, "--reference", RIGHT, "--now")
    assert now["verdict"] == "fixed", now
    assert row["id"] in (folder / "evals/datasets/complaints.jsonl").read_text()

    print("\n-- the mended setting goes to half of the users first, is watched, and promoted")
    story.settings(RELEASED)
    story.run("loop", "release", "canary", "fixed", "--share", "0.5")
    with story.serving() as url:
        wait_for_rollout(url)
        answers = [ask(url, user=f"user-{number}") for number in range(40)]
        right = {answer["release"]: RIGHT.split()[0] in answer["answer"] for answer in answers}
        assert right == {"base": False, "fixed": True}, right
        watch = ("loop", "watch", "--hours", "0", "--least-runs", "10", "--apply")
        assert "promote" in story.run(*watch)
    assert "stable fixed" in story.run("loop", "release", "show")
    story.run("loop", "release", "show", "--history", "2")

    print("\n-- the fault comes back: the row catches it")
    story.settings(FAULTY)
    story.run(*gate, "--baseline", "fixed.json", code=1)

    print("\n-- an outage is no regression")
    story.run("--url", "http://127.0.0.1:9", *gate, "--baseline", "fixed.json", code=2)
    print("\nok: what was fixed stays fixed")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
        play(Path(sys.argv[1]).absolute())
    else:
        with tempfile.TemporaryDirectory() as scratch:
            play(Path(scratch))
