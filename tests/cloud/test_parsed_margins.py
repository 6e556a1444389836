"""Letterheads, invoice numbers and page footings that LlamaParse found are in the page."""

from typing import Any

from llama_cloud.types import ParsingGetResponse

from foliotrace.adapters.llamacloud.pages import to_pages
from foliotrace.model import BlockKind, PageStatus, ParsedPage

BOX = {"x": 10.0, "y": 5.0, "w": 200.0, "h": 12.0}


def page_of(*items: dict[str, Any]) -> ParsedPage:
    page = {
        "page_number": 1,
        "success": True,
        "page_width": 595.0,
        "page_height": 842.0,
        "items": list(items),
    }
    job = {"id": "pjb-1", "project_id": "p", "status": "COMPLETED"}
    result = ParsingGetResponse.model_validate({"job": job, "items": {"pages": [page]}})
    (parsed,) = to_pages(result, range(1, 2), engine="llamaparse")
    return parsed


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "value": value, "md": value, "bbox": [BOX]}


def margin(kind: str, md: str, *items: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "md": md, "items": list(items), "bbox": [BOX]}


def blocks(page: ParsedPage) -> list[tuple[BlockKind, str]]:
    return [(block.kind, page.text[block.start : block.end]) for block in page.blocks]


def test_a_header_and_a_footer_are_blocks_of_the_page_with_their_boxes() -> None:
    page = page_of(
        margin(
            "header", "Brandt Werke\n\nInvoice 4711", text("Brandt Werke"), text("Invoice 4711")
        ),
        text("Dear customer"),
        margin("footer", "Page 1 of 3", text("Page 1 of 3")),
    )
    assert blocks(page) == [
        (BlockKind.HEADER, "Brandt Werke"),
        (BlockKind.HEADER, "Invoice 4711"),
        (BlockKind.TEXT, "Dear customer"),
        (BlockKind.FOOTER, "Page 1 of 3"),
    ]
    assert all(block.box is not None for block in page.blocks)


def test_a_header_without_items_keeps_its_markdown() -> None:
    page = page_of(margin("header", "Invoice 4711"))
    assert blocks(page) == [(BlockKind.HEADER, "Invoice 4711")]
    assert page.status is PageStatus.OK
