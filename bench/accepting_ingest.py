"""An ingest endpoint that only accepts: for benchmarks that time its clients.

Run in a process of its own it takes about a tenth of the CPU of the fast client's (the fake under
`tests/` checks each run and takes half). `GET /received` says how many different runs it was sent,
read from the forms when it is asked, after the clock has stopped.
"""

import asyncio
import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.request import urlopen

_RUN: Final = re.compile(rb'name="post\.([0-9a-f-]{36})"')
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_INFO: Final = {
    "version": "0.0.0",
    "instance_flags": {"zstd_compression_enabled": False},
    "batch_ingest_config": {
        "use_multipart_endpoint": True,
        "size_limit": 100,
        "size_limit_bytes": 20_971_520,
        "scale_up_qsize_trigger": 1000,
        "scale_up_nthreads_limit": 16,
        "scale_down_nempty_trigger": 4,
    },
}
_MOST_BYTES: Final = 1 << 26


async def serve(delay_s: float) -> None:
    """Print the port, then accept until the process is ended."""
    bodies: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = _LENGTH.search(head)
                body = await reader.readexactly(int(length[1])) if length else b""
                status, reply = b"200 OK", b"{}"
                if head.startswith(b"POST /runs/multipart "):
                    bodies.append(body)
                    status = b"202 Accepted"
                    await asyncio.sleep(delay_s)
                elif head.startswith(b"GET /info "):
                    reply = json.dumps(_INFO).encode()
                elif head.startswith(b"GET /received "):
                    ids = {each for body in bodies for each in _RUN.findall(body)}
                    reply = json.dumps(len(ids)).encode()
                else:  # a client that goes elsewhere is not what is compared
                    status = b"404 Not Found"
                writer.write(
                    b"HTTP/1.1 %b\r\nContent-Type: application/json\r\n"
                    b"Content-Length: %d\r\n\r\n%b" % (status, len(reply), reply)
                )
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0, limit=_MOST_BYTES)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def accepting_ingest(delay_s: float = 0.0) -> Iterator[str]:
    """Its URL, for the length of the block; each ingest is answered `delay_s` seconds later."""
    command = [sys.executable, "-m", "bench.accepting_ingest", str(delay_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(running.stdout.readline())}"
        finally:
            running.terminate()


def received(url: str) -> int:
    """How many different runs arrived."""
    with urlopen(f"{url}/received") as reply:
        return int(json.load(reply))


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1])))
