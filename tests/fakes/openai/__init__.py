"""A language model in OpenAI's format on a socket, for the real `openai` client."""

from tests.fakes.openai.completion import Spent
from tests.fakes.openai.faults import LLMFault
from tests.fakes.openai.service import FakeOpenAI, running_fake_openai
from tests.fakes.wire import Fault

__all__ = ["FakeOpenAI", "Fault", "LLMFault", "Spent", "running_fake_openai"]
