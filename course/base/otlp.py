"""Spans as they come over OTLP/HTTP, as protobuf or JSON, from whoever sends them. Used by the collector and by checks.

What is read is bounded: bytes before and after decompression, spans, values, nesting and text. Protobuf is read by the
library that OpenTelemetry publishes; nothing that was sent is executed.
"""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

MAX_BYTES = 2 << 20  # of one body, as sent and unpacked; a full batch of the SDK, 512 spans, has about 200 kB
MAX_SPANS = 5_000  # in one body
MAX_VALUES = 100_000  # attributes, events, links and what they hold, in one body
MAX_DEPTH = 8  # of an attribute's value
MAX_TEXT = 2_000  # characters of a name or a value; more is cut off
KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
STATUSES = ("unset", "ok", "error")
_WINDOWS = {"gzip": 31, "deflate": 15}  # of zlib


class Malformed(ValueError):
    """A body that is not taken; the message gives the reason."""


@dataclass(frozen=True)
class Span:
    """One span.

    Attributes:
        trace_id, span_id, parent_id: in lower-case hexadecimal digits; a span without a parent has "".
        service: service.name of its resource, or "".
        name: what was done.
        kind: one of KINDS.
        start, end: nanoseconds since 1970.
        status: one of STATUSES.
        message: the description of the status.
        attributes: plain data, by name.
        resource: the attributes of what sent it.
        events: name and attributes of each event, and the attributes of each link.
    """

    trace_id: str
    span_id: str
    parent_id: str
    service: str
    name: str
    kind: str
    start: int
    end: int
    status: str = "unset"
    message: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    resource: Mapping[str, Any] = field(default_factory=dict)
    events: tuple[tuple[str, Mapping[str, Any]], ...] = ()

    @property
    def milliseconds(self) -> float:
        """How long it took."""
        return (self.end - self.start) / 1e6

    def texts(self) -> Iterator[tuple[str, str]]:
        """Every text that it carries, with the place where it stands, such as `the attribute http.target`."""
        yield "the name", self.name
        yield "the description of the status", self.message
        for place, attributes in (("the attribute", self.attributes), ("the resource's", self.resource)):
            yield from _texts(place, attributes)
        for name, attributes in self.events:
            yield "the name of an event", name
            yield from _texts(f"the event {name[:60]}, in", attributes)


def parse(body: bytes, media_type: str = "application/x-protobuf", encoding: str = "") -> list[Span]:
    """The spans of one request to /v1/traces.

    Args:
        body: as it came over the wire.
        media_type: its Content-Type.
        encoding: its Content-Encoding: gzip, deflate or nothing.

    Raises:
        Malformed: it is no such request, or more than is taken.
    """
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    body = _unpacked(body, encoding.strip().lower())
    kind = media_type.partition(";")[0].strip().lower()
    if kind == "application/json":
        return _Reader(hexadecimal=True).spans(_from_json(body, ExportTraceServiceRequest()))
    if kind != "application/x-protobuf":
        raise Malformed(f"expected application/x-protobuf or application/json, got the Content-Type {kind[:60]!r}")
    try:
        request = ExportTraceServiceRequest.FromString(body)
    except (DecodeError, ValueError) as error:
        raise Malformed(f"the body is not an ExportTraceServiceRequest in protobuf: {str(error)[:100]}") from None
    return _Reader(hexadecimal=False).spans(request)


def _unpacked(body: bytes, encoding: str) -> bytes:
    if encoding in _WINDOWS and len(body) <= MAX_BYTES:
        unpack = zlib.decompressobj(_WINDOWS[encoding])
        try:
            body = unpack.decompress(body, MAX_BYTES + 1)
        except zlib.error as error:
            raise Malformed(f"the body is not {encoding}: {error}") from None
        if not unpack.eof and len(body) <= MAX_BYTES:
            raise Malformed(f"the body ends before its {encoding} does")
    elif encoding not in ("", "identity", *_WINDOWS):
        raise Malformed(f"expected the Content-Encoding gzip, deflate or none, got {encoding[:60]!r}")
    if len(body) > MAX_BYTES:
        raise Malformed(f"the body has more than {MAX_BYTES >> 20} MiB; send smaller batches")
    return body


