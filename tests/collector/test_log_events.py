"""Log events, audit checkpoints among them: on the collector's own output, or at a log store."""

import json
from collections.abc import Callable

import grpc
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import LogsServiceStub
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from tests.collector.processes import Collector, eventually
from tests.otlp_sink import OtlpSink, attributes_of

pytestmark = pytest.mark.real_servers
SIGNED = '{"signature":"AB12 CDEF 3456 7890 1234+49 170 1234567 jane.doe@example.org"}'
CHECKPOINT = {
    "foliotrace.audit.checkpoint": SIGNED,
    "foliotrace.audit.head": "9f86d081884c7d65",
    "contact": "jane.doe@example.org",
    "gen_ai.input.messages": "the refund window",
}


def send_checkpoint(collector: Collector) -> None:
    record = LogRecord(
        event_name="foliotrace.audit.checkpoint",
        body=AnyValue(string_value="checkpoint signed by jane.doe@example.org"),
        attributes=[
            KeyValue(key=key, value=AnyValue(string_value=value))
            for key, value in CHECKPOINT.items()
        ],
    )
    logs = [ResourceLogs(scope_logs=[ScopeLogs(log_records=[record])])]
    with grpc.insecure_channel(collector.grpc) as channel:
        LogsServiceStub(channel).Export(ExportLogsServiceRequest(resource_logs=logs), timeout=5)


def test_by_default_an_event_is_written_to_the_collectors_output_masked(
    run_collector: Callable[..., Collector],
) -> None:
    collector = run_collector()
    send_checkpoint(collector)
    written = eventually(
        lambda: CHECKPOINT["foliotrace.audit.head"] in (t := shown(collector)) and t
    )
    assert "checkpoint signed by ****" in written
    assert (escaped := json.dumps(SIGNED)[1:-1]) in written
    assert "jane.doe" not in written.replace(escaped, "")
    assert "refund" not in written


def test_a_log_store_that_speaks_otlp_gets_it_masked(
    run_collector: Callable[..., Collector],
) -> None:
    with OtlpSink(http_path_prefix="/otlp") as store:
        collector = run_collector(
            LOGS_EXPORTER="otlp_http/logs", LOGS_OTLP_ENDPOINT=store.http_endpoint
        )
        send_checkpoint(collector)
        assert store.wait_for(lambda sink: sink.of("logs"))
        assert CHECKPOINT["foliotrace.audit.head"].encode() in store.raw("logs")
        assert b"foliotrace.audit.checkpoint" in store.raw("logs")
        (record,) = store.log_records
        assert attributes_of(record)["foliotrace.audit.checkpoint"] == SIGNED
        assert b"jane.doe" not in store.raw("logs").replace(SIGNED.encode(), b"")
        assert b"refund" not in store.raw("logs")


def shown(collector: Collector) -> str:
    return collector.log.read_text()
