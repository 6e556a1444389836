"""A collector that is killed 20 ms after it has acknowledged spans, again and again.

`KILLS=50` makes the run that docs/how-to/operate-the-collector.md quotes.
"""

import os
import signal
import time
from collections.abc import Callable

import pytest
from tests.collector.backends import as_jaeger, as_langsmith, figures, span_ids
from tests.collector.processes import Collector, eventually
from tests.collector.program import program
from tests.otlp_sink import OtlpSink

pytestmark = [pytest.mark.real_servers, pytest.mark.timeout(600)]
KILLS = int(os.environ.get("KILLS", "4"))  # noqa: TID251 - the length of the run
AFTER_S = float(os.environ.get("KILLED_AFTER_S", "0.02"))  # noqa: TID251 - likewise
TRACES = 20


def test_jaeger_gets_what_a_collector_acknowledged_before_it_was_killed(
    run_collector: Callable[..., Collector],
    jaeger_stand_in: OtlpSink,
    langsmith: OtlpSink,
    record_property: Callable[[str, object], None],
) -> None:
    collector = run_collector(
        **as_jaeger(jaeger_stand_in),
        **as_langsmith(langsmith),
        LANGSMITH_DECISION_WAIT="1s",
        LANGSMITH_DECISION_WAIT_AFTER_ROOT="1s",
    )
    sent = 0
    for _ in range(KILLS):
        with program(collector) as sender:
            for _ in range(TRACES):
                sender.query()
            sent += 3 * TRACES
            sender.flush()  # returns when the collector has acknowledged
        time.sleep(AFTER_S)
        collector.stop(how=signal.SIGKILL)
        collector.start()
    time.sleep(3)
    found = {"Jaeger": figures(jaeger_stand_in, sent), "LangSmith": figures(langsmith, sent)}
    print(KILLS, "kills", found)
    record_property("kills", found)
    eventually(lambda: len(span_ids(jaeger_stand_in)) == sent, within_s=15)
    assert figures(jaeger_stand_in, sent)["lost"] == 0
