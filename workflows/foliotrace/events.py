"""What happened, for observers: stage spans and events on LlamaIndex's own dispatcher.

Any LlamaIndex span handler sees the stages; any event handler sees the events. Each event offers
`span_attributes()`, so an observer needs to know nothing of foliotrace. No query or document text.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from inspect import Signature
from itertools import count
from typing import Final, TypeAlias
from uuid import uuid4

from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.base import BaseEvent
from llama_index_instrumentation.dispatcher import active_instrument_tags
from llama_index_instrumentation.span import active_span_id
from pydantic import Field

Attribute: TypeAlias = str | int | float | bool

CALL_TAG: Final = "foliotrace.call"
ATTEMPT_TAG: Final = "foliotrace.attempt"

_dispatcher = get_dispatcher(__name__)
_NO_ARGUMENTS = Signature().bind()


def stage(name: str) -> AbstractContextManager[str]:
    """Run a stage of a journey under a dispatcher span `stage.<name>`; gives the span's id."""
    return span(f"stage.{name}")


@contextmanager
def span(function: str, instance: object = None) -> Iterator[str]:
    """Run a call of `function` on `instance` under a dispatcher span; gives the span's id."""
    span_id = f"{function}-{_new_id()}"
    parent_id = active_span_id.get()
    token = active_span_id.set(span_id)
    _dispatcher.span_enter(
        id_=span_id,
        bound_args=_NO_ARGUMENTS,
        instance=instance,
        parent_id=parent_id,
        tags=active_instrument_tags.get(),
    )
    try:
        yield span_id
    except BaseException as error:
        _dispatcher.span_drop(id_=span_id, bound_args=_NO_ARGUMENTS, instance=instance, err=error)
        raise
    else:
        _dispatcher.span_exit(id_=span_id, bound_args=_NO_ARGUMENTS, instance=instance)
    finally:
        active_span_id.reset(token)


@contextmanager
def attempt(call: str, number: int) -> Iterator[None]:
    """Attempt `number`, from 1, of a call that may be repeated; `call` is a name for it alone.

    Observers see both as instrument tags of the spans inside.
    """
    told = {CALL_TAG: call, ATTEMPT_TAG: number}
    token = active_instrument_tags.set({**active_instrument_tags.get(), **told})
    try:
        yield
    finally:
        active_instrument_tags.reset(token)


_process = str(uuid4())[:-12]
_counted = count(int(uuid4().hex[:6], 16) << 24)


def _new_id() -> str:
    """As long as LlamaIndex's uuids, unique as they are: a process' own part and a count.

    Asking the kernel for 16 bytes costs more than everything else that opens a span.
    """
    return f"{_process}{next(_counted):012x}"


class Happened(BaseEvent):
    """Something an observer may want to know, on the span where it happened.

    `name` is a fixed word with a dot ("query.settled"); `attributes` go on the span as they are.
    """

    id_: str = Field(default_factory=_new_id)
    name: str
    attributes: dict[str, Attribute]

    def span_attributes(self) -> Mapping[str, Attribute]:
        """The attributes for the span named by `span_id`."""
        return self.attributes

    @classmethod
    def class_name(cls) -> str:
        """LlamaIndex's name for the event class."""
        return "Happened"


def tell(name: str, **attributes: Attribute | None) -> None:
    """Say that `name` happened, with its attributes (`__` stands for a dot; None is left out)."""
    _dispatcher.event(
        Happened(
            name=name,
            attributes={
                key.replace("__", "."): value
                for key, value in attributes.items()
                if value is not None
            },
        )
    )
