from collections.abc import Iterator

import pytest
from llama_index_instrumentation import get_dispatcher


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def nobody_keeps_watching() -> Iterator[None]:
    """A test that leaves a handler on the root dispatcher bends the traces of those after it."""
    root = get_dispatcher()
    before = [*root.span_handlers, *root.event_handlers]
    yield
    assert [*root.span_handlers, *root.event_handlers] == before
