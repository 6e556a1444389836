"""A fake LangSmith on a socket, written from the wire of the real `langsmith` client."""

from tests.fakes.langsmith.service import MULTIPART, FakeLangSmith, running_fake_langsmith

__all__ = ["MULTIPART", "FakeLangSmith", "running_fake_langsmith"]
