"""Ports stay as small as their callers' needs."""

import pytest

import foliotrace.ports as ports

PORTS = [
    port
    for name in ports.__all__
    if isinstance(port := getattr(ports, name), type) and getattr(port, "_is_protocol", False)
]


@pytest.mark.parametrize("port", PORTS, ids=lambda port: port.__name__)
def test_a_port_declares_at_most_eight_members(port: type) -> None:
    members = [name for name in vars(port) if not name.startswith("_")]
    assert len(members) <= 8, members


def test_all_ports_are_counted() -> None:
    assert {"DocumentWriter", "Retriever", "AnswerCache"} <= {port.__name__ for port in PORTS}
