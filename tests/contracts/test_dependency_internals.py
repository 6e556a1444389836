"""Private names of llama-index-workflows, llama-index-instrumentation and liteparse that we use.

Those of llama-agents are in test_llama_agents_internals.py, those of the OpenTelemetry SDK in
tests/otel/test_sdk_internals.py. `.ci/newest` runs all three against the newest versions allowed.
"""

from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.dispatcher import Dispatcher, active_instrument_tags
from llama_index_instrumentation.span import active_span_id
from workflows import Workflow, step
from workflows.events import StartEvent, StopEvent

from foliotrace.adapters.local.readers.pdf.liteparse_native import NO_PAGE, text_parser
from foliotrace_otel.spans.span_naming import has_visible_steps


class OneStep(Workflow):
    @step
    async def only(self, ev: StartEvent) -> StopEvent:
        return StopEvent()


class TwoSteps(OneStep):
    @step
    async def other(self, ev: StartEvent) -> StopEvent:
        return StopEvent()


def test_a_workflow_of_one_step_hides_it() -> None:
    class Alone(Workflow):
        @step
        async def only(self, ev: StartEvent) -> StopEvent:
            return StopEvent()

    assert not has_visible_steps(Alone, "__x_stages__")


def test_a_workflow_lists_its_steps_and_numbers_their_changes() -> None:
    workflow = OneStep()
    assert list(workflow._get_steps()) == ["only"]
    before = OneStep._step_functions_version

    @step(workflow=OneStep)
    async def later(ev: StartEvent) -> StopEvent:
        return StopEvent()

    assert OneStep._step_functions_version > before


def test_a_step_is_recognised_by_its_configuration() -> None:
    assert hasattr(OneStep.only, "_step_config")
    assert has_visible_steps(TwoSteps, "__x_stages__")


def test_the_dispatcher_keeps_its_handlers_and_context_where_we_look() -> None:
    root = get_dispatcher()
    assert isinstance(root, Dispatcher)
    assert isinstance(root.span_handlers, list)
    assert isinstance(root.event_handlers, list)
    assert active_span_id.get() is None
    assert active_instrument_tags.get() == {}


def test_liteparse_counts_and_parses_pages_under_the_names_we_use() -> None:
    content = b"\n".join(PDF)
    assert text_parser(NO_PAGE, structured=False).parse_bytes(content).total_pages == 1
    (page,) = text_parser("1", structured=True).parse_bytes(content).pages
    assert (page.page_num, page.width, page.height) == (1, 200.0, 100.0)
    words = [word for item in page.text_items for word in item.words]
    assert [word.text for word in words] == ["Thirty", "days"]
    assert all(word.width > 0 and word.height > 0 and word.x >= 0 for word in words)
    assert page.blocks is not None
    assert [(block.kind, block.bbox is not None) for block in page.blocks]


TEXT = b"BT /F1 12 Tf 20 50 Td (Thirty days) Tj ET"
PDF = (
    b"%PDF-1.4",
    b"1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj",
    b"2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj",
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 100]/Contents 4 0 R"
    b"/Resources<</Font<</F1 5 0 R>>>>>>endobj",
    b"4 0 obj<</Length %d>>stream\n%b\nendstream endobj" % (len(TEXT), TEXT),
    b"5 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj",
    b"trailer<</Root 1 0 R>>",
    b"%%EOF",
)
