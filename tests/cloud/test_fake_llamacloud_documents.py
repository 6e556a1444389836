"""Real documents through the fake: every reply passes the SDK's strict validation."""

from pathlib import Path
from typing import Any

import pytest
from llama_cloud import LlamaCloud
from tests.fakes.llamacloud import Pace, running_fake_llamacloud

SAMPLES = Path(__file__).parents[2] / ".." / "shared" / "data" / "sample-docs"
FILES = sorted(SAMPLES.glob("*.*")) if SAMPLES.is_dir() else []
SLACK_PT = 3.0


def parsed(path: Path) -> Any:
    with (
        running_fake_llamacloud(pace=Pace(polls=1)) as fake,
        LlamaCloud(
            api_key=fake.api_key, base_url=fake.url, _strict_response_validation=True
        ) as client,
    ):
        file = client.files.create(file=path, purpose="parse")
        job = client.parsing.create(tier="fast", version="latest", file_id=file.id)
        return client.parsing.get(job.id, expand=["text", "markdown", "items", "metadata"])


@pytest.mark.skipif(not FILES, reason="the shared sample documents are not here")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_real_document_is_parsed_or_its_job_fails_with_a_reason(path: Path) -> None:
    reply = parsed(path)
    if reply.job.status == "FAILED":
        assert reply.job.error_message
        return
    numbers = [page.page_number for page in reply.text.pages]
    assert numbers == list(range(1, len(numbers) + 1))
    for text, page in zip(reply.text.pages, reply.items.pages, strict=True):
        said = "".join(text.text.split())
        for item in page.items:
            box = item.bbox[0]
            assert box.w > 0
            assert box.h > 0
            assert box.x + box.w <= page.page_width + SLACK_PT
            if item.type == "text":
                assert "".join(item.value.split()) in said


@pytest.mark.skipif(not FILES, reason="the shared sample documents are not here")
def test_most_documents_have_text() -> None:
    replies = [parsed(path) for path in FILES if path.suffix in (".pdf", ".docx", ".xlsx")]
    told = [r for r in replies if r.text and any(page.text.strip() for page in r.text.pages)]
    assert len(told) / len(replies) > 0.75
