"""What stands around the tables of a page: caption, unit, period, headings, footnotes. Pure.

`pages_in_context` does the same over consecutive pages: a table that goes on from the page before
has its header, and lines that stand on several pages are marked as page header or footer.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from foliotrace.model import Block, BlockKind, ParsedPage, Table, TableRow
from foliotrace.model.table_columns import column_headers

_AMOUNTS = (
    r"(?:thousands|millions|billions|hundreds|tausend|tsd\.?|mio\.?|mrd\.?|millionen|milliarden"
    r"|milliers|milliards|miles|millones|migliaia|milioni|miliardi|milhares|milh\u00f5es)"
)
_SCALE = (
    r"(?:thousands?|millions?|billions?|tsd\.?|mio\.?|mrd\.?|[$\u20ac\u00a3]?\s?['\u2019]?000s?)"
)
_MONEY = r"(?:US\$|[$\u20ac\u00a3\u00a5]|\b(?:USD|EUR|GBP|CHF|JPY|dollars|euros?)\b)"
_UNIT = re.compile(
    rf"\(([^()]*\b(?:in|en|em)\s+(?:[\w$\u20ac\u00a3.]+\s+){{0,3}}{_AMOUNTS}\b[^()]*)\)"
    rf"|\(({_MONEY}?\s*{_SCALE}(?:\s+of\s+\w+)?(?:,[^()]*)?)\)"
    rf"|({_MONEY}(?:\s+and\s+\w+)?\s+in\s+{_AMOUNTS}\b(?:,\s*except[^.;()]*)?)"
    rf"|(\b(?:in|en|em)\s+(?:[\w$\u20ac\u00a3.]+\s+){{0,2}}?{_AMOUNTS}\b(?:,\s*except[^.;()]*)?)"
    rf"|({_MONEY}\s*{_SCALE}|\b(?:TEUR|TCHF|T\u20ac)(?!\w))",
    re.I,
)
_ASIDE = re.compile(r"\((?:un)?audited\)", re.I)
_NUMBERED = re.compile(
    r"(?:table|exhibit|schedule|figure|tabelle|tableau|tabla|tabella)\s+[\dIVX]", re.I
)
_MONTH = (
    r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|m\u00e4r|mai|okt|dez|janv|f\u00e9vr|avr"
    r"|juin|juil|ao\u00fbt|d\u00e9c|ene|abr|ago|dic)\w*\.?"
)
_PERIOD = re.compile(
    rf"\b(?:19|20)\d\d\b|\b[QH][1-4]\b|\b(?:FY)\s?\d\d|\b{_MONTH}\s\d{{1,2}}\b", re.I
)
_PHRASE = re.compile(
    r"\b(?:(?:three|six|nine|twelve|twelve|thirteen|twenty-six|thirty-nine|fifty-two|fifty-three|\d+)"
    r"[\s-]+(?:months?|weeks?)|(?:fiscal\s+)?(?:years?|quarters?|periods?))"
    rf"(?:\s+and\s+\w+[\s-]+(?:months?|weeks?))?\s+ended\b(?:\s+{_MONTH}\s*\d{{0,2}},?)?(?:\s*(?:19|20)\d\d)?"
    rf"|\bas\s+of\s+{_MONTH}\s+\d{{1,2}}(?:,\s*(?:19|20)\d\d)?",
    re.I,
)
_STUB = re.compile(rf"{_PHRASE.pattern}|^{_MONTH}\s+\d{{1,2}},?$", re.I)
_DATE = re.compile(rf"\b{_MONTH}\s*\d{{0,2}},?|\bended\b|\b(?:fiscal\s+)?(?:years?|months)\b", re.I)
_NOTE = re.compile(r"(?:\(\w{1,2}\)|\[\w{1,2}\]|[*\u2020\u2021\u00b9\u00b2\u00b3]+)\s?\S")
_ROMAN = re.compile(r"(?:^|(?<=\s))[ivxl]{1,6}(?=$|\s)")
_CAPTION_WORDS, _CAPTION_BLOCKS, _UNIT_BLOCKS = 30, 3, 4
_MARGIN_LINES = 0.12  # of the page's height: header and footer stand in it
_PAGES = 3  # on so many pages a line must stand to be a header or footer
_ALIGNED = 25.0  # points between the edges of a table and of its continuation
_SIDE = (BlockKind.HEADER, BlockKind.FOOTER, BlockKind.NAVIGATION)


def pages_in_context(pages: Sequence[ParsedPage]) -> list[ParsedPage]:
    """Consecutive pages with headers and footers marked and their tables described."""
    marked = _with_running_lines(pages)
    described: list[ParsedPage] = []
    headings: list[tuple[int, str]] = []
    for page in marked:
        current = _described(page, headings)
        if described:
            current = _continued(described[-1], current)
        described.append(current)
    return described


# --- header and footer --------------------------------------------------------------------------


def _with_running_lines(pages: Sequence[ParsedPage]) -> list[ParsedPage]:
    seen: Counter[tuple[BlockKind, str]] = Counter()
    for page in pages:
        seen.update(set(_margin_lines(page).values()))
    running = {key for key, count in seen.items() if count >= _PAGES}
    return [_marked(page, running) for page in pages] if running else list(pages)


def _margin_lines(page: ParsedPage) -> dict[int, tuple[BlockKind, str]]:
    """The blocks near the upper and lower edge: index, kind and text with its numbers left out."""
    if not page.height:
        return {}
    found: dict[int, tuple[BlockKind, str]] = {}
    for index, block in enumerate(page.blocks):
        box = block.box
        if box is None or block.kind is BlockKind.TABLE or block.end - block.start > 200:
            continue
        if box.y + box.height < _MARGIN_LINES * page.height:
            kind = BlockKind.HEADER
        elif box.y > (1 - _MARGIN_LINES) * page.height:
            kind = BlockKind.FOOTER
        else:
            continue
        text = re.sub(r"\d+", "#", " ".join(page.text[block.start : block.end].split()))
        found[index] = (kind, _ROMAN.sub("#", text))
    return found


def _marked(page: ParsedPage, running: set[tuple[BlockKind, str]]) -> ParsedPage:
    kinds = {i: key[0] for i, key in _margin_lines(page).items() if key in running}
    if not kinds:
        return page
    blocks = tuple(
        replace(block, kind=kinds[i], level=0) if i in kinds else block
        for i, block in enumerate(page.blocks)
    )
    return replace(page, blocks=blocks)


# --- caption, unit, period, headings ------------------------------------------------------------


def _described(page: ParsedPage, headings: list[tuple[int, str]]) -> ParsedPage:
    """The page with its tables described; `headings`, those above, outermost first, go on."""
    tables = {table.start: table for table in page.tables}
    blocks = list(page.blocks)
    for index, block in enumerate(page.blocks):
        if block.kind is BlockKind.HEADING:
            headings[:] = [above for above in headings if above[0] < block.level]
            headings.append((block.level, _flat(page, block)))
        elif block.kind is BlockKind.TABLE and block.start in tables:
            path = tuple(text for _, text in headings)
            tables[block.start] = _about(page, tables[block.start], index, path)
        elif _is_footnote(page, blocks, index):
            blocks[index] = replace(block, kind=BlockKind.FOOTNOTE)
    if not tables and blocks == list(page.blocks):
        return page
    return replace(page, tables=tuple(tables.values()), blocks=tuple(blocks))


def _flat(page: ParsedPage, block: Block) -> str:
    return " ".join(page.text[block.start : block.end].split())


def _is_footnote(page: ParsedPage, blocks: Sequence[Block], index: int) -> bool:
    block = blocks[index]
    if block.kind not in (BlockKind.TEXT, BlockKind.LIST) or not index:
        return False
    if blocks[index - 1].kind not in (BlockKind.TABLE, BlockKind.FOOTNOTE):
        return False
    return bool(_NOTE.match(page.text, block.start, block.end))


def _about(page: ParsedPage, table: Table, index: int, path: tuple[str, ...]) -> Table:
    above = _blocks_above(page, index)
    texts = [_flat(page, block) for block in above]
    headers = [row for row in table.rows if row.is_header]
    own = [" ".join(page.text[row.start : row.end].split()) for row in (headers or table.rows[:1])]
    caption = _caption(texts[:_CAPTION_BLOCKS]) or _caption_below(page, index)
    near = [*own, *texts, *_headers_above(page, index)]
    return replace(
        table,
        caption=caption,
        unit=next((unit for text in near if (unit := _unit(text))), None),
        period=_period(page, table, [caption or "", *texts[:2]]),
        header_path=path,
    )


def _blocks_above(page: ParsedPage, index: int) -> list[Block]:
    """The nearest blocks above a table, nearest first, up to another table."""
    found: list[Block] = []
    for block in reversed(page.blocks[:index]):
        if block.kind is BlockKind.TABLE or len(found) == _UNIT_BLOCKS:
            break
        if block.kind not in _SIDE:
            found.append(block)
    return found


def _headers_above(page: ParsedPage, index: int) -> list[str]:
    """The page headers above the first table of a page: statements repeat their unit there."""
    above = page.blocks[:index]
    if any(block.kind is BlockKind.TABLE for block in above):
        return []
    return [_flat(page, block) for block in above if block.kind is BlockKind.HEADER]


def _caption(texts: Sequence[str]) -> str | None:
    for text in texts:
        bare = " ".join(_ASIDE.sub("", _UNIT.sub("", text)).split()).strip(" :;,\u2014-")
        if not any(c.isalpha() for c in _DATE.sub("", _PHRASE.sub("", bare))):
            continue  # the unit or the period alone
        if _NUMBERED.match(bare):
            return bare
        if text.rstrip().endswith(":"):
            bare = re.split(r"(?<=[.!?])\s+", bare)[-1]
        elif bare.endswith((".", "?", "!")):
            return None
        return bare if len(bare.split()) <= _CAPTION_WORDS else None
    return None


def _caption_below(page: ParsedPage, index: int) -> str | None:
    below = page.blocks[index + 1 : index + 2]
    text = _flat(page, below[0]) if below and below[0].kind is not BlockKind.TABLE else ""
    return text if _NUMBERED.match(text) and len(text.split()) <= _CAPTION_WORDS else None


def _unit(text: str) -> str | None:
    found = _UNIT.search(text)
    return next(group for group in found.groups() if group).strip() if found else None


def _period(page: ParsedPage, table: Table, near: Sequence[str]) -> str | None:
    headers = [row for row in table.rows if row.is_header]
    phrase = next((m.group() for text in near if (m := _PHRASE.search(text))), None)
    labels = [_label(page, row) for row in headers]
    stub = next((m.group() for label in labels if (m := _STUB.search(label))), None)
    paths = [path for path in column_headers(page, table)[1:] if _PERIOD.search(path)]
    prefix = stub if stub and not re.search(r"(?:19|20)\d\d", stub) else None
    if prefix is None and phrase and all(re.fullmatch(r"\d{4}", path) for path in paths):
        prefix = None if re.search(r"(?:19|20)\d\d", phrase) else phrase
    named = [f"{prefix} {path}" if prefix else path for path in paths]
    return "; ".join(dict.fromkeys(named)) or stub or phrase


def _label(page: ParsedPage, row: TableRow) -> str:
    first = row.cells[0]
    return page.text[first.start : first.end] if first.column == 0 else ""


# --- tables over several pages ------------------------------------------------------------------


def _continued(before: ParsedPage, page: ParsedPage) -> ParsedPage:
    """The page; if its first block goes on with the last table of `before`, with that's header."""
    last, first = _last_table(before), _first_table(page)
    if last is None or first is None or not _goes_on(last, first):
        return page
    has_header = any(row.is_header for row in first.rows)
    header = None if has_header else last.continued_header or _header_text(before, last)
    table = replace(
        first,
        continued_header=header,
        caption=first.caption or last.caption,
        unit=first.unit or last.unit,
        period=first.period or last.period,
    )
    return replace(page, tables=tuple(table if t is first else t for t in page.tables))


