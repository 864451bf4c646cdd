"""Spans as they come over the wire: read as they are, refused with a reason, and never at a price."""

from __future__ import annotations

import gzip
import json
import time
import zlib

import pytest

from course.base import otlp

pb = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2", reason="make extra LAB=06")

TRACE, SPAN, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "b7ad6b7169203331"


def request(count: int = 1, **changes):
    """A request with some spans."""
    message = pb.ExportTraceServiceRequest()
    group = message.resource_spans.add()
    group.resource.attributes.add(key="service.name").value.string_value = "warnings"
    scope = group.scope_spans.add()
    for _ in range(count):
        fields = {
            "trace_id": bytes.fromhex(TRACE),
            "span_id": bytes.fromhex(SPAN),
            "parent_span_id": bytes.fromhex(PARENT),
            "name": "POST /predict",
            "kind": 2,
            "start_time_unix_nano": 10**18,
            "end_time_unix_nano": 10**18 + 3_000_000,
        }
        span = scope.spans.add(**{**fields, **changes})
        span.status.code = 2
        span.attributes.add(key="flights").value.int_value = 3
        event = span.events.add(name="exception")
        event.attributes.add(key="exception.message").value.string_value = "no seat for Ada"
    return message


def as_json(**changes) -> bytes:
    """The same span in JSON, as the protocol writes it: ids in hexadecimal digits, times as text."""
    span = {"traceId": TRACE, "spanId": SPAN, "parentSpanId": PARENT, "name": "POST /predict", "kind": 2}
    span |= {
        "startTimeUnixNano": "1000000000000000000",
        "endTimeUnixNano": "1000000000003000000",
        "status": {"code": 2},
    }
    span |= {"attributes": [{"key": "flights", "value": {"intValue": "3"}}]}
    message = [{"key": "exception.message", "value": {"stringValue": "no seat for Ada"}}]
    span |= {"events": [{"name": "exception", "attributes": message}], **changes}
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "warnings"}}]}
    return json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span]}]}]}).encode()


def test_protobuf_and_json_give_the_same_span():
    (one,) = otlp.parse(request().SerializeToString())
    (other,) = otlp.parse(as_json(), "application/json; charset=utf-8")
    assert one == other
    assert (one.trace_id, one.span_id, one.parent_id) == (TRACE, SPAN, PARENT)
    assert (one.service, one.name, one.kind, one.status) == ("warnings", "POST /predict", "server", "error")
    assert (one.milliseconds, one.attributes) == (3.0, {"flights": 3})


def test_every_text_of_a_span_is_seen():
    (one,) = otlp.parse(request().SerializeToString())
    texts = dict(one.texts())
    assert {"POST /predict", "exception", "warnings", "3"} <= set(texts.values())
    assert "no seat for Ada" in texts.values()
    assert any("exception.message" in place for place, text in one.texts() if text == "no seat for Ada")


@pytest.mark.parametrize(
    ("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("identity", bytes)]
)
def test_a_packed_body_is_unpacked(encoding, pack):
    assert len(otlp.parse(pack(request(3).SerializeToString()), encoding=encoding)) == 3


@pytest.mark.parametrize(
    ("body", "more", "reason"),
    [
        (b"\xff" * 50, {}, "not an ExportTraceServiceRequest in protobuf"),
        (b"{", {"media_type": "application/json"}, "not an ExportTraceServiceRequest in JSON"),
        (b"[]", {"media_type": "application/json"}, "not an ExportTraceServiceRequest in JSON"),
        (b"[" * 50_000, {"media_type": "application/json"}, "not an ExportTraceServiceRequest in JSON"),
        (b"[" * 200_000, {"media_type": "application/json"}, "more than 100,000 values"),
        (b"", {"media_type": "text/plain"}, "expected application/x-protobuf or application/json"),
        (b"x", {"encoding": "br"}, "expected the Content-Encoding gzip, deflate or none, got 'br'"),
        (b"no gzip", {"encoding": "gzip"}, "the body is not gzip"),
        (gzip.compress(b"x" * 1000, mtime=0)[:-12], {"encoding": "gzip"}, "the body ends before its gzip does"),
        (bytes(otlp.MAX_BYTES + 1), {}, "the body has more than 2 MiB"),
        (request(trace_id=b"short").SerializeToString(), {}, "has no trace id of 16 bytes"),
        (request(trace_id=bytes(16)).SerializeToString(), {}, "has no trace id of 16 bytes"),
        (request(parent_span_id=b"x").SerializeToString(), {}, "the parent of the span 'POST /predict' is no id"),
        (request(end_time_unix_nano=5).SerializeToString(), {}, "ends before it starts, or has no times"),
        (as_json(traceId="not hexadecimal at all, so no id"), {"media_type": "application/json"}, "JSON"),
    ],
)
def test_what_is_no_request_is_refused_with_its_reason(body, more, reason):
    with pytest.raises(otlp.Malformed, match=reason):
        otlp.parse(body, **more)


def deep(levels: int) -> bytes:
    """A span with an attribute that is a list in a list in a list."""
    message = request()
    value = message.resource_spans[0].scope_spans[0].spans[0].attributes[0].value
    for _ in range(levels):
        value = value.array_value.values.add()
    value.int_value = 1
    return message.SerializeToString()


def crowded(values: int) -> bytes:
    """A span with very many attributes that hold nothing."""
    message = request()
    for _ in range(values):
        message.resource_spans[0].scope_spans[0].spans[0].attributes.add()
    return message.SerializeToString()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (gzip.compress(bytes(64 << 20)), "more than 2 MiB"),  # as a gigabyte would be: what is beyond is never unpacked
        (gzip.compress(request(otlp.MAX_SPANS + 1).SerializeToString()), "more than 5,000 spans"),
        (gzip.compress(crowded(otlp.MAX_VALUES + 1)), "more than 100,000 values"),
        (gzip.compress(deep(20)), "nested more than 8 deep"),
        (gzip.compress(b"\x0a\x00" * (otlp.MAX_BYTES // 2)), "more than 100,000 values"),
    ],
    ids=["a bomb", "a flood of spans", "a crowd of attributes", "a deep nest", "a million empty groups"],
)
def test_what_is_more_than_a_collector_takes_is_refused(body, reason):
    began = time.process_time()
    with pytest.raises(otlp.Malformed, match=reason):
        otlp.parse(body, encoding="gzip")
    assert time.process_time() - began < 30


def test_a_long_text_is_cut():
    (one,) = otlp.parse(request(name="x" * 100_000).SerializeToString())
    assert len(one.name) == otlp.MAX_TEXT
