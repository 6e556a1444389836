"""Typed Python clients: our REST API and, through `.workflows`, the llama-agents protocol."""

from foliotrace_server.client.api_requests import ServerProblem, Unreachable
from foliotrace_server.client.asynchronous import AsyncFoliotraceClient
from foliotrace_server.client.synchronous import FoliotraceClient

__all__ = ["AsyncFoliotraceClient", "FoliotraceClient", "ServerProblem", "Unreachable"]
