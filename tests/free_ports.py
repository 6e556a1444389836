"""Ports for child processes of the tests."""

import random
import socket

_given: set[int] = set()


def free_port() -> int:
    """A TCP port of the loopback interface nobody listens on.

    Below the range the kernel takes ports of outgoing connections from: a port of that range can
    be gone by the time the child binds it.
    """
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            if port in _given or probe.connect_ex(("127.0.0.1", port)) == 0:
                continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port
