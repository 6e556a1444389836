"""deploy/Containerfile: no secret, no root, nothing missing; its steps run, its service answers."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import httpx
import pytest
from tests.free_ports import free_port
from tests.hosts.running_hosts import absent, running

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "deploy" / "Containerfile").read_text()
USER = 10001


def instructions() -> Iterator[tuple[str, str]]:
    """(instruction, arguments) in order, comments left out and continued lines joined."""
    lines = [line for line in TEXT.splitlines() if not line.startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if line.strip():
            name, _, arguments = line.partition(" ")
            yield name, arguments.strip()


def test_the_image_runs_as_a_user_without_rights_and_checks_its_health() -> None:
    last = dict(instructions())
    assert last["USER"] == f"{USER}:{USER}"
    assert "HEALTHCHECK" in last
    assert json.loads(last["ENTRYPOINT"]) == ["foliotrace"]
    assert sum(name == "FROM" for name, _ in instructions()) == 2, "no build tool in the image"


def test_the_documented_build_keeps_the_health_check() -> None:
    """Podman and buildah drop HEALTHCHECK from images of their own format."""
    guide = (ROOT / "docs" / "how-to" / "deploy.md").read_text()
    builds = [
        line for line in (guide + TEXT).splitlines() if re.search(r"(podman|buildah) b", line)
    ]
    assert builds
    assert all("--format docker" in line for line in builds), builds


def test_no_layer_holds_a_secret() -> None:
    for name, arguments in instructions():
        if name in ("ARG", "ENV"):
            assert not re.search(r"(?i)key|token|secret|passw", arguments), arguments


def test_whatever_is_copied_exists_and_is_not_left_out_of_the_build() -> None:
    patterns = [
        line for line in (ROOT / ".containerignore").read_text().splitlines() if line[:1] == "!"
    ]
    for name, arguments in instructions():
        if name == "COPY" and "--from" not in arguments:
            for source in shlex.split(arguments)[:-1]:
                assert (ROOT / source).exists(), source
                assert any(
                    fnmatch(source, kept[1:]) or source.startswith(kept[1:] + "/")
                    for kept in patterns
                ), f"{source} does not reach the build"


@pytest.mark.real_servers
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_built_service_answers_as_that_user_with_nothing_else_to_write_to(
    tmp_path: Path,
) -> None:
    """Runs the RUN steps of the build stage, then ENTRYPOINT, ENV and HEALTHCHECK of the image.

    A mount namespace stands in for the container: everything is read-only except /data and /tmp.
    """
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        absent("needs root, unshare and setpriv")
    prefix = tmp_path / "opt"
    steps = [a for name, a in instructions() if name == "RUN" and "container/install" in a]
    assert len(steps) == 2
    for step in steps:
        subprocess.run(
            step.replace("/opt/foliotrace", str(prefix)),
            shell=True,
            cwd=ROOT,
            check=True,
            timeout=300,
            env={"PATH": os.environ["PATH"], "PYTHON": sys.executable, "HOME": str(tmp_path)},  # noqa: TID251 - pip's own
        )
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    os.chown(data, USER, USER)
    for folder in (tmp_path, *tmp_path.parents):  # pytest's folders are for their owner alone
        if folder.stat().st_uid == os.geteuid() and folder.name.startswith("pytest"):
            folder.chmod(0o755)
    tmp_path.chmod(0o755)
    port = free_port()
    env = {
        "PATH": f"{prefix}/bin:/usr/bin:/bin",
        "PYTHONDONTWRITEBYTECODE": "1",
        "FOLIOTRACE_DATA_DIR": str(data),
        "FOLIOTRACE_SERVER__HOST": "0.0.0.0",
        "FOLIOTRACE_SERVER__PORT": str(port),
        "OTEL_SDK_DISABLED": "true",
    }
    inside = (
        "mount --make-rprivate / && mount -t tmpfs tmpfs /tmp/../dev/shm && "
        f"mount --bind {data} {data} && mount -o remount,bind,ro / && "
        f"exec setpriv --reuid {USER} --regid {USER} --clear-groups --no-new-privs "
    )

    def contained(*words: str) -> list[str]:
        return ["unshare", "--mount", "sh", "-c", f"{inside} {shlex.join(words)}"]

    refused = subprocess.run(
        contained("foliotrace", "serve"), env=env, capture_output=True, text=True, timeout=60
    )
    assert "foliotrace keys create" in refused.stderr, "it listens everywhere without a key"
    made = subprocess.run(
        contained("foliotrace", "keys", "create", "--name", "me"),
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert made.returncode == 0, made.stderr
    key = re.search(r"ftk_\w+", made.stdout)
    assert key is not None
    url = f"http://127.0.0.1:{port}"
    with running(contained("foliotrace", "serve"), tmp_path, f"{url}/healthz", env, wait_s=60):
        health = json.loads(dict(instructions())["HEALTHCHECK"].partition("CMD ")[2])
        healthy = subprocess.run(
            [word.replace(":8080", f":{port}") for word in health], env=env, timeout=20
        )
        assert healthy.returncode == 0
        assert httpx.post(f"{url}/v1/query", json={"query": "Anything?"}).status_code == 401
        asked = httpx.post(
            f"{url}/v1/query",
            json={"query": "When are refunds paid?"},
            headers={"Authorization": f"Bearer {key[0]}"},
        )
        assert asked.status_code == 200, asked.text
