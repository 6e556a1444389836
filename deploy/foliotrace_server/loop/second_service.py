"""A release that a second service answers: questions are forwarded to its base URL."""

import asyncio
from dataclasses import fields

import httpx

from foliotrace.catalog import ErrorCode
from foliotrace.errors import DeadlineExceeded, Unavailable
from foliotrace.model import Answer, Deadline
from foliotrace.model.answer import AnswerDetails
from foliotrace.ports import Clock
from foliotrace.query.workflow_events import AskQuestion
from foliotrace_server import bodies
from foliotrace_server.client.api_requests import ApiRequest, Unreachable
from foliotrace_server.http.identity import FORWARDED, authorization
from foliotrace_server.observing.trace_context import add_traceparent_for
from foliotrace_server.sections import is_private


class ReleaseUnavailable(Unavailable):
    """The second service of a release gives no answer."""

    code = ErrorCode.RELEASE_UNAVAILABLE


class SecondService:
    """Implements the query pipeline's `SecondService` over the REST API of another foliotrace.

    Each question is sent once, with the `Authorization` of its caller, who is whoever the second
    service says. Redirects are not followed: the key would go to another place.
    """

    def __init__(self, release: str, url: str, clock: Clock) -> None:
        self.url = url
        self._release = release
        self._clock = clock
        self._http = httpx.AsyncClient(
            base_url=url,
            timeout=None,  # noqa: S113 - the deadline of the question limits all of it
            trust_env=not is_private(url),
            event_hooks={"request": [add_traceparent_for(url)]},
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def answer(self, question: AskQuestion, deadline: Deadline) -> Answer:
        """Its answer. Raises ReleaseUnavailable, DeadlineExceeded, ServerProblem."""
        body = question.model_dump(mode="json", exclude={"stream"}, exclude_defaults=True)
        sender = authorization()
        request = ApiRequest(
            method="POST",
            path="/v1/query",
            body_type=bodies.AnswerBody,
            json=body,
            headers={FORWARDED: self._release} | ({"Authorization": sender} if sender else {}),
        )
        try:
            async with asyncio.timeout(deadline.remaining_s(self._clock.monotonic_s())):
                response = await self._http.request(
                    request.method, request.path, **request.arguments()
                )
        except TimeoutError as error:
            raise DeadlineExceeded(f"release {self._release} did not answer in time") from error
        except httpx.HTTPError as error:
            raise ReleaseUnavailable(f"release {self._release} cannot be reached") from error
        try:
            answered = request.read(response)
        except Unreachable as error:  # a redirect, or another kind of server
            raise ReleaseUnavailable(f"release {self._release}: {error.message}") from error
        details = {each.name: getattr(answered, each.name) for each in fields(AnswerDetails)}
        return Answer(text=answered.answer, **details)
