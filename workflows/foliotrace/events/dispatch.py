"""Opening stage spans, marking attempts and emitting events on LlamaIndex's dispatcher."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from inspect import BoundArguments, Signature
from itertools import count
from typing import ClassVar, Final, Literal, TypeAlias
from uuid import uuid4

from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.base import BaseEvent
from llama_index_instrumentation.dispatcher import active_instrument_tags
from llama_index_instrumentation.span import active_span_id
from pydantic import ConfigDict, Field

from foliotrace.events.instruments import Measurement

NAMESPACE: Final = "foliotrace"
"""Prefix of every attribute and metric of this product; the observer derives its own from it."""

CALL_TAG: Final = f"{NAMESPACE}.call"
ATTEMPT_TAG: Final = f"{NAMESPACE}.attempt"

RecordedAs: TypeAlias = Literal["span", "run", "event", "run_description"]
_dispatcher = get_dispatcher()  # the root, where observers register: one look-up less a call
_ANY_ARGUMENTS = Signature()
_NO_ARGUMENTS = _ANY_ARGUMENTS.bind()


class OpenCall:
    """A call whose span is open. Set `result` to what it returns, for observers to see."""

    __slots__ = ("result",)

    def __init__(self) -> None:
        self.result: object = None


def stage(name: str, **arguments: object) -> AbstractContextManager[OpenCall]:
    """Run a stage of a journey under a dispatcher span `stage.<name>`."""
    return span(f"stage.{name}", None, **arguments)


@contextmanager
def span(function: str, instance: object = None, **arguments: object) -> Iterator[OpenCall]:
    """Run a call of `function` on `instance` under a dispatcher span.

    Arguments and result are handed to LlamaIndex's span handlers as those of any traced call are;
    ours exports them only where content is switched on.
    """
    call = OpenCall()
    bound = BoundArguments(_ANY_ARGUMENTS, arguments) if arguments else _NO_ARGUMENTS
    span_id = f"{function}-{_new_id()}"
    parent_id = active_span_id.get()
    token = active_span_id.set(span_id)
    _dispatcher.span_enter(
        id_=span_id,
        bound_args=bound,
        instance=instance,
        parent_id=parent_id,
        tags=active_instrument_tags.get(),
    )
    try:
        yield call
    except BaseException as error:
        _dispatcher.span_drop(id_=span_id, bound_args=bound, instance=instance, err=error)
        raise
    else:
        _dispatcher.span_exit(id_=span_id, bound_args=bound, instance=instance, result=call.result)
    finally:
        active_span_id.reset(token)


@contextmanager
def attempt(call: str, number: int) -> Iterator[None]:
    """Attempt `number`, from 1, of a call that may be repeated; `call` is a name for it alone.

    Observers see both as instrument tags of the spans inside.
    """
    tags = {CALL_TAG: call, ATTEMPT_TAG: number}
    token = active_instrument_tags.set({**active_instrument_tags.get(), **tags})
    try:
        yield
    finally:
        active_instrument_tags.reset(token)


_process_part = str(uuid4())[:-12]
_counter = count(int(uuid4().hex[:6], 16) << 24)


def _new_id() -> str:
    """An id as long as LlamaIndex's uuids: a random part for the process, then a counter.

    A uuid4 asks the kernel for 16 random bytes, which costs more than the rest of opening a span.
    """
    return f"{_process_part}{next(_counter):012x}"


class DomainEvent(BaseEvent):
    """Base class of everything the journeys report to observers.

    `span_attributes` maps fields to the attributes of the span on which the event happened; a field
    that is None is left out. A name with a dot goes on the wire as it is; a name without one is a
    concept (`request_model`) that the observer names by the conventions it follows.

    `recorded_as`: "span" sets the attributes on that span; "run" on the span of the run it belongs
    to; "event" adds a span event that holds them, for what may happen several times on one span;
    "run_description" says whose run it is, for observers that export content.
    """

    # Deferred: validators are built with the first event of a class, not when the CLI starts.
    model_config = ConfigDict(frozen=True, defer_build=True)
    span_attributes: ClassVar[Mapping[str, str]] = {}
    recorded_as: ClassVar[RecordedAs] = "span"

    timestamp: datetime = Field(default_factory=datetime.now)
    id_: str = Field(default_factory=_new_id)

    def measurements(self) -> Iterable[Measurement]:
        """The metrics this event moves, counted whether or not its trace is sampled."""
        return ()

    @classmethod
    def class_name(cls) -> str:
        """LlamaIndex's name for the event class."""
        return cls.__name__


def joined(words: Iterable[str]) -> str | None:
    """Several words in one attribute, for search in a trace browser; None for none."""
    return ",".join(words) or None


def emit(event: DomainEvent) -> None:
    """Hand `event` to the observers, on the span that is open now."""
    _dispatcher.event(event)
