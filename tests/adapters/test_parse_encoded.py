"""Encoded data between words: it is left out with a note, and the words stay."""

import base64
import binascii
import json
import random
from itertools import pairwise
from pathlib import Path

import pytest
from tests.adapters.files import pdf_of, placed
from tests.adapters.parsing import reading

from foliotrace.adapters.local.readers.encoded import encoded_spans
from foliotrace.ingest.chunk import chunk_pages
from foliotrace.model import PageStatus, ParsedPage

pytestmark = pytest.mark.anyio

DATA = random.Random(7).randbytes(1600)
LINES = base64.encodebytes(DATA).decode()
ABOVE = "The winch passed its check on 3 March 2026. The rope carries 500 kg."
BELOW = "Please send the bill to the yard at Oakham."
UU = "".join(binascii.b2a_uu(DATA[n : n + 45]).decode() for n in range(0, 1575, 45))


async def page_of(folder: Path, name: str, content: str | bytes) -> ParsedPage:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    async with reading(size=1) as local:
        (page,) = await local.read(path)
    return page


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("letter.txt", f"{ABOVE}\n\n{LINES}\n{BELOW}\n"),
        ("letter.eml", f"From: a@b.de\nSubject: Key\n\n{ABOVE}\n\n{LINES}\n{BELOW}\n"),
        ("letter.txt", f"{ABOVE}\n\nbegin 644 key.bin\n{UU}`\nend\n\n{BELOW}\n"),
        ("letter.md", f"# Key\n\n{ABOVE}\n\n```\n{LINES}```\n\n{BELOW}\n"),
        ("letter.html", f"<p>{ABOVE}</p><p>{base64.b64encode(DATA).decode()}</p><p>{BELOW}</p>"),
        ("letter.json", json.dumps({"a": ABOVE, "b": base64.b64encode(DATA).decode(), "c": BELOW})),
    ],
)
async def test_only_the_encoded_data_of_a_page_is_left_out(
    tmp_path: Path, name: str, content: str
) -> None:
    page = await page_of(tmp_path, name, content)
    assert page.status is PageStatus.OK
    assert ABOVE in page.text
    assert BELOW in page.text
    assert "[encoded data left out: " in page.text
    chunks = chunk_pages([page], document_id="d", revision="r", first_ordinal=0)
    assert not any(encoded_spans(chunk.text) for chunk in chunks)
    assert all(len(word) < 60 for chunk in chunks for word in chunk.text.split())
    spans = sorted((block.start, block.end) for block in page.blocks)
    assert all(a[1] <= b[0] for a, b in pairwise(spans))
    assert any(BELOW in page.text[start:end] for start, end in spans)


async def test_a_little_encoded_data_on_a_long_page_is_in_no_chunk(tmp_path: Path) -> None:
    small = base64.encodebytes(DATA[:700]).decode()
    page = await page_of(tmp_path, "long.txt", f"{ABOVE * 40}\n\n{small}\n{BELOW * 20}\n")
    assert "[encoded data left out: " in page.text
    assert not encoded_spans(page.text)


async def test_the_boxes_of_a_pdf_stay_with_their_words(tmp_path: Path) -> None:
    lines = [(50.0, 100.0 + 12 * n, line) for n, line in enumerate(LINES.split())]
    content = pdf_of([placed((50.0, 60.0, ABOVE), *lines, (50.0, 600.0, BELOW))])
    page = await page_of(tmp_path, "letter.pdf", content)
    words = [(page.text[word.start : word.end], word.box.y) for word in page.words]
    assert [text for text, _ in words] == [*ABOVE.split(), *BELOW.split()]
    assert words[-1][1] == pytest.approx(600, abs=12)


@pytest.mark.parametrize("word", ["Regards", "Ann"])
async def test_a_word_below_the_data_stays(tmp_path: Path, word: str) -> None:
    data = "\n".join(LINES.split()[:20])
    page = await page_of(tmp_path, "letter.txt", f"{ABOVE}\n\n{data}\n{word}\n")
    assert page.text.endswith(word)
