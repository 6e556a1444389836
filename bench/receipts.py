"""Real shop receipts of ../shared/data/receipts-dev, rebuilt as PDFs from their labelled boxes."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.corpora import SHARED
from bench.paper import pdf_of
from foliotrace.schema_fields.values import find_date

FOLDER = "receipts-dev"
SCHEMA: dict[str, Any] = {
    "title": "Receipt",
    "type": "object",
    "properties": {
        "company": {"type": "string"},
        "date": {"type": "string", "format": "date"},
        "address": {"type": "string"},
        "total": {"type": "number"},
    },
}
_POINTS_WIDE = 420
_COURIER_WIDTH = 0.6  # of the font size


@dataclass(frozen=True)
class Receipt:
    """A page and what its annotators wrote down."""

    name: str
    pdf: bytes
    truth: dict[str, str]


def receipts(folder: Path = SHARED / FOLDER) -> Iterator[Receipt]:
    """Every receipt, by name."""
    for key in sorted((folder / "key").glob("*.json")):
        box = folder / "box" / f"{key.stem}.csv"
        truth = json.loads(key.read_text())
        yield Receipt(key.stem, _drawn(box.read_text(errors="replace")), truth)


def right(field: str, truth: str, value: Any) -> bool:
    """White space and case aside; totals as numbers, dates as dates."""
    if field == "total":
        return float(re.sub(r"[^\d.]", "", truth)) == value
    if field == "date":
        return _day(truth) == value
    return _bare(truth) == _bare(str(value))


def _day(text: str) -> str | None:
    """The annotators wrote days before months."""
    month_first = re.match(r"\d{1,2}[/-](?:1[3-9]|2\d|3[01])[/-]", text)
    parts = re.fullmatch(r"(\d{1,2})[/-](\d{1,2})[/-](\d{2,4})", text)
    if parts and not month_first:
        year = int(parts[3]) + (2000 if len(parts[3]) == 2 else 0)
        return f"{year}-{int(parts[2]):02}-{int(parts[1]):02}"
    found = find_date(text)
    return found.value if found else None


def _bare(text: str) -> str:
    return "".join(text.casefold().split())


def _drawn(boxes: str) -> bytes:
    """Each text in its box."""
    rows = [line.split(",", 8) for line in boxes.splitlines() if line.count(",") >= 8]
    placed = [([int(n) for n in row[:8]], row[8]) for row in rows]
    scale = _POINTS_WIDE / max(max(at[0::2]) for at, _ in placed)
    tall = round(scale * max(max(at[1::2]) for at, _ in placed)) + 20
    parts = ["BT"]
    for at, text in placed:
        left, width = scale * min(at[0::2]), scale * (max(at[0::2]) - min(at[0::2]))
        top, bottom = scale * min(at[1::2]), scale * max(at[1::2])
        size = max(1.0, 0.8 * (bottom - top))
        stretch = 100 * width / (_COURIER_WIDTH * size * max(len(text), 1))
        escaped = re.sub(r"([\\()])", r"\\\1", text)
        parts.append(
            f"/F1 {size:.2f} Tf {stretch:.1f} Tz 1 0 0 1 {left:.2f} "
            f"{tall - bottom + 0.2 * size:.2f} Tm ({escaped}) Tj"
        )
    return pdf_of("\n".join([*parts, "ET"]), font="Courier", size=(_POINTS_WIDE + 20, tall))
