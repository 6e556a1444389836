"""The codes a file can be refused with, and what its owner can do about each."""

from foliotrace.errors import FileRefused, UnsupportedFile

HINTS = {
    "file_empty": "The file has no content. Check the upload, and send it again.",
    "file_too_large": "Split the file, or raise the size limit in the settings.",
    "file_encrypted": "Remove the password or the encryption, and send the file again.",
    "file_malformed": "Open the file in its own application, save it anew, and send it again.",
    "file_truncated": "The end of the file is missing. Send the whole file again.",
    "file_type_unsupported": (
        "Convert it to PDF, DOCX, PPTX, XLSX, CSV, HTML, Markdown, text, PNG, JPEG or TIFF."
    ),
    "file_too_complex": "The file needs more time or memory than allowed. Split or simplify it.",
}


def refusal(name: str, code: str, why: str) -> FileRefused:
    """The error for the file called `name`; `why` is half a sentence without content."""
    kind = UnsupportedFile if code == "file_type_unsupported" else FileRefused
    return kind(f"{name}: {why}.", name=name, code=code, hint=HINTS[code])
