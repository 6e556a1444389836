"""The file that a start event of `ingest` brings along: its bytes, or where they are.

So a host that offers workflows and nothing else can take documents in.
"""

import base64
import binascii
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from foliotrace.catalog import ErrorCode
from foliotrace.errors import FileRefused, InvalidRequest
from foliotrace.ingest.services import IngestServices
from foliotrace.ingest.upload import Upload
from foliotrace.ports import OutsideFile

if TYPE_CHECKING:
    from foliotrace.ingest.workflow import IngestDocument

_SOURCES: Final = ("document_id", "content", "file", "url")
_OF_A_FILE: Final = ("name", "collection", "metadata", "pages")


def brings_a_file(start: "IngestDocument") -> bool:
    """Whether the start event brings a file, and not the id of a document that is registered.

    Raises InvalidRequest if it does both or neither.
    """
    named = [each for each in _SOURCES if getattr(start, each) is not None]
    if len(named) != 1:
        raise InvalidRequest(f"send exactly one of {', '.join(f'`{each}`' for each in _SOURCES)}")
    if named == ["document_id"]:
        if any(getattr(start, each) is not None for each in _OF_A_FILE):
            raise InvalidRequest(
                "a registered document has its name, collection, metadata and pages"
            )
        return False
    if named == ["content"] and not start.name:
        raise InvalidRequest("`content` needs a `name`")
    return True


@asynccontextmanager
async def upload_of(services: IngestServices, start: "IngestDocument") -> AsyncIterator[Upload]:
    """The upload that a start event stands for, while its source is open.

    Raises InvalidRequest, FileRefused `file_too_large`, NotAllowed `source_not_allowed`, NotFound
    `source_not_found`, SourceUnavailable, DeadlineExceeded.
    """
    if start.content is not None:
        limit_bytes = services.settings.max_inline_bytes
        yield _upload(start, OutsideFile(start.name or "", _decoded(start.content, limit_bytes)))
    elif start.file is not None:
        async with services.outside_files.open(start.file) as file:
            yield _upload(start, file)
    else:
        async with services.outside_files.fetch(start.url or "") as file:
            yield _upload(start, file)


def _upload(start: "IngestDocument", file: OutsideFile) -> Upload:
    options = {each: getattr(start, each) for each in ("collection", "metadata", "pages")}
    return Upload(
        name=start.name or file.name,
        content=file.content,
        path=start.path,
        job_id=start.job_id,
        **{name: value for name, value in options.items() if value is not None},
    )


async def _decoded(content: str, limit_bytes: int) -> AsyncIterator[bytes]:
    if len(content) > 4 * -(-limit_bytes // 3):
        raise FileRefused(
            f"A file inside a start event may have {limit_bytes} bytes.",
            name="content",
            code=ErrorCode.FILE_TOO_LARGE,
            hint="Name it by `file` or `url`, or raise ingest.max_inline_bytes.",
        )
    try:
        yield base64.b64decode(content, validate=True)
    except binascii.Error:
        raise InvalidRequest("`content` is not base64") from None
