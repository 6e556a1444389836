"""`telemetry.detail = "all"`: over HTTP the exported tree is LlamaIndex's own, span for span."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from llama_index_instrumentation import get_dispatcher
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from tests.otel.recorded_spans import LlamaIndexTree, shape
from tests.otlp_sink import OtlpSink, attributes_of
from tests.server.observed_service import observed

pytestmark = pytest.mark.anyio


@pytest.fixture
def truth() -> Iterator[LlamaIndexTree]:
    """What LlamaIndex's dispatcher tells a handler beside ours."""
    truth, root = LlamaIndexTree(), get_dispatcher()
    before = list(root.span_handlers)
    root.span_handlers = [*before, truth]
    yield truth
    root.span_handlers = [h for h in root.span_handlers if h is not truth]


def exported(sink: OtlpSink) -> list[tuple[str, ...]]:
    """LlamaIndex's part of what arrived, as name paths; a stage under LlamaIndex's name for it."""
    ours = [
        span for span in sink.spans if span.kind in (Span.SPAN_KIND_INTERNAL, Span.SPAN_KIND_CLIENT)
    ]
    parents = {span.span_id: span.parent_span_id for span in ours}
    names = {
        span.span_id: attributes_of(span).get("code.function.name", f"stage.{span.name}")
        for span in ours
    }
    return shape(parents, names)


@pytest.mark.parametrize("stream", [False, True])
async def test_the_service_exports_every_span_that_llamaindex_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, truth: LlamaIndexTree, stream: bool
) -> None:
    async with observed(tmp_path, monkeypatch, telemetry={"detail": "all"}) as service:
        document = (await service.ingest())["document"]
        assert (await service.ask(stream=stream)).status_code == 200
        asked = {
            "document_id": document["id"],
            "schema": {"type": "object", "properties": {"days": {"type": "integer"}}},
        }
        job = (await service.client.post("/v1/extractions", json=asked)).json()["job"]
        await service.ended(job["id"])
    made = {id_: id_[:-37] for id_ in truth.parents}
    for workflow in ("QueryWorkflow", "IngestWorkflow", "ExtractWorkflow"):
        assert [name for name in made.values() if name.startswith(f"{workflow}.")]
    assert exported(service.sink) == shape(truth.parents, made)
