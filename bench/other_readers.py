"""Other readers of PDF, each in a throw-away environment of its own, and why one is left out."""

import os
import sys
import urllib.request
from pathlib import Path

from bench.environments import install, make_environment

REQUIREMENTS = {
    "pdfplumber": ("pdfplumber",),
    "markitdown": ("markitdown[pdf]", "pypdf"),
    "docling": ("docling",),
}
MODEL_HUB = "https://huggingface.co"
# Each reads [[path, page numbers], ...] from its input and writes a line of JSON for each path:
# the pages' text and rows, and the seconds of CPU that they took.
THEIRS = {
    "pdfplumber": """
import json, sys, time
import pdfplumber
for path, numbers in json.load(sys.stdin):
    begun = time.process_time()
    found = []
    with pdfplumber.open(path) as pdf:
        for n in numbers:
            page = pdf.pages[n - 1]
            rows = [[c or "" for c in r] for t in page.extract_tables() for r in t]
            found.append({"text": page.extract_text() or "", "rows": rows})
    print(json.dumps([found, time.process_time() - begun]))
""",
    "markitdown": """
import io, json, sys, time
from markitdown import MarkItDown
from pypdf import PdfReader, PdfWriter
reader = MarkItDown()
for path, numbers in json.load(sys.stdin):
    writer, source = PdfWriter(), PdfReader(path)
    for n in numbers:
        writer.add_page(source.pages[n - 1])
    part = io.BytesIO()
    writer.write(part)
    part.seek(0)
    begun = time.process_time()
    text = reader.convert_stream(part, file_extension=".pdf").text_content
    spent = time.process_time() - begun
    rows = [[c.strip() for c in l.strip("| ").split("|")] for l in text.splitlines() if "|" in l]
    print(json.dumps([[{"text": text, "rows": rows}], spent]))
""",
    "docling": """
import json, sys, time
from docling.document_converter import DocumentConverter
reader = DocumentConverter()
for path, numbers in json.load(sys.stdin):
    begun = time.process_time()
    found = []
    for n in numbers:
        document = reader.convert(path, page_range=(n, n)).document
        rows = [[c.text for c in r] for t in document.tables for r in t.data.grid]
        found.append({"text": document.export_to_text(), "rows": rows})
    print(json.dumps([found, time.process_time() - begun]))
""",
}


def other_readers(folder: Path) -> tuple[dict[str, tuple[Path, str]], dict[str, str]]:
    """Interpreter and script of every tool that runs here, and of each other one why it does not.

    Installs the tools into `folder`.
    """
    readers: dict[str, tuple[Path, str]] = {}
    left_out: dict[str, str] = {}
    for tool, requirements in REQUIREMENTS.items():
        reason = _missing_models() if tool == "docling" else None
        if reason is None:
            python = make_environment(folder / tool)
            if install(python, *requirements).returncode:
                reason = "cannot be installed: no package index is reachable"
            else:
                readers[tool] = (python, THEIRS[tool])
        if reason is not None:
            left_out[tool] = reason
            print(f"{tool} is left out: {reason}", file=sys.stderr)
    return readers, left_out


def _missing_models() -> str | None:
    """Why docling cannot read a PDF here; None if it can.

    Its only pipeline with layout and tables needs models. They are looked for before it is
    installed, because PyTorch comes with it: some gigabytes.
    """
    if os.environ.get("DOCLING_ARTIFACTS_PATH"):  # noqa: TID251 - a variable of docling itself
        return None
    try:
        urllib.request.urlopen(MODEL_HUB, timeout=10).close()
    except OSError:
        return (
            f"its layout and table models come from {MODEL_HUB}, which is not reachable from here "
            "(set DOCLING_ARTIFACTS_PATH to a folder that holds them)"
        )
    return None
