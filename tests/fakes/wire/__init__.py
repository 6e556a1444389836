"""What both fake services share: a real socket, faults on the wire, a log of every request."""

from tests.fakes.wire.faults import Fault, FaultPlan, Planned
from tests.fakes.wire.gate import Gate
from tests.fakes.wire.log import RequestLog, RequestRecord
from tests.fakes.wire.socket_server import SocketServer

__all__ = ["Fault", "FaultPlan", "Gate", "Planned", "RequestLog", "RequestRecord", "SocketServer"]
