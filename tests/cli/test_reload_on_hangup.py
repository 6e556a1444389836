"""SIGHUP has a running server read its certificates, prices, log level, lexicon and keys again."""

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from tests.free_ports import free_port

from foliotrace.errors import Misconfigured
from foliotrace_server.sections import ServerSettings
from foliotrace_server.serve import check_certificate

MAIN = [sys.executable, "-c", "from foliotrace_server.cli import main; main()"]
SETTINGS = """
[server]
tls_certificate = "tls.pem"
[log]
level = "{level}"
format = "json"
"""


def write_certificate(path: Path, name: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(
        issuer_name=subject,
        subject_name=subject,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now - timedelta(days=1),
        not_valid_after=now + timedelta(days=1),
    ).sign(key, hashes.SHA256())
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(secret + made.public_bytes(Encoding.PEM))


def name_shown(port: int) -> str:
    shown = ssl.get_server_certificate(("127.0.0.1", port), timeout=10)
    (name,) = x509.load_pem_x509_certificate(shown.encode()).subject
    return str(name.value)


@contextmanager
def served(folder: Path, port: int) -> Iterator["subprocess.Popen[bytes]"]:
    command = [*MAIN, "--config", "foliotrace.toml", "serve", "--port", str(port)]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, stderr=log, stdout=subprocess.DEVNULL)
        try:
            wait_for(lambda: accepts(port))
            yield server
        finally:
            server.terminate()
            assert server.wait(30) == 0


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def wait_for(holds: Callable[[], bool]) -> None:
    ends_s = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < ends_s
        time.sleep(0.05)


@pytest.mark.slow
def test_a_hangup_loads_a_new_certificate_and_log_level_and_keeps_what_is_wrong(
    tmp_path: Path,
) -> None:
    write_certificate(tmp_path / "tls.pem", "first")
    (tmp_path / "foliotrace.toml").write_text(SETTINGS.format(level="info"))
    port, log = free_port(), tmp_path / "log"
    with served(tmp_path, port) as server:
        wait_for(lambda: name_shown(port) == "first")
        answer = httpx.get(f"https://127.0.0.1:{port}/healthz", verify=False)
        assert answer.headers["strict-transport-security"]
        write_certificate(tmp_path / "tls.pem", "second")
        (tmp_path / "foliotrace.toml").write_text(
            SETTINGS.format(level="info") + "[query]\ndeadline_s = 3.5\n"
        )
        os.kill(server.pid, signal.SIGHUP)
        wait_for(lambda: name_shown(port) == "second")
        wait_for(lambda: '"needs_restart":["query"]' in log.read_text().replace(" ", ""))
        (tmp_path / "tls.pem").write_text("no certificate")
        os.kill(server.pid, signal.SIGHUP)
        wait_for(lambda: "server.reload_failed" in log.read_text())
        assert name_shown(port) == "second"
        write_certificate(tmp_path / "tls.pem", "third")
        (tmp_path / "foliotrace.toml").write_text(SETTINGS.format(level="error"))
        os.kill(server.pid, signal.SIGHUP)
        wait_for(lambda: name_shown(port) == "third")
        reloads = log.read_text().count("server.reloaded")
        os.kill(server.pid, signal.SIGHUP)
        write_certificate(tmp_path / "tls.pem", "fourth")
        os.kill(server.pid, signal.SIGHUP)
        wait_for(lambda: name_shown(port) == "fourth")
        assert log.read_text().count("server.reloaded") == reloads  # `info` is not logged now


def test_tls_files_that_do_not_fit_stop_the_start(tmp_path: Path) -> None:
    write_certificate(tmp_path / "one.pem", "one")
    write_certificate(tmp_path / "two.pem", "two")
    check_certificate(ServerSettings(tls_certificate=tmp_path / "one.pem"))
    for key in ("two.pem", "none.pem"):
        wrong = ServerSettings(tls_certificate=tmp_path / "one.pem", tls_key=tmp_path / key)
        with pytest.raises(Misconfigured):
            check_certificate(wrong)
