"""A dead, slow or refusing backend neither delays nor duplicates the other."""

import signal
import time
from collections.abc import Callable

import grpc
import pytest
from tests.collector.backends import as_jaeger, as_langsmith, figures, span_ids
from tests.collector.processes import Collector, eventually
from tests.collector.program import Program, program
from tests.otlp_sink import Failure, OtlpSink

pytestmark = pytest.mark.real_servers
Run = Callable[..., Collector]
REFUSED_AT_THE_DOOR = "otelcol_receiver_refused_spans"
NO_ROOM = "otelcol_exporter_enqueue_failed_spans"
QUEUED = "otelcol_exporter_queue_size"


def fan_out(run: Run, jaeger: OtlpSink, langsmith: OtlpSink, **env: str) -> Collector:
    return run(
        **as_jaeger(jaeger),
        **as_langsmith(langsmith),
        **env,
    )


def send(sender: Program, traces: int, *, every_s: float = 0.0) -> int:
    """Send traces of three spans, flushed in groups of twenty; gives the number of spans."""
    for number in range(traces):
        sender.query()
        if number % 20 == 19:
            sender.flush()
            time.sleep(every_s)
    return 3 * traces


def fail(backend: OtlpSink, how: str) -> None:
    if how == "dead":
        backend.stop()
    elif how == "slow":
        backend.fail(Failure(delay_s=6.0))
    else:
        wait_s = 1 if how in ("429", "503") else None
        unavailable = grpc.StatusCode.UNAVAILABLE
        backend.fail(Failure(int(how), unavailable, retry_after_s=wait_s))


@pytest.mark.parametrize("how", ["dead", "slow", "401", "429", "503"])
def test_jaeger_gets_every_span_once_while_langsmith_is(
    how: str, run_collector: Run, jaeger_stand_in: OtlpSink, langsmith: OtlpSink
) -> None:
    room = "20000" if how == "401" else "60"
    collector = fan_out(run_collector, jaeger_stand_in, langsmith, LANGSMITH_QUEUE_SPANS=room)
    fail(langsmith, how)
    with program(collector) as sender:
        sent = send(sender, 300)
        eventually(lambda: len(jaeger_stand_in.spans) >= sent, within_s=5)
        failing = {"exporter": "otlp_http/langsmith"}
        if how == "401":  # a refusal for good: not asked again, not kept
            given_up = "otelcol_exporter_send_failed_spans"
            eventually(lambda: collector.figures(given_up, **failing) == sent)
        else:
            eventually(lambda: collector.figures(NO_ROOM, **failing) > 0, what="its queue is full")
            sent += send(sender, 40)
    eventually(lambda: len(jaeger_stand_in.spans) >= sent, within_s=5)
    assert figures(jaeger_stand_in, sent) == {"sent": sent, "received twice": 0, "lost": 0}
    assert collector.figures(REFUSED_AT_THE_DOOR) == 0
    assert collector.figures("otelcol_receiver_accepted_spans") == sent


@pytest.mark.parametrize("how", ["dead", "slow", "503"])
def test_langsmith_gets_every_span_once_while_jaeger_is(
    how: str, run_collector: Run, jaeger_stand_in: OtlpSink, langsmith: OtlpSink
) -> None:
    collector = fan_out(run_collector, jaeger_stand_in, langsmith, JAEGER_QUEUE_SPANS="600")
    fail(jaeger_stand_in, how)
    with program(collector) as sender:
        sent = send(sender, 300)
    eventually(lambda: collector.figures(NO_ROOM, exporter="otlp_grpc/jaeger") > 0)
    eventually(lambda: len(langsmith.spans) >= sent)
    assert figures(langsmith, sent) == {"sent": sent, "received twice": 0, "lost": 0}
    assert collector.figures(REFUSED_AT_THE_DOOR) == 0


def test_backends_killed_and_restarted_under_load_lose_nothing(
    run_collector: Run,
    jaeger_stand_in: OtlpSink,
    langsmith: OtlpSink,
    record_property: Callable[[str, object], None],
) -> None:
    collector = fan_out(run_collector, jaeger_stand_in, langsmith)
    sent = 0
    with program(collector) as sender:
        for backend in (langsmith, jaeger_stand_in, langsmith):
            sent += send(sender, 200, every_s=0.02)
            backend.stop()
            sent += send(sender, 400, every_s=0.05)
            backend.start()
            sent += send(sender, 200, every_s=0.02)
    for name, backend in {"Jaeger": jaeger_stand_in, "LangSmith": langsmith}.items():
        eventually(lambda backend=backend: len(span_ids(backend)) == sent, within_s=30)
        record_property(name, figures(backend, sent))
        print(name, figures(backend, sent))
        assert figures(backend, sent)["lost"] == 0
        assert figures(backend, sent)["received twice"] <= 512  # at most the batch in the air


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_a_full_queue_survives_the_collectors_restart(
    end: signal.Signals,
    run_collector: Run,
    jaeger_stand_in: OtlpSink,
    langsmith: OtlpSink,
) -> None:
    collector = fan_out(run_collector, jaeger_stand_in, langsmith, LANGSMITH_QUEUE_SPANS="600")
    langsmith.stop()
    with program(collector) as sender:
        send(sender, 300, every_s=0.1)
    failing = {"exporter": "otlp_http/langsmith"}
    arrived = lambda: [collector.figures(name, **failing) for name in (QUEUED, NO_ROOM)]  # noqa: E731
    kept, refused = eventually(lambda: sum(arrived()) == 900 and arrived())
    assert kept <= 600
    assert refused >= 300
    collector.stop(how=end)
    langsmith.start()
    collector.start()
    eventually(lambda: len(span_ids(langsmith)) >= kept, within_s=30)
    assert figures(langsmith, int(kept)) == {"sent": kept, "received twice": 0, "lost": 0}
    assert len(span_ids(jaeger_stand_in)) == 900


def test_a_normal_stop_keeps_the_traces_that_were_still_being_decided(
    run_collector: Run, jaeger_stand_in: OtlpSink, langsmith: OtlpSink
) -> None:
    undecided = {"LANGSMITH_DECISION_WAIT": "60s", "LANGSMITH_DECISION_WAIT_AFTER_ROOT": "60s"}
    collector = fan_out(run_collector, jaeger_stand_in, langsmith, **undecided)
    with program(collector) as sender:
        sent = send(sender, 100)
    assert not langsmith.received
    assert collector.stop() == 0
    collector.start()
    for backend in (jaeger_stand_in, langsmith):
        eventually(lambda backend=backend: len(span_ids(backend)) == sent)
        assert figures(backend, sent) == {"sent": sent, "received twice": 0, "lost": 0}