def _last_table(page: ParsedPage) -> Table | None:
    body = [b for b in page.blocks if b.kind not in (*_SIDE, BlockKind.FOOTNOTE)]
    if not body or body[-1].kind is not BlockKind.TABLE:
        return None
    return next((t for t in page.tables if t.start == body[-1].start), None)


def _first_table(page: ParsedPage) -> Table | None:
    body = next((b for b in page.blocks if b.kind not in _SIDE), None)
    if body is None or body.kind is not BlockKind.TABLE:
        return None
    return next((t for t in page.tables if t.start == body.start), None)


def _goes_on(last: Table, first: Table) -> bool:
    if last.box is None or first.box is None or _columns(last) != _columns(first):
        return False
    right = abs(last.box.x + last.box.width - first.box.x - first.box.width)
    return abs(last.box.x - first.box.x) < _ALIGNED and right < _ALIGNED


def _columns(table: Table) -> int:
    return max((cell.column for row in table.rows for cell in row.cells), default=0) + 1


def _header_text(page: ParsedPage, table: Table) -> str | None:
    lines: list[str] = []
    for row in table.rows:
        if row.is_header:
            cells = {cell.column: page.text[cell.start : cell.end] for cell in row.cells}
            lines.append("\t".join(cells.get(column, "") for column in range(_columns(table))))
    return "\n".join(lines) or None