def _from_json(body: bytes, request: Any) -> Any:
    from google.protobuf.json_format import Error, ParseDict

    if sum(map(body.count, (b",", b"[", b"{"))) > MAX_VALUES:
        raise Malformed(f"the body holds more than {MAX_VALUES:,} values")
    try:
        # JSON has ids in hexadecimal digits, protobuf's own JSON in base64; the reader turns that round again
        found = json.loads(body)
        if not isinstance(found, dict):
            raise ValueError(f"expected an object, got {type(found).__name__}")
        return ParseDict(found, request, ignore_unknown_fields=True, max_recursion_depth=4 * MAX_DEPTH)
    except (Error, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise Malformed(f"the body is not an ExportTraceServiceRequest in JSON: {str(error)[:100]}") from None


class _Reader:
    """Reads one request, and counts what it reads."""

    def __init__(self, *, hexadecimal: bool) -> None:
        self.hexadecimal, self.values = hexadecimal, 0

    def spans(self, request: Any) -> list[Span]:
        spans: list[Span] = []
        for group in request.resource_spans:
            self._count()
            resource = self._attributes(group.resource.attributes)
            for scope in group.scope_spans:
                self._count()
                if len(spans) + len(scope.spans) > MAX_SPANS:
                    raise Malformed(f"the body holds more than {MAX_SPANS:,} spans; send smaller batches")
                spans += [self._span(span, resource) for span in scope.spans]
        return spans

    def _span(self, span: Any, resource: dict[str, Any]) -> Span:
        name = span.name[:MAX_TEXT]
        trace_id, span_id = self._id(span.trace_id, 32), self._id(span.span_id, 16)
        if not trace_id or not span_id:
            raise Malformed(f"the span {name[:60]!r} has no trace id of 16 bytes, or no span id of 8")
        parent = self._id(span.parent_span_id, 16)
        if span.parent_span_id and not parent:
            raise Malformed(f"the parent of the span {name[:60]!r} is no id of 8 bytes")
        start, end = span.start_time_unix_nano, span.end_time_unix_nano
        if not 0 < start <= end < 2**63:
            raise Malformed(f"the span {name[:60]!r} ends before it starts, or has no times")
        events = [(event.name[:MAX_TEXT], self._attributes(event.attributes)) for event in span.events]
        events += [("link", self._attributes(link.attributes)) for link in span.links]
        self._count(len(events))
        return Span(
            trace_id=trace_id,
            span_id=span_id,
            parent_id=parent,
            service=str(resource.get("service.name", "")),
            name=name,
            kind=KINDS[span.kind] if 0 <= span.kind < len(KINDS) else KINDS[0],
            start=start,
            end=end,
            status=STATUSES[span.status.code] if 0 <= span.status.code < len(STATUSES) else STATUSES[0],
            message=span.status.message[:MAX_TEXT],
            attributes=self._attributes(span.attributes),
            resource=resource,
            events=tuple(events),
        )

    def _id(self, raw: bytes, digits: int) -> str:
        text = (base64.b64encode(raw).decode() if self.hexadecimal else raw.hex()).lower()
        usable = len(text) == digits and not set(text) - set("0123456789abcdef") and set(text) != {"0"}
        return text if usable else ""

    def _attributes(self, pairs: Any, depth: int = 0) -> dict[str, Any]:
        self._count(len(pairs))
        return {pair.key[:MAX_TEXT]: self._value(pair.value, depth) for pair in pairs}

    def _value(self, value: Any, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise Malformed(f"an attribute is nested more than {MAX_DEPTH} deep")
        which = value.WhichOneof("value")
        if which == "array_value":
            self._count(len(value.array_value.values))
            return [self._value(inner, depth + 1) for inner in value.array_value.values]
        if which == "kvlist_value":
            return self._attributes(value.kvlist_value.values, depth + 1)
        if which == "string_value":
            return value.string_value[:MAX_TEXT]
        if which == "bytes_value":
            return value.bytes_value[:MAX_TEXT].decode("latin-1")
        plain = getattr(value, which) if which in ("bool_value", "int_value", "double_value") else None
        return plain if not isinstance(plain, float) or math.isfinite(plain) else str(plain)

    def _count(self, more: int = 1) -> None:
        self.values += more
        if self.values > MAX_VALUES:
            raise Malformed(f"the body holds more than {MAX_VALUES:,} values; send smaller batches")


def _texts(place: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield f"the name after {place}", name
            yield from _texts(f"{place} {name[:60]}", inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(place, inner)
    elif value is not None:
        yield place, str(value)
