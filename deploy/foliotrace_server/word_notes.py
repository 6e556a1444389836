"""What the reference pages say of words that are told without a message of their own."""

from collections.abc import Mapping
from typing import Final

PAGE_PROBLEMS: Final[Mapping[str, tuple[str, str]]] = {
    "needs_ocr": ("needs_ocr", "A scanned page or a picture, and no Tesseract models were found."),
    "ocr_found_nothing": ("needs_ocr", "OCR ran and recognised no word."),
    "page_unreadable": ("failed", "The page's own structure is damaged."),
    "parse_timed_out": ("failed", "It took longer than the limit; its process was killed."),
    "parse_crashed": ("failed", "It ended its process, or used more memory or CPU than allowed."),
    "parse_not_started": ("failed", "No parser process could be started."),
    "cloud_page_failed": ("failed", "LlamaParse failed on it; the local parser is asked next."),
    "cloud_page_empty": ("failed", "LlamaParse found nothing; the local parser is asked next."),
}
"""Problem of a page -> its status, and why."""
NOTES: Final[Mapping[str, str]] = {
    "file_encrypted": "The file needs a password or is encrypted.",
    "file_too_complex": "Reading the file would cost more than one file may.",
    "file_truncated": "The file ends too early.",
    "file_unreadable": "The command line cannot open the file.",
    "job_crashed_repeatedly": "The process died each time it worked on this job; it is given up.",
    "workflow_not_hosted": "The workflow of this job is no longer hosted.",
    "<answer>_answer": "A lower kind of answer was given: quotes, a stale one, a template.",
    "<method>_<reason>": "A way to extract failed for that reason; the next one was used.",
    "answer_cut_by_budget": "A streamed answer reached what was reserved for it, and was cut.",
    "crashed": "A parser process ended itself, or used more memory or CPU than allowed.",
    "document_too_long": "It is too long for the language model; rules extracted from it.",
    "generated_answer_unsupported": "No sentence of the model's answer stood on its passages.",
    "llamacloud_<problem>": "LlamaCloud did not do what was asked.",
    "not_started": "A parser process could not be started.",
    "pages_degraded": "Some pages were read by another engine than the one that is configured.",
    "pages_unreadable": "Some pages could not be read; what stands on them was not seen.",
    "timed_out": "A parser process took longer than its limit, and was killed.",
}
"""What is said of words that are told without a message."""
