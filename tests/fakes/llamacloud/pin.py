"""What the fake took from the installed SDK, as data: a change of the SDK shows as a difference.

`python -m tests.fakes.llamacloud.pin` rewrites `sdk_calls.json` after a deliberate upgrade.
"""

import importlib
import inspect
import json
import re
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from tests.fakes.llamacloud.cloud import FakeLlamaCloud
from tests.fakes.llamacloud.routing import ENDPOINTS
from typing_extensions import get_type_hints

PINNED = Path(__file__).with_name("sdk_calls.json")
SERVED = (
    "files",
    "parsing",
    "extract",
    "indexes",
    "retrieval",
    "projects",
    "v2_projects",
    "configurations",
    "webhook_configs",
    "batches",
    "classify",
    "split",
    "beta.attachments",
    "beta.directories.directories",
    "beta.directories.files",
)
METHODS = {"_post": "POST", "_get": "GET", "_put": "PUT", "_patch": "PATCH", "_delete": "DELETE"}
CALL = re.compile(
    r"self\.(_post|_get|_put|_patch|_delete|_get_api_list)\(\s*(?:path_template\(\s*)?\"(/api/[^\"]+)\""
)
assert FakeLlamaCloud.api_key, "importing the fake fills the table"


def sdk_calls() -> set[str]:
    """Every call that the SDK's served resources make, read from their source."""
    found = set()
    for name in SERVED:
        source = inspect.getsource(importlib.import_module(f"llama_cloud.resources.{name}"))
        for call in CALL.finditer(source):
            found.add(f"{_method(call.group(1), source[call.end() :])} {call.group(2)}")
    return found


def _method(verb: str, rest: str) -> str:
    """List calls are GET unless they say `method="post"` before the next definition."""
    if verb != "_get_api_list":
        return METHODS[verb]
    this_call = re.split(r"\n    (?:async )?def ", rest)[0]
    return "POST" if 'method="post"' in this_call else "GET"


def table() -> dict[str, dict[str, list[str]]]:
    """Per endpoint: the parameter names it accepts and the fields it may answer."""
    return {
        endpoint.name: {
            "params": sorted(get_type_hints(endpoint.params)) if endpoint.params else [],
            "returns": _fields(endpoint.returns),
        }
        for endpoint in sorted(ENDPOINTS, key=lambda endpoint: endpoint.name)
    }


def _fields(model: Any) -> list[str]:
    inner = get_args(model)
    if inner:
        return _fields(inner[0])
    if inspect.isclass(model) and issubclass(model, BaseModel):
        generic = model.__pydantic_generic_metadata__["args"]
        return sorted(generic[0].model_fields if generic else model.model_fields)
    return []


if __name__ == "__main__":
    PINNED.write_text(json.dumps(table(), indent=1) + "\n")
    print(f"wrote {PINNED}")
