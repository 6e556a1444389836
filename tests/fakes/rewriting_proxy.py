"""A proxy before a fake that rewrites its JSON replies: what no version of the fake would say."""

import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson

Rewrite = Callable[[str, str, Any], Any]
"""(method, path, reply) -> the reply to send instead."""

_OWN_HEADERS = ("host", "content-length", "accept-encoding", "connection")


@contextmanager
def rewriting(url: str, rewrite: Rewrite) -> Iterator[str]:
    """The URL of a proxy for the server at `url`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            kept = {k: v for k, v in self.headers.items() if k.lower() not in _OWN_HEADERS}
            body = self.rfile.read(length) if length else None
            request = urllib.request.Request(
                url + self.path, data=body, method=self.command, headers=kept
            )
            try:
                with urllib.request.urlopen(request) as reply:
                    status, content, kind = reply.status, reply.read(), reply.headers
            except urllib.error.HTTPError as error:
                status, content, kind = error.code, error.read(), error.headers
            if status == 200 and content[:1] in (b"{", b"["):
                path = self.path.partition("?")[0]
                content = orjson.dumps(rewrite(self.command, path, orjson.loads(content)))
            self.send_response(status)
            self.send_header("Content-Type", kind.get("content-type", "application/json"))
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass_on

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
