"""OCR of a picture of a page: turned upright, straightened, read, with a confidence per word."""

import io
from collections.abc import Sequence
from dataclasses import replace
from math import cos, radians, sin

from PIL import Image, ImageOps

from foliotrace.adapters.local.readers.pdf.liteparse_native import NativePage, ocr_parser
from foliotrace.adapters.local.readers.pdf.written_page import page_of
from foliotrace.adapters.local.readers.reading_options import ReadingOptions
from foliotrace.model import ParsedPage, Word, Words
from foliotrace.model.page import Box

_UNSURE = 0.62  # mean confidence: below it, the picture may stand on its side or head
_TURNS = (180, 270, 90)
_LARGEST_SIDE = 6000  # pixels; more do not read better
_SKEW_SIDE = 800  # pixels of the reduced picture whose skew is measured
_LARGEST_SKEW, _SMALLEST_SKEW = 8.0, 0.35  # degrees
_CLEARER = 1.08  # times as sharp as unturned: less is chance


def read_picture(image: Image.Image, dpi: float, options: ReadingOptions) -> ParsedPage | None:
    """The page in the picture; None if no word was recognised. `options.tessdata` must be set.

    The boxes of a page that stood on its side or head are those of the page set upright.
    """
    grey = _reduced(ImageOps.grayscale(_on_white(image)))
    dpi = dpi * grey.width / image.width
    skew = skew_of(grey)
    straight = grey.rotate(skew, Image.Resampling.BICUBIC, fillcolor=255) if skew else grey
    best = _recognise(straight, dpi, options)
    lies = _lies(best)
    if lies or _sureness(best) < _UNSURE:
        turned = [_recognise(straight.rotate(t, expand=True), dpi, options) for t in _TURNS]
        better = max(turned, key=lambda page: (not _lies(page), _evidence(page)))
        if better and (lies or _evidence(better) > 1.5 * _evidence(best)):
            return page_of(better, is_scan=True)
    page = page_of(best, is_scan=True) if best else None
    if page is None or not page.text:
        return None
    return _slanted(page, skew) if skew else page


def _reduced(image: Image.Image) -> Image.Image:
    scale = _LARGEST_SIDE / max(image.size)
    if scale >= 1:
        return image
    return image.resize((round(image.width * scale), round(image.height * scale)))


def _recognise(image: Image.Image, dpi: float, options: ReadingOptions) -> NativePage | None:
    pdf = io.BytesIO()
    image.save(pdf, "PDF", resolution=dpi, quality=95)
    parser = ocr_parser("1", tessdata=options.tessdata or "", language=options.ocr_language)
    pages = parser.parse_bytes(pdf.getvalue()).pages
    return pages[0] if pages else None


def _sureness(page: NativePage | None) -> float:
    """The mean confidence of the characters."""
    characters = sum(len(item.text) for item in page.text_items) if page else 0
    return _evidence(page) / characters if characters else 0.0


def _lies(page: NativePage | None) -> bool:
    """Whether the longer words stand upright like a column: the page lies on its side."""
    words = [word for item in page.text_items for word in item.words] if page else []
    long = [word for word in words if len(word.text) >= 4]
    return sum(word.height > 1.5 * word.width for word in long) > len(long) / 2


def _evidence(page: NativePage | None) -> float:
    """How many characters were read, each weighed with its confidence."""
    items = page.text_items if page else ()
    return sum((item.confidence or 0.0) * len(item.text) for item in items)


def skew_of(image: Image.Image) -> float:
    """By how many degrees the lines of the picture fall to the right; 0 if that is not clear.

    The rows of a straight page are either full of ink or empty.
    """
    import numpy as np

    small = image.copy()
    small.thumbnail((_SKEW_SIDE, _SKEW_SIDE))
    pixels = np.asarray(small)
    ink = Image.fromarray(((pixels < pixels.mean() - 25) * 255).astype("uint8"))

    def sharpness(angle: float) -> float:
        rows = np.asarray(ink.rotate(angle, fillcolor=0), dtype="f4").sum(axis=1)
        return float((np.diff(rows) ** 2).sum())

    def best(angles: Sequence[float]) -> float:
        return max(angles, key=sharpness)

    coarse = best([0.5 * step for step in range(-16, 17)])
    fine = best([coarse + 0.1 * step for step in range(-4, 5)])
    clear = sharpness(fine) > _CLEARER * sharpness(0.0)
    return fine if clear and _SMALLEST_SKEW <= abs(fine) <= _LARGEST_SKEW else 0.0


def _slanted(page: ParsedPage, skew: float) -> ParsedPage:
    """The page with the boxes of its words where they are on the picture as it came."""
    middle_x, middle_y = (page.width or 0) / 2, (page.height or 0) / 2
    sine, cosine = sin(radians(skew)), cos(radians(skew))

    def back(word: Word) -> Word:
        box = word.box
        x = box.x + box.width / 2 - middle_x
        y = box.y + box.height / 2 - middle_y
        left = middle_x + x * cosine - y * sine - box.width / 2
        top = middle_y + x * sine + y * cosine - box.height / 2
        return Word(word.start, word.end, Box(left, top, box.width, box.height))

    packed = Words.pack([back(word) for word in page.words])
    return replace(page, words=replace(packed, confidences=page.words.confidences))


def _on_white(image: Image.Image) -> Image.Image:
    """The picture without transparency."""
    if image.mode in {"RGBA", "LA", "P", "PA"}:
        layered = image.convert("RGBA")
        white = Image.new("RGBA", layered.size, "white")
        white.alpha_composite(layered)
        return white.convert("RGB")
    return image if image.mode in {"L", "RGB"} else image.convert("L")
