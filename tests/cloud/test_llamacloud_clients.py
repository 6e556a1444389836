"""The calls people know: here without a key, in the cloud with one, in both worlds of Python."""

import gc
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from pydantic import BaseModel, Field
from tests.fakes.llamacloud import FakeLlamaCloud, Fault, running_fake_llamacloud
from tests.fakes.openai import running_fake_openai
from tests.lazy_sdk import lazy, lazy_call

from foliotrace.budget import UnknownPrice
from foliotrace.errors import InvalidRequest, Misconfigured, ParserUnavailable, RecordInvalid
from foliotrace_server.settings import Settings

clients = lazy("foliotrace.llamacloud")
Document = lazy_call("llama_index.core.schema:Document")
ClientOptions = lazy_call("foliotrace.llamacloud.embedded:ClientOptions")
wait_for = lazy_call("foliotrace.llamacloud.facade:wait_for")
ModelAccess = lazy_call("foliotrace.adapters.llamaindex.providers:ModelAccess")
language_model = lazy_call("foliotrace.adapters.llamaindex.providers:language_model")

BULLETIN = Path(__file__).parents[2] / "examples/documents/larkfield-bulletin-autumn-2026.pdf"
INVOICE = "Invoice\nInvoice number: INV-204\nInvoice date: 2026-03-14\nTotal: 412.50 EUR\n"


class Invoice(BaseModel):
    invoice_number: str | None = Field(description="Invoice number")
    invoice_date: date | None = Field(description="Invoice date")


class Strict(BaseModel):
    shoe_size: int


@pytest.fixture
def cloud() -> Iterator[FakeLlamaCloud]:
    with running_fake_llamacloud() as fake:
        yield fake


def invoice(folder: Path) -> Path:
    path = folder / "invoice.txt"
    path.write_text(INVOICE)
    return path


# --- LlamaParse ----------------------------------------------------------------------------


def test_without_a_key_pages_are_read_here() -> None:
    with clients.LlamaParse() as parser:
        pages = parser.load_data(BULLETIN)
    assert [p.metadata["page"] for p in pages] == [*range(1, len(pages) + 1)]
    assert "28 days" in pages[0].text
    assert pages[0].metadata["engine"].startswith("liteparse")
    assert pages[0].metadata["file_name"] == BULLETIN.name
    assert len({p.id_ for p in pages}) == len(pages)


def test_bytes_and_streams_are_read_under_the_name_that_is_given() -> None:
    name = {"file_name": BULLETIN.name}
    with clients.LlamaParse() as parser, BULLETIN.open("rb") as stream:
        pages = parser.load_data(BULLETIN)
        assert [p.text for p in parser.load_data(BULLETIN.read_bytes(), name)] == [
            p.text for p in pages
        ]
        assert [p.id_ for p in parser.load_data(stream)] == [p.id_ for p in pages]
        with pytest.raises(InvalidRequest, match="need a name"):
            parser.load_data(b"%PDF-1.7")


def test_only_the_target_pages_are_read_and_bought(cloud: FakeLlamaCloud) -> None:
    with clients.LlamaParse(
        cloud.api_key, where=cloud.url, tier="fast", target_pages="1"
    ) as parser:
        (page,) = parser.load_data(BULLETIN)
    assert page.metadata["page"] == 2
    assert cloud.billing.credits == 1
    with pytest.raises(Misconfigured, match="target_pages"):
        clients.LlamaParse(target_pages="2-1")


def test_json_and_parse_results_hold_the_pages_with_their_blocks() -> None:
    with clients.LlamaParse() as parser:
        (told,) = parser.get_json_result(BULLETIN)
        result = parser.parse(str(BULLETIN))
        (whole,) = result.get_text_documents(split_by_page=False)
    assert [page["page"] for page in told["pages"]] == [1, 2]
    assert "28 days" in told["pages"][0]["text"]
    assert any(item["bbox"] for item in told["pages"][0]["items"])
    assert [page.number for page in result.pages] == [1, 2]
    assert all(page.text in whole.text for page in result.pages)


def test_a_client_that_is_dropped_closes_what_it_opened(tmp_path: Path) -> None:
    parser = clients.LlamaParse(folder=tmp_path / "kept")
    parser.load_data(invoice(tmp_path))
    del parser
    gc.collect()
    with clients.LlamaParse(folder=tmp_path / "kept") as again:  # the folder is free
        assert again.load_data(invoice(tmp_path))


