"""Refusals in OpenAI's shape."""

import re
from typing import Any

ERROR_TYPES = {401: "invalid_request_error", 403: "permission_error", 429: "rate_limit_error"}


class Refused(Exception):
    """The request is answered with `status` and OpenAI's error object."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def error_body(status: int, detail: str) -> dict[str, Any]:
    """OpenAI's error object; a "code: " before the message becomes its code."""
    code, colon, message = detail.partition(": ")
    has_code = bool(colon) and re.fullmatch(r"\w+", code) is not None
    kind = ERROR_TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    if has_code and code == "insufficient_quota":
        kind = code
    shown = {"message": message if has_code else detail, "type": kind, "param": None}
    return {"error": shown | {"code": code if has_code else None}}
