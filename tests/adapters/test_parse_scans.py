"""Scanned pages: found models, turned and crooked pictures, rows, and the confidence of words."""

from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont
from tests.adapters.parsing import reading

from foliotrace.adapters.local.readers.reading_options import (
    find_tessdata,
    installed_languages,
)
from foliotrace.model import PageStatus, ParsedPage

pytestmark = pytest.mark.anyio

needs_tessdata = pytest.mark.skipif(find_tessdata() is None, reason="no Tesseract models found")

RECEIPT = (
    ("Weir Hardware Ltd", ""),
    ("12 Mill Lane, Otley", ""),
    ("Date", "14/03/2025"),
    ("Stainless bracket", "318.00"),
    ("Copper pipe", "131.40"),
    ("Delivery", "12.00"),
    ("TOTAL", "461.40"),
)


def receipt(*, skew: float = 0.0, turn: int = 0) -> Image.Image:
    image = Image.new("L", (1000, 900), 255)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(size=34)
    for row, (label, value) in enumerate(RECEIPT):
        draw.text((110, 120 + 60 * row), label, font=font, fill=0)
        draw.text((720, 120 + 60 * row), value, font=font, fill=0)
    return image.rotate(skew, fillcolor=255).rotate(turn, expand=True)


async def read(folder: Path, image: Image.Image, name: str = "scan.png") -> ParsedPage:
    path = folder / name
    image.save(path)
    async with reading(tessdata=find_tessdata(), size=1) as local:
        (page,) = await local.read(path)
    return page


@needs_tessdata
@pytest.mark.parametrize("skew", [0.0, 3.0, -4.0])
@pytest.mark.parametrize("name", ["scan.png", "scan.pdf"])
async def test_an_amount_stays_in_the_row_of_its_item(
    tmp_path: Path, skew: float, name: str
) -> None:
    page = await read(tmp_path, receipt(skew=skew), name)
    bare = page.text.replace(" ", "")
    for label, value in RECEIPT[2:]:
        assert f"{label}\t{value}".replace(" ", "") in bare
    assert page.text.startswith("Weir Hardware Ltd\n")


@needs_tessdata
@pytest.mark.parametrize("turn", [90, 180, 270])
async def test_a_picture_on_its_side_or_head_is_read(tmp_path: Path, turn: int) -> None:
    page = await read(tmp_path, receipt(turn=turn))
    assert "Stainless bracket\t318.00" in page.text


@needs_tessdata
async def test_words_of_a_crooked_scan_have_their_boxes_on_the_picture(tmp_path: Path) -> None:
    image = receipt(skew=4.0)
    page = await read(tmp_path, image)
    assert page.width is not None
    scale = image.width / page.width
    for word in page.words:
        box = word.box
        middle = ((box.x + box.width / 2) * scale, (box.y + box.height / 2) * scale)
        around = image.crop(
            tuple(round(c + d) for c, d in zip(middle * 2, (-20, -16, 20, 16), strict=True))
        )
        assert around.getextrema()[0] < 100, page.text[word.start : word.end]


@needs_tessdata
async def test_each_word_of_a_scan_has_its_confidence(tmp_path: Path) -> None:
    page = await read(tmp_path, receipt())
    at = page.text.index("318.00")
    assert len(page.words.confidences) == len(page.words)
    confidence = page.words.confidence(at, at + 6)
    assert confidence is not None
    assert 0.5 < confidence <= 1.0


@pytest.mark.parametrize("tessdata", [None, find_tessdata()])
async def test_a_large_picture_of_one_bit_is_read(tmp_path: Path, tessdata: str | None) -> None:
    path = tmp_path / "large.png"
    Image.new("1", (9990, 9990), 1).save(path)
    async with reading(tessdata=tessdata, size=1) as local:
        (page,) = await local.read(path)
    assert page.status is PageStatus.NEEDS_OCR
    assert page.problem == ("ocr_found_nothing" if tessdata else "needs_ocr")


async def test_an_empty_folder_of_models_is_not_used(tmp_path: Path) -> None:
    assert find_tessdata((str(tmp_path),)) is None
    assert installed_languages(str(tmp_path)) is None


async def test_every_installed_language_is_used_english_first(tmp_path: Path) -> None:
    for name in ("deu", "eng", "osd", "fra"):
        (tmp_path / f"{name}.traineddata").touch()
    assert find_tessdata((str(tmp_path / "none"), str(tmp_path))) == str(tmp_path)
    assert installed_languages(str(tmp_path)) == "eng+deu+fra"
