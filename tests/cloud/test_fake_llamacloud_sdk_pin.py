"""The fake's table is the installed SDK's: an upgrade that changes a call fails here."""

import inspect
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path

import httpx
import llama_cloud
import pytest
from llama_cloud import LlamaCloud
from llama_cloud.types import ExtractV2Job, ParsingCreateResponse
from llama_cloud.types.parsing_create_params import ParsingCreateParams
from tests.fakes.llamacloud.pin import PINNED, sdk_calls, table
from tests.fakes.wire.checks import ContractBroken, body_problems, checked

ROOT = Path(__file__).parents[2]


def test_the_sdk_is_the_one_that_was_read() -> None:
    assert llama_cloud.__version__.startswith("2.19.")


def test_every_call_of_the_sdk_is_served_and_nothing_else() -> None:
    assert set(table()) == sdk_calls()


def test_no_call_has_changed_its_parameters_or_its_answer() -> None:
    assert table() == json.loads(PINNED.read_text())


@pytest.mark.parametrize(
    ("body", "kind", "where"),
    [
        ({"version": "latest"}, "missing", "tier"),
        ({"tier": "fast", "version": "latest", "lang": "en"}, "extra_forbidden", "lang"),
        ({"tier": 1, "version": "latest"}, "literal_error", "tier"),
        (
            {"tier": "fast", "version": "latest", "crop_box": {"middle": 1}},
            "extra_forbidden",
            "middle",
        ),
        (
            {"tier": "a", "version": "b", "output_options": {"granular_bboxes": ["page"]}},
            "literal_error",
            0,
        ),
        ({"tier": "a", "version": "b", "user_metadata": {"n": 1}}, "str_type", "n"),
        ([], "model_attributes_type", "body"),
    ],
)
def test_a_body_is_judged_by_the_sdk_s_own_types(body: object, kind: str, where: object) -> None:
    problems = body_problems(ParsingCreateParams, body)
    assert (problems[0]["type"], problems[0]["loc"][-1]) == (kind, where)


def test_a_reply_that_the_sdk_would_not_read_is_an_error_of_the_fake() -> None:
    good = {"id": "pjb-1", "project_id": "prj-1", "status": "PENDING"}
    assert checked(ParsingCreateResponse, good) == good
    for wrong in (good | {"status": "DONE"}, good | {"colour": "red"}, {"id": "pjb-1"}):
        with pytest.raises(ContractBroken):
            checked(ParsingCreateResponse, wrong)
    job = {"id": "e", "created_at": "2026-01-01T00:00:00Z", "file_input": "f"}
    job |= {"project_id": "p", "status": "PENDING", "updated_at": "2026-01-01T00:00:00Z"}
    with pytest.raises(ContractBroken, match="nested"):
        checked(ExtractV2Job, job | {"usage": {"nested": 1}})


@pytest.fixture(params=["llamacloud", "openai"])
def started_by_hand(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    command = [sys.executable, "-m", f"tests.fakes.{request.param}", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        yield dict(pair.split("=", 1) for pair in line.split())
        process.terminate()


def test_both_fakes_can_be_started_by_hand(started_by_hand: dict[str, str]) -> None:
    if "LLAMA_CLOUD_BASE_URL" in started_by_hand:
        with LlamaCloud(
            base_url=started_by_hand["LLAMA_CLOUD_BASE_URL"],
            api_key=started_by_hand["LLAMA_CLOUD_API_KEY"],
        ) as client:
            assert client.projects.list()[0].is_default
        return
    key = {"Authorization": f"Bearer {started_by_hand['OPENAI_API_KEY']}"}
    models = httpx.get(started_by_hand["OPENAI_BASE_URL"] + "/models", headers=key)
    assert models.json()["data"]


CALLED = re.compile(r"(?:client|jobs)\.((?:[a-z_0-9]+\.)*[a-z_0-9]+)\(")
ADAPTERS = ROOT / "workflows" / "foliotrace" / "adapters" / "llamacloud"
BY_EITHER = {  # `jobs` is one of the two
    "delete": ("parsing.delete", "extract.delete"),
    "cancel": ("parsing.cancel", "extract.cancel"),
}


def called_by_the_adapters() -> set[str]:
    """The SDK's methods that our sources call, as dotted names below the client."""
    found: set[str] = set()
    for file in ADAPTERS.rglob("*.py"):
        for name in CALLED.findall(file.read_text()):
            found.update(BY_EITHER.get(name, (name,)))
    return found - {"close"}


def test_every_call_that_the_adapters_make_is_pinned() -> None:
    names = called_by_the_adapters()
    assert {"parsing.create", "extract.create", "files.create", "retrieval.retrieve"} <= names
    client = llama_cloud.AsyncLlamaCloud(api_key="llx-fake")
    pinned = json.loads(PINNED.read_text())
    for name in sorted(names):
        method = attrgetter(name)(client)
        verb = re.search(
            r"self\.(_post|_get_api_list|_get|_put|_patch|_delete)\(\s*(?:path_template\(\s*)?"
            r"\"(/api/[^\"]+)\"",
            inspect.getsource(method),
        )
        assert verb is not None, name
        paths = {call.split(" ", 1)[1] for call in pinned}
        assert verb.group(2) in paths, f"{name} calls {verb.group(2)}, which is not pinned"