def test_with_a_key_pages_are_bought_once_and_say_so(cloud: FakeLlamaCloud) -> None:
    with clients.LlamaParse(cloud.api_key, where=cloud.url, tier="fast") as parser:
        first = parser.load_data([str(BULLETIN)], {"shelf": "club"})
        again = parser.load_data([str(BULLETIN)], {"shelf": "club"})
    assert first[0].metadata["engine"].startswith("llamaparse fast")
    assert first[0].metadata["shelf"] == "club"
    assert [p.id_ for p in first] == [p.id_ for p in again]
    assert cloud.billing.jobs() == 1


def test_a_dead_cloud_is_told_on_each_page(cloud: FakeLlamaCloud) -> None:
    cloud.fail("POST /api/v2/parse", Fault.unauthorized)
    with clients.LlamaParse(cloud.api_key, where=cloud.url, tier="fast") as parser:
        pages = parser.load_data(BULLETIN)
    assert {p.metadata["degraded_from"] for p in pages} == {"llamaparse fast 2026-06-15"}
    with (
        clients.LlamaParse(cloud.api_key, where=cloud.url, tier="fast", fall_back=False) as alone,
        pytest.raises(ParserUnavailable),
    ):
        alone.load_data(BULLETIN)


@pytest.mark.anyio
async def test_both_worlds_work_inside_a_running_loop() -> None:
    with clients.LlamaParse() as parser:
        plain = parser.load_data(BULLETIN)
        awaited = await parser.aload_data(BULLETIN)
    assert [p.text for p in plain] == [p.text for p in awaited]


def test_former_arguments_are_translated_warned_about_or_refused() -> None:
    with pytest.warns(clients.ArgumentWithoutEffect, match="result_type"):
        clients.LlamaParse(result_type="markdown")
    with pytest.warns(clients.ArgumentWithoutEffect, match="custom_prompt"):
        clients.LlamaParse(parsing_instruction="Read stamps.")
    with pytest.raises(Misconfigured) as refused:
        clients.LlamaParse(premium_mode=True)
    assert "agentic_plus" in refused.value.hint
    with pytest.raises(Misconfigured) as unknown:
        clients.LlamaParse(parsing_instructoin="Read stamps.")
    assert "parsing_instruction" in unknown.value.hint
    with pytest.raises(Misconfigured):
        clients.LlamaParse(where="eu")


def test_the_former_instruction_reaches_the_cloud_s_prompt(cloud: FakeLlamaCloud) -> None:
    with clients.LlamaParse(
        cloud.api_key, base_url=cloud.url, parsing_instruction="Read stamps."
    ) as parser:
        parser.load_data(BULLETIN)
    (placed,) = cloud.requests.find("POST /api/v2/parse")
    assert placed.body["agentic_options"] == {"custom_prompt": "Read stamps."}


def test_delete_after_use_leaves_nothing_in_the_cloud(cloud: FakeLlamaCloud) -> None:
    with clients.LlamaParse(
        cloud.api_key, where=cloud.url, tier="fast", delete_after_use=True
    ) as parser:
        assert parser.load_data(BULLETIN)
    assert cloud.count("DELETE */files/*") == 1
    assert cloud.count("DELETE *parse/*") == 1


def test_a_missing_file_is_named() -> None:
    with clients.LlamaParse() as parser, pytest.raises(InvalidRequest, match=r"nothing\.pdf"):
        parser.load_data("/tmp/nothing.pdf")


# --- LlamaExtract --------------------------------------------------------------------------


def test_records_come_typed_and_cited_without_a_key(tmp_path: Path) -> None:
    with clients.LlamaExtract() as extractor:
        (record,) = extractor.extract(documents=[invoice(tmp_path)], schema=Invoice)
        (extraction,) = extractor.extract_with_metadata([invoice(tmp_path)], Invoice)
    assert (record.invoice_number, record.invoice_date) == ("INV-204", date(2026, 3, 14))
    number = next(f for f in extraction.fields if f.pointer == "/invoice_number")
    assert number.citations[0].quote == "INV-204"


def test_documents_are_extracted_from_by_their_text_or_their_file() -> None:
    with clients.LlamaParse() as parser, clients.LlamaExtract() as extractor:
        pages = parser.load_data(BULLETIN)
        assert len(extractor.extract(pages, Invoice)) == 1
        (record,) = extractor.extract(Document(text=INVOICE), Invoice.model_json_schema())
    assert record["invoice_number"] == "INV-204"


