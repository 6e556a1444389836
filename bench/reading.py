"""What readers of PDF recover of documents whose structure is known, beside other tools.

`python -m bench.reading` reads statement pages of real filings (../shared/data, where present) and
HTML pages printed by Chromium (where installed) with foliotrace, pdfplumber, markitdown and docling
(`bench.other_readers`). Scored are text recall, table rows, label/value fields, reading order and
CPU per page. A row counts if all its cells stand in one row or line, in order.
DOCX, XLSX and HTML files printed to PDF are scored beside our reading of the files themselves.
Before them stands a share of mixed files: every format, every defect (`bench.mixed_files`).
"""

import argparse
import asyncio
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from bench.labelled import Labelled, pages_of
from bench.mixed_files import measure_share
from bench.other_readers import other_readers
from bench.printed_sources import PrintedSource, print_page, printed_sources
from bench.record import save

COMMAND = "python -m bench.reading"
DATA = Path(__file__).parent.parent.parent / "shared" / "data"
# a statement's file and pages; chosen by title, before any reader was changed
STATEMENTS = {
    "financebench-dev/pdfs/AMAZON_2017_10K.pdf": (37, 38, 40),
    "financebench-dev/pdfs/AMCOR_2023Q2_10Q.pdf": (5, 7, 8),
    "financebench-dev/pdfs/AMCOR_2023_10K.pdf": (50, 52, 53),
    "financebench-dev/pdfs/BESTBUY_2023_10K.pdf": (39, 40, 42),
    "financebench-dev/pdfs/BOEING_2022_10K.pdf": (55, 57, 59),
    "financebench-dev/pdfs/NETFLIX_2017_10K.pdf": (42, 44, 45),
    "financebench-dev/pdfs/PFIZER_2021_10K.pdf": (57, 59, 61),
    "financebench-dev/pdfs/ULTABEAUTY_2023Q4_EARNINGS.pdf": (6, 7, 8),
    "sec10q-dev/pdfs/2022 Q3 AAPL.pdf": (4, 6, 8),
    "sec10q-dev/pdfs/2022 Q3 NVDA.pdf": (3, 5, 8),
}
FIGURE = r"\(?[\d,]*\d(?:\.\d+)?\)?|[\u2014\u2013-]"
FIGURE_LINE = re.compile(rf"^([A-Za-z].*?)[\s$]+((?:(?:{FIGURE})[\s$]+)+(?:{FIGURE}))$")

OURS = """
import json, sys, time
from pathlib import Path
from foliotrace.adapters.local.readers.pdf import reader
from foliotrace.adapters.local.readers.reading_options import ReadingOptions
for path, numbers in json.load(sys.stdin):
    begun = time.process_time()
    found = []
    for n in numbers:
        (page,) = reader.pages(Path(path), range(n, n + 1), ReadingOptions())
        rows = [[page.text[c.start:c.end] for c in r.cells] for t in page.tables for r in t.rows]
        found.append({"text": page.text, "rows": rows})
    print(json.dumps([found, time.process_time() - begun]))
"""


@dataclass
class Known:
    """A document and what stands in it."""

    path: Path
    pages: Sequence[int]
    words: Counter[str]
    rows: list[list[str]] = field(default_factory=list)
    fields: list[list[str]] = field(default_factory=list)
    order: list[str] = field(default_factory=list)


# --- what is known ------------------------------------------------------------------------------


def statements() -> list[Known]:
    """Pages of filings; their rows are the lines of pypdfium2 that end in two figures or more."""
    import pypdfium2

    found: list[Known] = []
    for name, pages in STATEMENTS.items():
        if not (DATA / name).exists():
            continue
        known = Known(DATA / name, pages, Counter())
        with pypdfium2.PdfDocument(known.path) as pdf:
            for number in pages:
                text = pdf[number - 1].get_textpage().get_text_range()
                known.words.update(words_of(text))
                matches = (FIGURE_LINE.match(line.strip()) for line in text.splitlines())
                known.rows += [
                    [match[1], *re.findall(FIGURE, match[2])] for match in matches if match
                ]
        found.append(known)
    return found


