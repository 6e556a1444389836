"""The LlamaIndex span handler (contract of llama-index-instrumentation 0.6).

The dispatcher swallows whatever a handler raises and the span with it, so each entry point hands
its faults to `SpanTree.report_fault`, which counts them and logs the first.
"""

import sys
import weakref
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import contextmanager
from inspect import BoundArguments
from types import AsyncGeneratorType, GeneratorType
from typing import Any, Final

from llama_index_instrumentation.span import BaseSpan, active_span_id
from llama_index_instrumentation.span_handlers import BaseSpanHandler
from opentelemetry import context as otel_context
from opentelemetry import trace
from pydantic import ConfigDict

from foliotrace_otel.spans import LlamaIndexObject, carried_context
from foliotrace_otel.spans.open_span import OpenSpan
from foliotrace_otel.spans.span_tree import SpanTree

_RESPONSES: Final = frozenset({"StreamingResponse", "AsyncStreamingResponse"})
_CHAT_RESPONSE: Final = "StreamingAgentChatResponse"
_MOST_TYPES: Final = 1024
_NEAR: Final = 12  # frames between a generator and a call it makes on its own object
EndSpan = Callable[[OpenSpan, BaseException | None], None]


class StreamSpans:
    """Which open spans wait for which generator.

    A bare generator cannot be wrapped (LlamaIndex hands it to the caller itself), so its span ends
    with the stream's own end event, or when the generator is collected. A `StreamingResponse` gets
    a thin generator that runs every step under the span, so that what it does lazily nests there.
    A chat engine's response is drained by a writer thread; the end of the writer is the stream's.
    """

    def __init__(self, end_span: EndSpan) -> None:
        self.waiting: dict[int, list[OpenSpan]] = {}
        self.no_streams: set[type] = {type(None)}  # seen as results: their names are not compared
        self._references: dict[int, weakref.ref[Any]] = {}
        self._end_span = end_span

    def hold(self, record: OpenSpan, result: object) -> bool:
        """Keep `record` open for the stream in `result`; False if there is none."""
        kind = type(result)
        if kind is GeneratorType or kind is AsyncGeneratorType:
            self._wait(record, result)
            return True
        if kind.__name__ in _RESPONSES:
            return self._hold_response(record, result)
        if kind.__name__ == _CHAT_RESPONSE:
            return self._hold_chat(record, result)
        if len(self.no_streams) >= _MOST_TYPES:
            self.no_streams.clear()
        self.no_streams.add(kind)
        return False

    def caller(self, instance: object) -> OpenSpan | None:
        """The streamed call on `instance` whose generator is making a call right now, if any.

        A model class that streams one method through another does so lazily, wherever it is read.
        """
        for key, records in tuple(self.waiting.items()):
            if records[0].instance_id != id(instance):
                continue
            reference = self._references.get(key)
            if reference is not None and _is_calling(reference()):
                return records[0]
        return None

    def over(self, stream: int, error: BaseException | None = None) -> None:
        """The stream with this id has ended: so have the spans that wait for it."""
        self._references.pop(stream, None)
        for record in self.waiting.pop(stream, ()):
            if not record.ended:
                self._end_span(record, error)

    def _wait(self, record: OpenSpan, stream: LlamaIndexObject) -> None:
        record.streaming = True
        key = id(stream)
        waiting = self.waiting.setdefault(key, [])
        waiting.append(record)
        if key not in self._references:
            # A stream dropped half read is closed by nobody: its collection ends the span.
            self._references[key] = weakref.ref(stream, lambda _: self.over(key))

    def _hold_chat(self, record: OpenSpan, response: LlamaIndexObject) -> bool:
        self._wait(record, response)
        if response.is_done or response.exception is not None:  # its writer was faster
            self.over(id(response), response.exception)
        return True

    def _hold_response(self, record: OpenSpan, response: LlamaIndexObject) -> bool:
        stream = getattr(response, "response_gen", None)
        if stream is None:
            return False
        wrapped: LlamaIndexObject = stream
        keys: list[int] = []
        if isinstance(stream, AsyncGeneratorType):
            if stream.ag_code is not StreamSpans._asteps.__code__:
                wrapped = self._asteps(stream, record, keys)
        elif isinstance(stream, GeneratorType):
            if stream.gi_code is not StreamSpans._steps.__code__:
                wrapped = self._steps(stream, record, keys)
        else:
            return False
        if wrapped is not stream:  # else an inner call has wrapped it
            keys += (id(stream), id(wrapped))
            response.response_gen = wrapped
        self._wait(record, wrapped)
        return True

    def _steps(
        self, stream: Generator[Any, Any, Any], record: OpenSpan, keys: list[int]
    ) -> Generator[Any, None, None]:
        error: BaseException | None = None
        try:
            while True:
                with _inside(record):
                    try:
                        token = next(stream)
                    except StopIteration:
                        return
                yield token
        except BaseException as failure:
            error = failure
            stream.close()
            raise
        finally:
            for key in keys:
                self.over(key, error)

    async def _asteps(
        self, stream: AsyncGenerator[Any, Any], record: OpenSpan, keys: list[int]
    ) -> AsyncGenerator[Any, None]:
        error: BaseException | None = None
        try:
            while True:
                with _inside(record):
                    try:
                        token = await anext(stream)
                    except StopAsyncIteration:
                        return
                yield token
        except BaseException as failure:
            error = failure
            await stream.aclose()
            raise
        finally:
            for key in keys:
                self.over(key, error)


