"""Checks of reading and searching documents: OCR, and the model of the vector index."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from foliotrace.adapters.local.readers.reading_options import find_tessdata, installed_languages
from foliotrace_server.doctor.registry import Outcome, check
from foliotrace_server.settings import Settings, environment

TESSERACT_CODES: Final = {
    **{"ar": "ara", "bg": "bul", "cs": "ces", "da": "dan", "de": "deu", "el": "ell", "en": "eng"},
    **{"es": "spa", "et": "est", "fi": "fin", "fr": "fra", "ga": "gle", "he": "heb", "hi": "hin"},
    **{"hr": "hrv", "hu": "hun", "id": "ind", "is": "isl", "it": "ita", "ja": "jpn", "ko": "kor"},
    **{"lt": "lit", "lv": "lav", "mt": "mlt", "nl": "nld", "no": "nor", "nb": "nor", "pl": "pol"},
    **{"pt": "por", "ro": "ron", "ru": "rus", "sk": "slk", "sl": "slv", "sr": "srp", "sv": "swe"},
    **{"th": "tha", "tr": "tur", "uk": "ukr", "vi": "vie", "zh": "chi_sim", "ger": "deu"},
}
"""Tesseract's codes of the languages of ISO 639-1, and of one that is often written."""


@check(
    "OCR",
    checks="Tesseract's trained data can be found",
    hint="text of scans: `apt install tesseract-ocr` (`dnf install tesseract`, `brew install"
    " tesseract`), or set ingest.tessdata",
)
def _ocr(settings: Settings) -> Outcome:
    tessdata = settings.ingest.tessdata or find_tessdata()
    languages = installed_languages(str(tessdata)) if tessdata else None
    prefix = environment().get("TESSDATA_PREFIX")
    if prefix and settings.ingest.tessdata is None and not installed_languages(prefix):
        said = f"TESSDATA_PREFIX is {prefix}, which holds no *.traineddata; it is not read"
        return "warning", f"{said}: {tessdata or 'no folder'} is used", "Set ingest.tessdata."
    if languages:
        wanted = settings.ingest.ocr_languages or languages
        found = {path.stem for path in Path(str(tessdata)).glob("*.traineddata")}
        if missing := [each for each in wanted.split("+") if each not in found]:
            hint = _languages_hint(missing[0], wanted)
            return "problem", f"no trained data for {', '.join(missing)} in {tessdata}", hint
        return "on", f"{wanted} in {tessdata}"
    if settings.ingest.ocr_languages is not None and settings.ingest.tessdata is None:
        hint = "`apt install tesseract-ocr`, or set ingest.tessdata."
        return "problem", "ingest.ocr_languages is set, and no trained data is installed", hint
    if settings.ingest.tessdata is not None:
        exists = Path(settings.ingest.tessdata).is_dir()
        return (
            "problem",
            f"{tessdata} {'holds no trained data' if exists else 'does not exist'}",
            ("Set ingest.tessdata to the folder that holds *.traineddata, or remove it."),
        )
    return "off", "scanned pages are reported as needs_ocr"


def _languages_hint(missing: str, wanted: str) -> str:
    if code := TESSERACT_CODES.get(missing.lower()):
        right = "+".join(code if each == missing else each for each in wanted.split("+"))
        return f"Tesseract's code is {code}: set ingest.ocr_languages to {right}."
    package = missing.lower().replace("_", "-")  # as Debian names chi_sim
    return f"`apt install tesseract-ocr-{package}`, or correct ingest.ocr_languages."


@check("vector index", checks="the vectors of the data folder are of the configured model")
def _vector_index(settings: Settings) -> Outcome:
    """Read without opening the index as a server would: that could write to it."""
    path = settings.data_dir / "vectors.db"
    if not path.is_file() or not path.stat().st_size:
        return "off", "none yet"
    try:
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=1)) as database:
            model = str(database.execute("SELECT model FROM state").fetchone()[0])
            row = database.execute("SELECT length(vector) FROM vectors LIMIT 1").fetchone()
    except (sqlite3.Error, TypeError) as error:
        return "warning", f"{path.name} cannot be read: {error}", "`foliotrace check` looks closer."
    if row is None or not model:
        return "off", "no vectors yet"
    said = f"{model}, {row[0] // 4} dimensions"
    if settings.embedding is None or settings.embedding.model == model:
        return "on", said
    hint = f"Set embedding.model back to {model}, or let the next start embed every document anew"
    return (
        "warning",
        f"its vectors are of {said}; the settings name {settings.embedding.model}",
        (f"{hint} (`foliotrace serve`; it takes time and, with a paid model, money)."),
    )
