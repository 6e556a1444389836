"""The LlamaIndex span handler (contract of llama-index-instrumentation 0.6).

The dispatcher swallows whatever a handler raises and the span with it, so each entry point hands
its faults to `SpanTree.report_fault`, which counts them and logs the first.
"""

from inspect import BoundArguments
from typing import Any

from llama_index_instrumentation.span import BaseSpan
from llama_index_instrumentation.span_handlers import BaseSpanHandler
from pydantic import ConfigDict

from foliotrace_otel.spans import LlamaIndexObject, propagation
from foliotrace_otel.spans.span_tree import SpanTree
from foliotrace_otel.spans.stream_spans import StreamSpans


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
        try:
            self.tree.enter(id_, instance, parent_id, tags)
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
            record = self.tree.leave(id_)
            if record is not None and (result is None or not self.streams.hold(record, result)):
                self.tree.end(record)
            if id(instance) in self.streams.waiting:  # the writer of a chat engine's response
                self.streams.over(id(instance))
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
        return propagation.capture()

    def restore_propagation_context(self, context: dict[str, Any]) -> None:
        """Continue the captured trace in this task."""
        propagation.restore(context)

    def new_span(self, *args: object, **kwargs: object) -> BaseSpan | None:
        """Unused: `span_enter` is overridden."""
        return None

    def prepare_to_exit_span(self, *args: object, **kwargs: object) -> BaseSpan | None:
        """Unused: `span_exit` is overridden."""
        return None

    def prepare_to_drop_span(self, *args: object, **kwargs: object) -> BaseSpan | None:
        """Unused: `span_drop` is overridden."""
        return None
