"""Images: each frame is a page, read by OCR if there are models, else marked `needs_ocr`."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from foliotrace.adapters.local.files.filetype import HEIC, sniff
from foliotrace.adapters.local.readers.pdf.ocr import read_picture
from foliotrace.adapters.local.readers.reading_options import Overview, ReadingOptions, Refusal
from foliotrace.catalog import ErrorCode, PageProblem
from foliotrace.model import PageKind, PageStatus, ParsedPage

_SCREEN_DPI = 96.0
_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP")
_HEIC_FORMATS = ("HEIF", *_FORMATS)


def overview(path: Path, options: ReadingOptions) -> Overview:
    """The number of frames. Raises Refusal."""
    with _opened(path, options) as image:
        # Pillow's classes of single-frame formats lack the attribute.
        return Overview(pages_total=getattr(image, "n_frames", 1))


def pages(path: Path, numbers: range, options: ReadingOptions) -> Iterator[ParsedPage]:
    """The frames of `numbers`."""
    with _opened(path, options) as image:
        for number in numbers:
            yield _page(image, number, options)


@contextmanager
def _opened(path: Path, options: ReadingOptions) -> Iterator[Image.Image]:
    Image.MAX_IMAGE_PIXELS = options.limits.image_pixels
    formats = _formats(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=formats) as image:
                yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Refusal(ErrorCode.FILE_TOO_COMPLEX, "the picture has too many pixels") from error
    except UnidentifiedImageError as error:
        raise Refusal(ErrorCode.FILE_MALFORMED, "the picture cannot be decoded") from error
    except OSError as error:
        code = (
            ErrorCode.FILE_TRUNCATED
            if "truncated" in str(error).lower()
            else ErrorCode.FILE_MALFORMED
        )
        raise Refusal(code, "the picture's data are damaged or end early") from error


def _formats(path: Path) -> tuple[str, ...]:
    """What Pillow may open. Raises Refusal for a HEIC picture without its decoder."""
    if sniff(path) != HEIC:
        return _FORMATS
    try:
        from pi_heif import register_heif_opener  # the extra `heic`
    except ImportError as error:
        raise Refusal(
            ErrorCode.NEEDS_CONVERTER,
            "it is a HEIC picture, and its decoder (foliotrace[heic]) is not installed",
        ) from error
    register_heif_opener()
    return _HEIC_FORMATS


def _page(image: Image.Image, number: int, options: ReadingOptions) -> ParsedPage:
    image.seek(number - 1)
    dpi = _dpi(image)
    upright = ImageOps.exif_transpose(image)
    empty = ParsedPage(
        number=number,
        text="",
        kind=PageKind.IMAGE,
        width=upright.width * 72 / dpi,
        height=upright.height * 72 / dpi,
        status=PageStatus.NEEDS_OCR,
        problem=PageProblem.NEEDS_OCR,
    )
    if options.tessdata is None:
        upright.load()
        return empty
    page = read_picture(upright, dpi, options)
    if page is None:
        return replace(empty, problem=PageProblem.OCR_FOUND_NOTHING)
    return replace(page, number=number, kind=PageKind.IMAGE, label=None)


def _dpi(image: Image.Image) -> float:
    stated = image.info.get("dpi")
    dpi = float(stated[0]) if stated and stated[0] else _SCREEN_DPI
    return dpi if 50 <= dpi <= 1200 else _SCREEN_DPI