FORM = (
    ("Invoice number", "BT-2025-0417"),
    ("Invoice date", "14 March 2025"),
    ("Payment terms", "30 days net"),
    ("Customer", "Weir School, 12 Mill Lane"),
)
ITEMS = (
    ("Item", "Quantity", "Price", "Amount"),
    ("Stainless steel bracket with two rows of holes, galvanised", "6", "53.00", "318.00"),
    ("Copper pipe", "9", "14.60", "131.40"),
    ("Delivery", "1", "12.00", "12.00"),
)
STATEMENT = (
    ("", "2023", "2022", "2023", "2022"),
    ("Revenue", "1,204", "1,100", "3,604", "3,321"),
    (
        "Cost of sales, excluding amortisation of intangibles",
        "(804)",
        "(700)",
        "(2,404)",
        "(2,201)",
    ),
    ("Gross profit", "400", "400", "1,200", "1,120"),
)
PROSE = (
    "The river rose in the night and took the lower bridge away with it before the morning came. ",
    "No trains ran on the coast line until the end of March, and the mail was brought by boat. ",
    "The council met twice a week in the school, which stands on the only hill of the town. ",
    "A new bridge of steel was opened in the following year, two miles above the old crossing. ",
)
STYLE = """body{font:10pt sans-serif} table{border-collapse:collapse} td,th{padding:3pt 8pt}
.ruled td,.ruled th{border:1px solid #555} .r{text-align:right} .two{column-count:2}"""


def printed(folder: Path) -> list[Known]:
    """HTML pages printed to PDF; none without Chromium."""
    browser = find_browser()
    if browser is None:
        return []
    form = "".join(f"<tr><td style='width:130pt'>{k}<td>{v}" for k, v in FORM)
    both = "<tr><th><th colspan=2>Three Months Ended<th colspan=2>Nine Months Ended"
    columns = "".join(f"<p>{sentence * 6}" for sentence in PROSE)
    bodies = {
        "form": (f"<table>{form}</table><p>{PROSE[0]}", [], FORM, ()),
        "invoice": (f"<table>{form}</table>{table(ITEMS)}", ITEMS, FORM, ()),
        "ruled": (f"<p>{PROSE[0]}{table(ITEMS, 'ruled')}<p>{PROSE[1]}", ITEMS, (), PROSE[:2]),
        "statement": (f"<p>{PROSE[0]}{table(STATEMENT, '', both)}", STATEMENT, (), ()),
        "stacked": (table(ITEMS) + table(STATEMENT), (*ITEMS, *STATEMENT), (), ()),
        "columns": (f"<h1>The flood</h1><div class=two>{columns}</div>", (), (), PROSE),
    }
    return [_print(browser, folder / f"{name}.html", *body) for name, body in bodies.items()]


def find_browser() -> str | None:
    """The command of an installed Chromium."""
    return shutil.which("chromium") or shutil.which("google-chrome")


def table(rows: Sequence[Sequence[str]], kind: str = "", above: str = "") -> str:
    """The rows as an HTML table."""
    cells = ["".join(f"<td class={'r' if i else 'l'}>{c}" for i, c in enumerate(r)) for r in rows]
    return f"<table class='{kind}'>{above}{''.join('<tr>' + row for row in cells)}</table>"


def _print(
    browser: str,
    file: Path,
    body: str,
    rows: Iterable[Sequence[str]],
    fields: Iterable[Sequence[str]],
    order: Sequence[str],
) -> Known:
    file.write_text(f"<html><style>{STYLE}</style><body>{body}</body></html>")
    path = file.with_suffix(".pdf")
    print_page(browser, file, path)
    words = Counter(words_of(re.sub(r"<[^>]*>", " ", body)))
    kept = [[cell for cell in row if cell] for row in rows]
    return Known(path, (1,), words, kept, [list(pair) for pair in fields], list(order))


def printed_files(folder: Path) -> tuple[list[Known], dict[str, float]]:
    """Office files and pages printed to PDF, and the score of reading the files themselves."""
    browser = find_browser()
    prints = list(printed_sources(folder, browser)) if browser else []
    if not prints:
        return [], {}
    known = [_known(each) for each in prints]
    pages = asyncio.run(pages_of([Labelled(each.source, {}, {}) for each in prints]))
    read: list[tuple[list[dict[str, object]], float]] = []
    for found in pages:
        texts: list[dict[str, object]] = []
        for page in found:
            rows = [r for t in page.tables for r in t.rows]
            cells = [[page.text[c.start : c.end] for c in row.cells] for row in rows]
            texts.append({"text": page.text, "rows": cells})
        read.append((texts, 0.0))
    own = score(known, read)
    return known, {name: own[name] for name in ("text", "rows", "fields")}


