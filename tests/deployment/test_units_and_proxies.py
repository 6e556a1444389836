"""systemd accepts the units and rates them safe; Caddy and nginx stream our answers through."""

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from tests.free_ports import free_port
from tests.hosts.running_hosts import absent, running

pytestmark = pytest.mark.real_servers
DEPLOY = Path(__file__).parents[2] / "deploy"
UNITS = sorted(DEPLOY.glob("systemd/*.service")) + sorted(DEPLOY.glob("systemd/*.timer"))


def program(name: str) -> str:
    return shutil.which(name, path=f"{os.defpath}:/usr/sbin") or absent(
        f"{name} is not installed: .ci/install-debian"
    )


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_accepts_the_unit(unit: Path, tmp_path: Path) -> None:
    """With programs that exist in place of ours: systemd looks for the file of each command."""
    for each in UNITS:
        text = re.sub(r"(?<=ExecStart=)/opt/\S+", "/bin/true", each.read_text())
        (tmp_path / each.name).write_text(text)
    checked = subprocess.run(
        [program("systemd-analyze"), "verify", "--man=no", str(tmp_path / unit.name)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize("name", ["foliotrace", "otel-collector"])
def test_systemd_rates_the_service_as_hardened(name: str) -> None:
    unit = DEPLOY / "systemd" / f"{name}.service"
    rated = subprocess.run(
        [program("systemd-analyze"), "security", "--offline=true", "--threshold=20", str(unit)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert rated.returncode == 0, rated.stdout[-400:]  # exposure above 2.0 of 10


class Upstream:
    """Sends an event, then nothing until `finish`; counts what asked for the metrics."""

    def __init__(self) -> None:
        self.finish, self.metrics_asked = asyncio.Event(), 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.metrics_asked += b" /metrics " in head
        self.head = head.decode()
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
            b"event: delta\ndata: 1\n\n"
        )
        await writer.drain()
        await self.finish.wait()
        writer.write(b"event: end\ndata: 2\n\n")
        writer.close()


@contextmanager
def caddy(folder: Path, upstream: int) -> Iterator[str]:
    url = f"http://127.0.0.1:{(port := free_port())}"
    env = {
        "PATH": os.defpath,
        "HOME": str(folder),
        "SITE_NAME": f"http://127.0.0.1:{port}",
        "SITE_UPSTREAM": f"127.0.0.1:{upstream}",
    }
    text = (DEPLOY / "proxy/Caddyfile").read_text()
    (folder / "Caddyfile").write_text(text.replace("{\n\t#", "{\n\tadmin off\n\t#", 1))
    command = [program("caddy"), "run", "--config", str(folder / "Caddyfile")]
    with running(command, folder, f"{url}/health", env, wait_s=20):
        yield url


@contextmanager
def nginx(folder: Path, upstream: int) -> Iterator[str]:
    """With ports and a certificate of the test's own, and everything else as it is."""
    url = f"https://127.0.0.1:{(port := free_port())}"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
         "/CN=localhost", "-keyout", str(folder / "privkey.pem"), "-out",
         str(folder / "fullchain.pem")],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    site = (DEPLOY / "proxy/nginx.conf").read_text()
    site = site.replace("/etc/foliotrace/tls", str(folder)).replace(":8080", f":{upstream}")
    site = re.sub(r"listen (\[::\]:)?80;", f"listen 127.0.0.1:{free_port()};", site, count=1)
    site = re.sub(r"    listen \[::\]:\d+.*\n", "", site).replace("listen 443", f"listen {port}")
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; events {{}}\n"
        f"http {{ access_log off; client_body_temp_path {folder}/body; "
        f"proxy_temp_path {folder}/proxy;\n"
        f"fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n"
        f"{site}\n}}\n"
    )
    command = [program("nginx"), "-c", str(folder / "nginx.conf"), "-p", str(folder)]
    ready = f"http://127.0.0.1:{upstream}/"
    with running(command, folder, ready, {"PATH": os.defpath}, wait_s=20):
        yield url


@pytest.mark.anyio
@pytest.mark.parametrize("proxy", [caddy, nginx])
async def test_a_proxy_streams_sets_the_host_and_hides_the_metrics(
    proxy: object, tmp_path: Path
) -> None:
    upstream = Upstream()
    upstream.finish.set()
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    made = proxy(tmp_path, port)  # type: ignore[operator] # one of the two above
    url = await asyncio.to_thread(made.__enter__)
    try:
        async with httpx.AsyncClient(verify=False, timeout=20) as client:
            for _ in range(100):
                try:
                    refused = await client.get(f"{url}/metrics")
                    break
                except httpx.ConnectError:
                    await asyncio.sleep(0.1)
            assert (refused.status_code, upstream.metrics_asked) == (404, 0)
            upstream.finish.clear()
            async with client.stream("GET", f"{url}/v1/jobs/x/events") as response:
                events = response.aiter_bytes()
                first = await asyncio.wait_for(anext(events), 10)  # before the upstream ends
                assert b"delta" in first
                upstream.finish.set()
                assert b"end" in b"".join([piece async for piece in events])
            assert response.headers["strict-transport-security"]
            assert re.search(r"(?im)^host: 127\.0\.0\.1", upstream.head)
    finally:
        await asyncio.to_thread(made.__exit__, None, None, None)
        server.close()
