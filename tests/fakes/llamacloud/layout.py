"""Pages as LlamaParse's v2 shapes: structured items with boxes, and their markdown."""

import csv
import html
import io
import re
from dataclasses import dataclass
from statistics import median
from typing import Any

from tests.fakes.llamacloud.content import Line, Page, Word, phrase, union

BULLET = re.compile(r"^(?:[-*•●▪‣o]|\d{1,3}[.)])$")
HEADING_RATIO = 1.15
HEADING_WORDS = 16


@dataclass(frozen=True)
class Block:
    """Consecutive lines of one kind: heading, table, list or text."""

    kind: str
    lines: tuple[Line, ...]
    level: int = 0


def items_page(page: Page) -> dict[str, Any]:
    """One `items.pages[]` entry."""
    return {
        "page_number": page.number,
        "page_width": page.width,
        "page_height": page.height,
        "success": True,
        "items": [_item(block) for block in blocks_of(page)],
    }


def markdown_of(page: Page) -> str:
    """The page's items as markdown."""
    return "\n\n".join(str(_item(block)["md"]) for block in blocks_of(page))


def word_rows(page: Page) -> list[dict[str, Any]]:
    """One row per word for the `raw_words` side file."""
    return [
        {"page_number": page.number, "text": word.text, "bbox": _bbox((word,))}
        for line in page.lines
        for word in line.words
    ]


def blocks_of(page: Page) -> list[Block]:
    """The page's lines as blocks, in reading order."""
    body = median([line.size for line in page.lines]) if page.lines else 0.0
    sizes = sorted(
        {round(line.size, 1) for line in page.lines if _is_heading(line, body)}, reverse=True
    )
    blocks: list[Block] = []
    for line in page.lines:
        kind = _kind(line, body)
        level = sizes.index(round(line.size, 1)) + 1 if kind == "heading" else 0
        last = blocks[-1] if blocks else None
        if last and _continues(last, line, kind):
            blocks[-1] = Block(last.kind, (*last.lines, line), last.level)
        else:
            blocks.append(Block(kind, (line,), min(level, 6)))
    return [_demoted(block) for block in blocks]


def _is_heading(line: Line, body: float) -> bool:
    return line.size > HEADING_RATIO * body and len(line.words) <= HEADING_WORDS


def _kind(line: Line, body: float) -> str:
    if _is_heading(line, body):
        return "heading"
    if BULLET.match(line.words[0].text) and len(line.words) > 1:
        return "list"
    return "table" if len(line.cells) > 1 else "text"


def _continues(block: Block, line: Line, kind: str) -> bool:
    if kind == "heading" or block.kind != kind:
        return False
    if kind == "table":
        return len(block.lines[-1].cells) == len(line.cells)
    last, box = union(block.lines[-1].words), union(line.words)
    gap = box[1] - last[3]
    return kind == "list" or -2 <= gap < 0.9 * (box[3] - box[1])


def _demoted(block: Block) -> Block:
    alone = block.kind == "table" and len(block.lines) == 1
    return Block("text", block.lines) if alone else block


def _item(block: Block) -> dict[str, Any]:
    words = tuple(word for line in block.lines for word in line.words)
    text = "\n".join(line.text for line in block.lines)
    if block.kind == "heading":
        md = "#" * block.level + " " + text
        return {
            "type": "heading",
            "level": block.level,
            "value": text,
            "md": md,
            "bbox": [_bbox(words, md, "heading")],
        }
    if block.kind == "table":
        return _table(block, words)
    if block.kind == "list":
        return _list(block, words)
    return {"type": "text", "value": text, "md": text, "bbox": [_bbox(words, text, "text")]}


def _table(block: Block, words: tuple[Word, ...]) -> dict[str, Any]:
    rows = [[phrase(cell) for cell in line.cells] for line in block.lines]
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    lines.insert(1, "|" + " --- |" * len(rows[0]))
    md = "\n".join(lines)
    cells = ("".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows)
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return {
        "type": "table",
        "rows": rows,
        "md": md,
        "html": "<table>" + "".join(f"<tr>{row}</tr>" for row in cells) + "</table>",
        "csv": out.getvalue(),
        "bbox": [_bbox(words, md, "table")],
    }


def _list(block: Block, words: tuple[Word, ...]) -> dict[str, Any]:
    ordered = block.lines[0].words[0].text[0].isdigit()
    entries = []
    for number, line in enumerate(block.lines, start=1):
        value = phrase(line.words[1:])
        md = f"{number}. {value}" if ordered else f"- {value}"
        entries.append(
            {"type": "text", "value": value, "md": md, "bbox": [_bbox(line.words, md, "text")]}
        )
    md = "\n".join(str(entry["md"]) for entry in entries)
    return {
        "type": "list",
        "ordered": ordered,
        "items": entries,
        "md": md,
        "bbox": [_bbox(words, md, "list")],
    }


def _bbox(words: tuple[Word, ...], md: str = "", label: str | None = None) -> dict[str, Any]:
    left, top, right, bottom = union(words)
    box: dict[str, Any] = {"x": left, "y": top, "w": right - left, "h": bottom - top}
    if label is not None:
        box |= {"label": label, "confidence": 1.0, "start_index": 0, "end_index": len(md)}
    return box
