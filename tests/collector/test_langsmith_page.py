"""Every shell block of the how-to page about LangSmith: collector, service and copy of ratings."""

import json
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from tests.collector.backends import as_langsmith
from tests.collector.processes import eventually
from tests.fakes.langsmith import running_fake_langsmith
from tests.loop.pages.reader import blocks, reader_of
from tests.otlp_sink import OtlpSink

pytestmark = [pytest.mark.slow, pytest.mark.timeout(290), pytest.mark.real_servers]
ASKED = 200


def ask(url: str) -> None:
    body = json.dumps({"query": "What is the joining fee?"}).encode()
    with urlopen(Request(url, body, {"content-type": "application/json"})) as answered:
        assert answered.status == 200


def test_send_to_langsmith(tmp_path: Path, collector_binary: str) -> None:
    with (
        running_fake_langsmith() as fake,
        OtlpSink(http_path_prefix="/otel") as spans,
        reader_of(tmp_path) as reader,
    ):
        fake.state.create_project({"name": "refunds"})  # as the first traces over OTLP do
        cache = Path(collector_binary).parents[2]
        reader.variables |= {"XDG_CACHE_HOME": str(cache), "LANGSMITH_ENDPOINT": fake.url}
        reader.collector_variables = as_langsmith(spans)
        for kind, text in blocks("send-to-langsmith"):
            reader.follow(kind, text)
        for _ in range(ASKED):  # of which a tenth arrives, as the page has set
            ask(f"http://localhost:{reader.port}/v1/query")
        eventually(lambda: any(b"joining fee" in each.raw for each in spans.received))
        (project,) = {each.headers["langsmith-project"] for each in spans.received}
        assert project == "refunds"
        assert [each["key"] for each in fake.state.feedback.values()] == ["user_score"]
