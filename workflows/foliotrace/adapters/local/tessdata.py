"""Finds Tesseract's models on this machine. Nothing is downloaded."""

from collections.abc import Sequence
from pathlib import Path

USUAL_FOLDERS = (
    "/usr/share/tesseract-ocr/5/tessdata",
    "/usr/share/tesseract-ocr/4.00/tessdata",
    "/usr/share/tessdata",
    "/usr/local/share/tessdata",
    "/opt/homebrew/share/tessdata",
    "/opt/local/share/tessdata",
)


def find_tessdata(language: str = "eng", folders: Sequence[str] = USUAL_FOLDERS) -> str | None:
    """The first folder that holds the models of `language` ("eng", "eng+deu"), or None."""
    for folder in folders:
        if all((Path(folder) / f"{part}.traineddata").is_file() for part in language.split("+")):
            return folder
    return None