def test_with_a_key_the_cloud_extracts_and_a_dead_one_is_marked(
    cloud: FakeLlamaCloud, tmp_path: Path
) -> None:
    with clients.LlamaExtract(cloud.api_key, where=cloud.url) as extractor:
        (bought,) = extractor.extract_with_metadata(invoice(tmp_path), Invoice)
    assert bought.record["invoice_number"] == "INV-204"
    assert {f.method for f in bought.fields} == {"cloud"}
    cloud.fail("POST /api/v2/extract", Fault.payment_required)
    with clients.LlamaExtract(cloud.api_key, where=cloud.url) as extractor:
        (fallen,) = extractor.extract_with_metadata(Document(text=f"{INVOICE} "), Invoice)
    assert {f.method for f in fallen.fields} == {"rules"}
    assert fallen.degradation.level == 2
    assert "cloud_llamacloud_out_of_credits" in fallen.degradation.reasons


def test_a_record_that_misses_its_schema_is_an_error_and_can_still_be_seen(
    tmp_path: Path,
) -> None:
    with clients.LlamaExtract() as extractor:
        with pytest.raises(RecordInvalid):
            extractor.extract(invoice(tmp_path), Strict)
        (seen,) = extractor.extract_with_metadata(invoice(tmp_path), Strict)
    assert not seen.valid


# --- LlamaCloudIndex -----------------------------------------------------------------------


def test_an_index_here_answers_retrieves_and_forgets(tmp_path: Path) -> None:
    with clients.LlamaCloudIndex.create("club", folder=tmp_path / "index") as index:
        (paper, note) = index.add_documents([BULLETIN, Document(text="The bar opens at noon.")])
        answer = index.query("When does the bar open?")
        assert "noon" in str(answer)
        assert answer.source_nodes[0].metadata["document_id"] == note
        assert answer.metadata["degradation"]["level"] == 0
        assert index.as_retriever(similarity_top_k=2).retrieve("bar opens")
        assert "noon" in str(index.as_query_engine().query("When does the bar open?"))
        index.delete(note)
        found = index.as_retriever().retrieve("bar opens noon")
        assert {n.metadata["document_id"] for n in found} <= {paper}
    with clients.LlamaCloudIndex("club", folder=tmp_path / "index") as again:
        assert again.query("What is D-ELKA?").source_nodes


def test_the_managed_index_answers_and_its_outage_is_marked(cloud: FakeLlamaCloud) -> None:
    text = Document(text="Unleaded costs 2.31 EUR per litre at the pump.")
    with clients.LlamaCloudIndex.from_documents(
        text, api_key=cloud.api_key, where=cloud.url
    ) as index:
        assert index.behind is None
        healthy = index.query("What does unleaded cost?").metadata["degradation"]
        assert (healthy["level"], healthy["retrieval"]) == (0, "managed")
        cloud.die()
        down = index.query("What does unleaded cost per litre?")
        assert "2.31" in str(down)
        assert down.metadata["degradation"]["level"] == 2
        index.add_documents(Document(text="The runway is 780 metres long."))
        assert index.behind is not None
        assert "780" in str(index.query("How long is the runway?"))
        cloud.revive()
        index.add_documents([])
        assert index.behind is None
        assert not index.reconcile()


def test_arguments_of_former_indexes_are_warned_about() -> None:
    with pytest.warns(clients.ArgumentWithoutEffect, match="chunk_size"):
        clients.LlamaCloudIndex("club", chunk_size=512)
    with pytest.raises(Misconfigured, match="pipeline_id"):
        clients.LlamaCloudIndex("club", pipeline_id="p-1")


def test_an_llm_writes_the_answer(tmp_path: Path) -> None:
    import httpx

    with running_fake_openai() as fake:
        http = httpx.AsyncClient()
        access = ModelAccess(
            provider="openai", model="gpt-4o-mini", api_base=fake.url, api_key="sk-fake"
        )
        with clients.LlamaCloudIndex("club", llm=language_model(access, http)) as index:
            index.add_documents(Document(text="The bar opens at noon. It closes at nine."))
            answer = index.query("When does the bar open?")
        wait_for(http.aclose())
        assert fake.count() == 1
    assert answer.metadata["degradation"]["answer"] == "generated"


def test_the_clients_have_the_limits_and_defaults_of_the_service() -> None:
    client, service = ClientOptions().settings, Settings()
    for section in ("query", "ingest", "resilience", "runs"):
        assert getattr(client, section) == getattr(service, section), section
    own_models_are_free = {"unknown_price": UnknownPrice.FREE}
    assert client.budget == service.budget.model_copy(update=own_models_are_free)
    of_the_service = service.llamacloud.model_dump(exclude={"api_key", "webhook_secret"})
    assert client.llamacloud.model_dump() == of_the_service
    assert ClientOptions(limit_s=7).settings.ingest.parse_deadline_s == 7


def test_a_wrong_argument_is_named_before_anything_is_sent() -> None:
    with pytest.raises(Misconfigured, match="parse_tier"):
        clients.LlamaParse("llx-key", tier="cheapest")
