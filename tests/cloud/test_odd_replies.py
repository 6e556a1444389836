"""Replies of LlamaCloud that no SDK describes: never wrong pages, values or money."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from tests.cloud.service import Service, service
from tests.fakes.llamacloud import FakeLlamaCloud, running_fake_llamacloud
from tests.fakes.llamacloud.sample import pdf
from tests.fakes.rewriting_proxy import rewriting

from foliotrace.adapters.llamacloud.grounding import choices_of, states
from foliotrace_server.sections import LlamaCloudSection

pytestmark = pytest.mark.anyio
HARBOURS = ("Calden", "Ostrin", "Veymar")
FILE = pdf(
    *(
        [[f"Harbour {name}"], [f"The harbour of {name} has a depth of {number}.5 metres."]]
        for number, name in enumerate(HARBOURS, 1)
    )
)
Change = Callable[[Any], Any]


@pytest.fixture
def fake() -> Iterator[FakeLlamaCloud]:
    with running_fake_llamacloud() as running:
        yield running


def reached(fake: FakeLlamaCloud, url: str, **given: Any) -> LlamaCloudSection:
    key = SecretStr(fake.api_key)
    return LlamaCloudSection(api_key=key, where=url, timeout_s=5, parse_tier="fast", **given)


def on_results(kind: str, change: Change) -> Callable[[str, str, Any], Any]:
    """Change what a job that has ended says of itself."""

    def rewrite(method: str, path: str, reply: Any) -> Any:
        if method == "GET" and path.startswith(f"/api/v2/{kind}/") and path.count("/") == 4:
            change(reply)
        return reply

    return rewrite


def on_pages(change: Change) -> Callable[[str, str, Any], Any]:
    """Change each page of a result."""

    def pages(reply: Any) -> None:
        for part in ("items", "markdown", "text"):
            for page in (reply.get(part) or {}).get("pages", ()):
                change(page)

    return on_results("parse", pages)


async def read_right(running: Service, document_id: str) -> list[bool]:
    """Whether each page holds its own text."""
    path = f"/v1/documents/{document_id}/pages"
    pages = [(await running.client.get(f"{path}/{number}")).json() for number in (1, 2, 3)]
    return [f"{number}.5 metres" in page["text"] for number, page in enumerate(pages, 1)]


def counted_from_0(page: Any) -> None:
    page["page_number"] -= 1


def all_the_first(page: Any) -> None:
    page["page_number"] = 1


@pytest.mark.parametrize("change", [counted_from_0, all_the_first])
async def test_pages_with_wrong_numbers_are_read_locally(
    fake: FakeLlamaCloud, tmp_path: Path, change: Change
) -> None:
    with rewriting(fake.url, on_pages(change)) as url:
        given = reached(fake, url, parsing="cloud_then_local")
        async with service(tmp_path, llamacloud=given) as running:
            job = await running.put("harbours.pdf", FILE)
            right = await read_right(running, job["document_id"])
    assert right == [True, True, True]
    assert job["pages_degraded"] == 3
    assert job["usage"]["credits"] == sum(c.credits for c in fake.billing.standing) == 3
    assert fake.billing.jobs() == 1


async def test_an_item_of_a_new_kind_costs_its_boxes_and_not_the_page(
    fake: FakeLlamaCloud, tmp_path: Path
) -> None:
    def new_kind(reply: Any) -> None:
        for page in (reply.get("items") or {}).get("pages", ()):
            page["items"] = [{**item, "type": "sparkle"} for item in page["items"]]

    with rewriting(fake.url, on_results("parse", new_kind)) as url:
        given = reached(fake, url, parsing="cloud")
        async with service(tmp_path, llamacloud=given) as running:
            job = await running.put("harbours.pdf", FILE)
            right = await read_right(running, job["document_id"])
    assert (job["status"], job["pages_degraded"], right) == ("completed", 0, [True] * 3)
    assert job["usage"]["credits"] == 3


@pytest.mark.parametrize("word", ["PARTIAL_SUCCESS", "SUCCESS", None])
async def test_a_status_without_a_meaning_is_not_waited_for_until_the_deadline(
    fake: FakeLlamaCloud, tmp_path: Path, word: str | None
) -> None:
    asked = 0

    def status(reply: Any) -> None:
        nonlocal asked
        asked += 1
        reply["job"]["status"] = word

    with rewriting(fake.url, on_results("parse", status)) as url:
        given = reached(fake, url, parsing="cloud_then_local")
        async with service(tmp_path, llamacloud=given) as running:
            job = await running.put("harbours.pdf", FILE)
            right = await read_right(running, job["document_id"])
    assert (job["pages_degraded"], right) == (3, [True] * 3)
    assert asked <= 4
    assert (fake.billing.jobs(), job["usage"]["credits"]) == (1, 3)


async def test_credits_below_zero_are_not_believed(fake: FakeLlamaCloud, tmp_path: Path) -> None:
    def refund(reply: Any) -> None:
        reply["job"]["usage"] = {"credits": -3}

    with rewriting(fake.url, on_results("parse", refund)) as url:
        given = reached(fake, url, parsing="cloud_then_local")
        async with service(tmp_path, llamacloud=given) as running:
            job = await running.put("harbours.pdf", FILE)
    assert job["usage"]["credits"] == 3  # the worst case, until the cloud says more


async def extracted(
    fake: FakeLlamaCloud, folder: Path, schema: dict[str, Any], change: Change
) -> dict[str, Any]:
    with rewriting(fake.url, on_results("extract", change)) as url:
        given = reached(fake, url, extraction="cloud_then_local")
        async with service(folder, llamacloud=given) as running:
            job = await running.put("harbours.pdf", FILE)
            asked = {"document_id": job["document_id"], "schema": schema}
            started = (await running.client.post("/v1/extractions", json=asked)).json()
            await running.finished(started["id"])
            found = await running.client.get(f"/v1/extractions/{started['id']}")
    return dict(found.json())


async def test_a_value_that_its_own_citation_does_not_state_becomes_null(
    fake: FakeLlamaCloud, tmp_path: Path
) -> None:
    def invented(reply: Any) -> None:
        if reply.get("extract_result"):
            reply["extract_result"]["harbour"] = "Atlantis"

    schema = {"type": "object", "properties": {"harbour": {"type": "string"}}}
    found = await extracted(fake, tmp_path, schema, invented)
    assert found["record"] == {"harbour": None}
    assert found["fields"][0]["citations"] == []


CHOICE = {
    "type": "object",
    "properties": {"harbour": {"type": "string", "enum": ["SOUTHERN", "NORTHERN"]}},
}


async def test_a_choice_that_the_document_words_differently_stays(
    fake: FakeLlamaCloud, tmp_path: Path
) -> None:
    def chosen(reply: Any) -> None:
        if reply.get("extract_result"):
            reply["extract_result"]["harbour"] = "SOUTHERN"
            cited = {"citation": [{"page": 2, "matching_text": "Harbour Ostrin"}]}
            reply["extract_metadata"] = {
                "field_metadata": {"document_metadata": {"harbour": cited}}
            }

    found = await extracted(fake, tmp_path, CHOICE, chosen)
    assert found["record"] == {"harbour": "SOUTHERN"}
    (citation,) = found["fields"][0]["citations"]
    assert (citation["quote"], citation["anchor"]["page"]) == ("Harbour Ostrin", 2)


async def test_a_choice_without_a_citation_becomes_null(
    fake: FakeLlamaCloud, tmp_path: Path
) -> None:
    def chosen(reply: Any) -> None:
        if reply.get("extract_result"):
            reply["extract_result"]["harbour"] = "SOUTHERN"
            reply["extract_metadata"] = None

    found = await extracted(fake, tmp_path, CHOICE, chosen)
    assert found["record"] == {"harbour": None}
    assert found["fields"][0]["citations"] == []


@pytest.mark.parametrize(
    ("text", "value", "stated"),
    [
        ("Total due: $1,315.50", 1315.5, True),
        ("Total due: $1,315.50", 1315, False),
        ("3 November 2026", "2026-11-03", True),
        ("11/03/26", "2026-11-03T00:00:00Z", True),
        ("3 November 2025", "2026-11-03", False),
        ("ACME Supplies Ltd, Calden", "Acme Supplies Limited", True),
        ("ACME Supplies Ltd", "Globex", False),
        ("yes", True, True),
    ],
)
def test_what_a_citation_states(text: str, value: object, stated: bool) -> None:
    assert states(text, value) is stated


def test_choices_are_found_at_every_depth() -> None:
    inner = {"type": "array", "items": {"properties": {"kind": {"enum": ["A", 2]}}}}
    assert choices_of({"properties": {"lines": inner}, "anyOf": [{"enum": ["B"]}]}) == {
        "A",
        "2",
        "B",
    }
