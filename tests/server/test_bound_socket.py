"""An answer is not held back by Nagle's algorithm: a bound socket once cost each answer 40 ms."""

import socket

from foliotrace_server.serve import bind
from foliotrace_server.settings import Settings


def test_small_answers_leave_at_once() -> None:
    settings = Settings()
    server = settings.server.model_copy(update={"port": 0})
    with bind(settings.model_copy(update={"server": server})) as listening:
        assert listening.proto == socket.IPPROTO_TCP
        assert listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
