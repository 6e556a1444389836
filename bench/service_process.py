"""`foliotrace serve` in a process of its own, for benchmarks that watch it or kill it."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import httpx

_SERVE = "import sys; from foliotrace_server.cli import main; main()"
STOP_S = 60.0


class FailedStart(Exception):
    """The service ended before it was killed."""


class Service:
    """`foliotrace serve` on a data folder, in a process that is killed."""

    def __init__(self, folder: Path, port: int, settings: Mapping[str, str]) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._command = [sys.executable, "-c", _SERVE, "--data-dir", str(folder), "serve"]
        self._command += ["--port", str(port)]
        self._env = {"PATH": os.defpath, "HOME": str(folder.parent), **settings}
        self._env |= {"FOLIOTRACE_LOG__LEVEL": "error", "OTEL_SDK_DISABLED": "true"}
        self._log = folder.parent / "service.log"
        self._cwd = folder.parent
        self.process: subprocess.Popen[bytes] | None = None

    def spawn(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, env=self._env, cwd=self._cwd, stdout=log, stderr=log
            )

    async def ready(self, http: httpx.AsyncClient) -> None:
        """Wait for `/readyz`. Raises FailedStart."""
        while True:
            self.raise_if_ended()
            with suppress(httpx.TransportError):
                if (await http.get("/readyz")).status_code == 200:
                    return
            await asyncio.sleep(0.02)

    def raise_if_ended(self) -> None:
        assert self.process is not None
        if self.process.poll() is not None:
            raise FailedStart(f"exit code {self.process.returncode}, see {self._log}")

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def stop(self) -> None:
        """End it as an operator does. Raises TimeoutExpired if it goes on for a minute."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(STOP_S)

    def rss_mb(self) -> float:
        """Resident memory of the server process, its parser processes left out."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) / 1024

    def cpu_s(self) -> float:
        """CPU seconds of the service so far: the server, its parser processes, those that ended."""
        assert self.process is not None
        parents, ticks = dict[int, int](), dict[int, int]()
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):  # it ended meanwhile
                columns = stat.read_text().rpartition(")")[2].split()
                pid = int(stat.parent.name)
                parents[pid], ticks[pid] = int(columns[1]), sum(map(int, columns[11:15]))
        ours = {self.process.pid}
        while more := {pid for pid, parent in parents.items() if parent in ours} - ours:
            ours |= more
        return sum(ticks.get(pid, 0) for pid in ours) / os.sysconf("SC_CLK_TCK")

    def open_files(self) -> int:
        """Descriptors that the server process holds."""
        assert self.process is not None
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))