def _known(each: PrintedSource) -> Known:
    import pypdfium2

    with pypdfium2.PdfDocument(each.pdf) as pdf:
        pages = range(1, len(pdf) + 1)
    return Known(each.pdf, pages, Counter(words_of(each.text)), each.rows, each.fields)


# --- what was read ------------------------------------------------------------------------------


def words_of(text: str) -> list[str]:
    """The words and figures, in lower case."""
    return re.findall(r"\w+", text.lower())


def bare(text: str) -> str:
    """The text without spaces, currency signs and kinds of dashes and quotation marks."""
    alike = text.translate(str.maketrans("\u2013\u2014\u2018\u2019\u201c\u201d", "--''\"\""))
    return re.sub(r"[\s$%|]", "", alike).lower()


def holds(lines: Sequence[str], cells: Sequence[str]) -> bool:
    """Whether one of the lines has all cells, in order and nothing after them."""
    wanted = [bare(cell) for cell in cells]
    return any(line.endswith(wanted[-1]) and "".join(wanted) in line for line in lines)


def score(
    known: Sequence[Known], read: Sequence[tuple[list[dict[str, object]], float]]
) -> dict[str, float]:
    """The shares found by one tool over all documents."""
    hits: Counter[str] = Counter()
    total: Counter[str] = Counter()
    cpu_s, pages = 0.0, 0
    for document, (found, spent_s) in zip(known, read, strict=True):
        text = "\n".join(str(page["text"]) for page in found)
        rows = [row for page in found for row in page["rows"]]  # type: ignore[attr-defined]
        lines = [bare("".join(row)) for row in rows] + [bare(line) for line in text.splitlines()]
        hits["text"] += (document.words & Counter(words_of(text))).total()
        total["text"] += document.words.total()
        for name, wanted in (("rows", document.rows), ("fields", document.fields)):
            hits[name] += sum(holds(lines, cells) for cells in wanted)
            total[name] += len(wanted)
        flat = " ".join(text.split())
        places = [flat.find(" ".join(sentence.split()[:5])) for sentence in document.order]
        total["order"] += max(0, len(places) - 1)
        hits["order"] += sum(0 <= a < b for a, b in pairwise(places))
        cpu_s += spent_s
        pages += len(document.pages)
    shares = {name: round(hits[name] / count, 3) for name, count in total.items() if count}
    return {**shares, "cpu_ms_per_page": round(1000 * cpu_s / pages, 1), "pages": pages}


def read_with(
    python: Path, script: str, known: Sequence[Known]
) -> list[tuple[list[dict[str, object]], float]]:
    """The pages of every document and the CPU seconds they took."""
    asked = json.dumps([[str(k.path), list(k.pages)] for k in known])
    done = subprocess.run(
        [str(python), "-c", script], input=asked, capture_output=True, text=True, check=True
    )
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ours", action="store_true", help="without the other tools")
    parser.add_argument("--share", action="store_true", help="the share of mixed files alone")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        share = asyncio.run(measure_share(folder))
        print(json.dumps(share, indent=1))
        if arguments.share:
            return
        files, sources = printed_files(folder)
        sets = {"filings": statements(), "printed": printed(folder), "printed files": files}
        readers, left_out = ({}, {}) if arguments.ours else other_readers(folder)
        readers = {"foliotrace": (Path(sys.executable), OURS), **readers}
        figures = {
            kind: {
                tool: score(known, read_with(python, script, known))
                for tool, (python, script) in readers.items()
            }
            for kind, known in sets.items()
            if known
        }
        if sources:
            figures["printed files"]["the files themselves"] = sources
    print(json.dumps(figures, indent=1))
    if not arguments.ours:
        recorded = {"mixed files": share, **figures, "left out": left_out}
        save("reading", recorded, command=COMMAND, packages=("pypdfium2",))


if __name__ == "__main__":
    main()
