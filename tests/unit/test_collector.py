"""The collector of a notebook, and the evening that lab 06 looks at."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

import pytest

from course import collector, traces

pytest.importorskip("duckdb", reason="make extra LAB=06")
sdk = pytest.importorskip("opentelemetry.sdk.trace", reason="make extra LAB=06")


@pytest.fixture
def running():
    """A collector that runs."""
    one = collector.start()
    yield one
    one.close()


def send(running, path: str, body: bytes, **headers: str) -> tuple[int, str]:
    """Send bytes; the status and what was answered."""
    address = urlsplit(running.endpoint)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=20)
    try:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_spans_of_the_sdk_arrive_in_the_table(running):
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    provider = sdk.TracerProvider(resource=Resource({"service.name": "kitchen"}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"{running.endpoint}/v1/traces")))
    tracer = provider.get_tracer("test")
    with tracer.start_as_current_span("breakfast"), tracer.start_as_current_span("coffee", attributes={"sugar": 2}):
        pass
    provider.shutdown()
    assert running.wait(2) == 2
    found = running.sql(
        "SELECT service, name, parent_id IS NULL AS first, attributes['sugar'] AS sugar FROM spans ORDER BY 2"
    )
    assert found["name"].tolist() == ["breakfast", "coffee"]
    assert found["first"].tolist() == [True, False]
    assert found.loc[1, "sugar"] == "2"
    assert set(found["service"]) == {"kitchen"}


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("/v1/traces", b"\xff\xff", "not an ExportTraceServiceRequest"),
        ("/v1/logs", b"", "spans go to /v1/traces; a request came to '/v1/logs'"),
        ("/v1/traces", bytes(3 << 20), "the body has more than 2 MiB"),
    ],
)
def test_what_it_does_not_take_is_listed_with_the_reason(running, path, body, reason):
    try:
        status, said = send(running, path, body, **{"Content-Type": "application/x-protobuf"})
    except ConnectionError:  # it hung up while the rest of a large body was on its way
        status, said = 400, reason
    assert (status, reason in said) == (400, True)
    assert reason in running.refused[-1]
    assert len(running) == 0


def test_it_keeps_a_bounded_number_of_spans_and_of_reasons(running, monkeypatch):
    spans, _ = traces.evening()
    monkeypatch.setattr(collector, "MOST_SPANS", 10)
    with pytest.raises(collector.Malformed, match="keeps 10 spans, and has 0"):
        running.add(spans[:11])
    monkeypatch.setattr(collector, "MOST_REFUSED", 2)
    for number in range(4):
        send(running, f"/{number}", b"")
    assert len(running.refused) == 2
    assert "/3" in running.refused[-1]


def test_the_evening_is_the_same_each_time_and_has_two_faults():
    spans, log = traces.evening()
    assert (spans, log.to_dict()) == (traces.evening()[0], traces.evening()[1].to_dict())
    store = collector.Spans(spans)
    late = store.sql("SELECT trace_id FROM spans WHERE parent_id IS NULL AND duration_ms > 2000")
    complaint = log.loc[log["request_id"] == traces.COMPLAINT]
    assert len(complaint) == 1
    assert complaint["trace_id"].item() in set(late["trace_id"])
    slow = store.sql(
        "SELECT name, count(*) AS n FROM spans WHERE duration_ms > 2000 AND name IN ('station', 'features') GROUP BY 1"
    )
    assert slow["n"].sum() == len(late)
    assert set(slow["name"]) == {"station", "features"}
    store.close()
