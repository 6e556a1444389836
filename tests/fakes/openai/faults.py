"""What can go wrong with a language model, beside what can go wrong on the wire."""

from typing import ClassVar

from tests.fakes.wire import Fault


class LLMFault:
    """Faults for `FakeOpenAI.fail`. Wire faults (`Fault.hang` ...) work as well."""

    bad_key: ClassVar[Fault] = Fault.http(401, "invalid_api_key: Incorrect API key provided")
    forbidden: ClassVar[Fault] = Fault.http(403, "unsupported_country: Not available here")
    context_length: ClassVar[Fault] = Fault.http(
        400, "context_length_exceeded: This model's maximum context length is exceeded"
    )
    quota: ClassVar[Fault] = Fault.http(429, "insufficient_quota: You exceeded your current quota")
    overloaded: ClassVar[Fault] = Fault.http(503, "overloaded: The engine is overloaded")
    refusal: ClassVar[Fault] = Fault.behaviour("refusal")
    content_filter: ClassVar[Fault] = Fault.behaviour("content_filter")
    empty_answer: ClassVar[Fault] = Fault.behaviour("empty_answer")
    invalid_json: ClassVar[Fault] = Fault.behaviour("invalid_json")
    wrong_citations: ClassVar[Fault] = Fault.behaviour("wrong_citations")
    unsupported_citations: ClassVar[Fault] = Fault.behaviour("unsupported_citations")
    no_citations: ClassVar[Fault] = Fault.behaviour("no_citations")
    hallucinated: ClassVar[Fault] = Fault.behaviour("hallucinated")
    no_usage: ClassVar[Fault] = Fault.behaviour("no_usage")
    endless: ClassVar[Fault] = Fault.behaviour("endless", amount=300)  # whatever max_tokens says
    stream_error: ClassVar[Fault] = Fault.behaviour("stream_error", amount=3)
    stream_garbage: ClassVar[Fault] = Fault.behaviour("stream_garbage", amount=3)

    @staticmethod
    def rate_limited(retry_after: float | str | None = 1) -> Fault:
        """429 of the kind that passes; `retry_after` in seconds or as an HTTP date."""
        return Fault.http(429, "rate_limit_exceeded: Slow down", retry_after=retry_after)

    @staticmethod
    def slow_tokens(seconds: float) -> Fault:
        """`seconds` before each token."""
        return Fault.behaviour("slow_tokens", seconds=seconds)

    @staticmethod
    def stream_cut(after: int = 3) -> Fault:
        """The connection is reset after so many chunks of text."""
        return Fault.behaviour("stream_cut", amount=after)

    @staticmethod
    def stream_stops(after: int = 3) -> Fault:
        """The stream ends cleanly after so many chunks, without an end reason and `[DONE]`."""
        return Fault.behaviour("stream_stops", amount=after)

    @staticmethod
    def stream_hangs(after: int = 3) -> Fault:
        """Nothing comes any more after so many chunks."""
        return Fault.behaviour("stream_hangs", amount=after)