def _is_calling(stream: LlamaIndexObject) -> bool:
    """Whether the generator `stream` is among the callers of what runs now."""
    # A generator runs in its reader's context, so the call stack alone says who is calling.
    own = getattr(stream, "ag_frame", None) or getattr(stream, "gi_frame", None)
    frame = sys._getframe() if own is not None else None
    for _ in range(_NEAR):
        if frame is None or frame is own:
            break
        frame = frame.f_back
    return frame is not None and frame is own


@contextmanager
def _inside(record: OpenSpan) -> Iterator[None]:
    """Run under the record's span, as OTel and as LlamaIndex see it."""
    visible = record.visible
    context = visible.context if visible is not None else None
    token = otel_context.attach(context) if context is not None else None
    id_token = active_span_id.set(record.id)
    try:
        yield
    finally:
        active_span_id.reset(id_token)
        if token is not None:
            token.var.reset(token)  # otel_context.detach would log an error instead of raising


class OTelSpanHandler(BaseSpanHandler[BaseSpan]):
    """Turns LlamaIndex dispatcher spans into OTel spans.

    Register on the root dispatcher: `get_dispatcher().add_span_handler(handler)`. Closing it ends
    nothing but what LlamaIndex drops; the tracer provider belongs to its creator.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)
    tree: SpanTree
    streams: StreamSpans

    def __init__(self, tree: SpanTree) -> None:
        streams = StreamSpans(
            lambda record, error: tree.fail(record, error) if error else tree.end(record)
        )
        # Past BaseSpanHandler, whose own __init__ sets up the span store and lock we do not use.
        super(BaseSpanHandler, self).__init__(tree=tree, streams=streams)
        tree.streaming_caller = streams.caller
        self.__dict__["open_spans"] = tree.open  # Dispatcher.shutdown() drops what it finds here
        self._lock = None

    @classmethod
    def class_name(cls) -> str:
        """LlamaIndex's name for the handler class."""
        return "OTelSpanHandler"

    def span_enter(
        self,
        id_: str,
        bound_args: BoundArguments,
        instance: LlamaIndexObject = None,
        parent_id: str | None = None,
        tags: dict[str, Any] | None = None,
        **kwargs: object,
    ) -> None:
        """Open the span, or contract it into its parent's."""
        tree = self.tree
        try:
            if tree.content is None:
                tree.enter(id_, instance, parent_id, tags)
            else:
                above = trace.get_current_span()
                tree.enter(id_, instance, parent_id, tags)
                tree.content.entered(tree.open.get(id_), bound_args.arguments, above, instance)
        except Exception as error:  # noqa: BLE001 - telemetry never breaks the program it watches
            self.tree.report_fault(error)

    def span_exit(
        self,
        id_: str,
        bound_args: BoundArguments,
        instance: LlamaIndexObject = None,
        result: LlamaIndexObject = None,
        **kwargs: object,
    ) -> None:
        """End the span, or leave it open for the stream that `result` is."""
        try:
            tree, streams = self.tree, self.streams
            if tree.content is not None:
                tree.content.left(tree.open.get(id_), result)
            record = tree.leave(id_)
            if record is not None and (
                type(result) in streams.no_streams or not streams.hold(record, result)
            ):
                tree.end(record)
            if streams.waiting and id(instance) in streams.waiting:  # a chat response's writer
                streams.over(id(instance))
        except Exception as error:  # noqa: BLE001 - telemetry never breaks the program it watches
            self.tree.report_fault(error)

    def span_drop(
        self,
        id_: str,
        bound_args: BoundArguments,
        instance: LlamaIndexObject = None,
        err: BaseException | None = None,
        **kwargs: object,
    ) -> None:
        """End the span of a call that raised."""
        try:
            self.tree.drop(id_, err)
            if id(instance) in self.streams.waiting:
                self.streams.over(id(instance), err)
        except Exception as error:  # noqa: BLE001 - telemetry never breaks the program it watches
            self.tree.report_fault(error)

    def capture_propagation_context(self) -> dict[str, Any]:
        """W3C context and allowed baggage, serialisable, under this package's own key."""
        return carried_context.capture()

    def restore_propagation_context(self, context: dict[str, Any]) -> None:
        """Continue the captured trace in this task."""
        carried_context.restore(context)

    def new_span(self, *args: object, **kwargs: object) -> BaseSpan | None:
        """Unused: `span_enter` is overridden."""
        return None

    def prepare_to_exit_span(self, *args: object, **kwargs: object) -> BaseSpan | None:
        """Unused: `span_exit` is overridden."""
        return None

    def prepare_to_drop_span(self, *args: object, **kwargs: object) -> BaseSpan | None:
        """Unused: `span_drop` is overridden."""
        return None
