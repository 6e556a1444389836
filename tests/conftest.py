import gc
import logging
from collections.abc import Iterator

import pytest
import structlog
from llama_index_instrumentation import get_dispatcher


def pytest_configure() -> None:
    """Collecting makes hardly any garbage: looking for some took a third of its CPU."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Garbage is collected again while tests run; what collecting made is left out of each pass."""
    gc.freeze()
    gc.enable()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def log_settings_end_with_the_test() -> Iterator[None]:
    """A level or a cached logger that a test leaves behind hides log lines from those after it."""
    before, level = structlog.get_config(), logging.getLogger().level
    yield
    structlog.configure(**{**before, "cache_logger_on_first_use": False})
    logging.disable(logging.NOTSET)
    logging.getLogger().setLevel(level)
    for name, logger in logging.root.manager.loggerDict.items():
        if name.startswith("foliotrace") and isinstance(logger, logging.Logger):
            logger.disabled, logger.propagate = False, True
            logger.setLevel(logging.NOTSET)


@pytest.fixture(autouse=True)
def nobody_keeps_watching() -> Iterator[None]:
    """A test that leaves a handler on the root dispatcher bends the traces of those after it."""
    root = get_dispatcher()
    before = [*root.span_handlers, *root.event_handlers]
    yield
    assert [*root.span_handlers, *root.event_handlers] == before
