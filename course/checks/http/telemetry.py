"""What a service reports of itself: `watched(…)` starts one beside a collector, `ask` begins a trace, `trace` reads it.

The collector is a peer in the service's sandbox (`programs/serve.py`), which keeps bytes and reads nothing. They are
read here, within the limits of `course.base.otlp`, and belong to whoever wrote them: nothing of them is to be trusted.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from course.base import otlp
from course.base.otlp import Malformed, Span
from course.checks.core.bounds import bounded
from course.checks.core.expectations import CheckFailed, fail
from course.checks.http.messages import Request, Response, post
from course.checks.http.services import Heard, Peer, Service, service

COLLECTOR = "collector"
TAKES = Peer(type="application/x-protobuf")  # an empty answer: all spans were taken
HANGS = Peer("hang")
REFUSES = Peer("refuse")
WAIT_S = 12.0  # for spans; the SDK sends a batch every five seconds, unless it is told otherwise
_AFTER_S = 2.0  # for what belongs to a request whose own span is there already
MOST_SPANS = 20_000  # of one service
_QUEUE = "a request puts its spans into a queue; another thread sends them: BatchSpanProcessor"
ENVIRONMENT = {
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://{" + COLLECTOR + "}",
    "OTEL_EXPORTER_OTLP_TIMEOUT": "2",
    "OTEL_BSP_SCHEDULE_DELAY": "200",
}


@dataclass(frozen=True)
class Asked:
    """A request that was sent within a trace of the caller's.

    Attributes:
        trace_id: the caller's trace.
        parent_id: the caller's span.
        began, ended: when it was sent and when its answer was there, in nanoseconds since 1970.
        answer: what came back.
    """

    trace_id: str
    parent_id: str
    began: int
    ended: int
    answer: Response


@dataclass(frozen=True)
class Trace:
    """The spans that arrived of one request.

    Attributes:
        asked: the request.
        spans: in the order of their starts.
    """

    asked: Asked
    spans: Sequence[Span]

    @property
    def request(self) -> Span | None:
        """The span of the request: the caller's child, of the kind server if there is one; else one without parent."""
        below = [one for one in self.spans if one.parent_id == self.asked.parent_id]
        outside = [one for one in self.spans if not one.parent_id]
        return next((one for one in [*below, *outside] if one.kind == "server"), next(iter([*below, *outside]), None))

    def must_continue(self) -> None:
        """Fail unless the request is one span of the kind server in the caller's trace, below the caller's span."""
        span, hint = self.must_have_request(), "propagate.extract(request.headers) reads both ids of the traceparent"
        if span.trace_id != self.asked.trace_id:
            fail("the request is in another trace", expected=self.asked.trace_id, actual=span.trace_id, hint=hint)
        if span.parent_id != self.asked.parent_id:
            expected, actual = (
                f"parent {self.asked.parent_id}",
                f"{span.name!r} with the parent {span.parent_id or None!r}",
            )
            fail("the request's span is not below the caller's", expected=expected, actual=actual, hint=hint)
        servers = [one.name for one in self.spans if one.kind == "server"]
        if not servers:
            hint = "a span is of the kind internal unless it is started with kind=SpanKind.SERVER"
            fail(
                "the request's span is of another kind",
                expected="server",
                actual=f"{span.name!r}: {span.kind}",
                hint=hint,
            )
        if len(servers) > 1:
            hint = "is the application instrumented twice?"
            fail("one request left more than one span of the kind server", expected=1, actual=servers[:5], hint=hint)

    def must_have_request(self) -> Span:
        """The span of the request; fail where there is none."""
        if (found := self.request) is None:
            names = [f"{one.name!r} with the parent {one.parent_id}" for one in self.spans][:5]
            fail("no span is the request's: neither the caller's child nor without a parent", actual=names)
        return found

    def must_have_step(self, name: str) -> Span:
        """The span of a step, which lies below the request's and within its time; fail where there is none."""
        request = self.must_have_request()
        steps = [one for one in self.spans if one.name == name]
        if not steps:
            names = sorted({one.name for one in self.spans})[:10]
            fail(f"no span is named {name!r}", expected=name, actual=names)
        step, above, seen = steps[0], steps[0], set()
        by_id = {one.span_id: one for one in self.spans}
        while above.span_id != request.span_id and above.span_id not in seen:
            seen.add(above.span_id)
            above = by_id.get(above.parent_id, above)
        if above.span_id != request.span_id:
            hint = "a span that is started while another is current becomes its child: start_as_current_span()"
            fail(
                f"the span {name!r} is not below the request's", actual=f"parent {step.parent_id or None!r}", hint=hint
            )
        if not request.start <= step.start <= step.end <= request.end:
            actual = f"{(step.start - request.start) / 1e6:.1f} to {(step.end - request.start) / 1e6:.1f} ms"
            whole = f"within 0 to {request.milliseconds:.1f} ms of the request"
            fail(f"the span {name!r} lies outside of the request's time", expected=whole, actual=actual)
        return step

    def must_last(self, name: str, least_ms: float, why: str) -> None:
        """Fail unless a step took at least so long, and its request no longer than the caller waited."""
        request, step = self.must_have_request(), self.must_have_step(name)
        if request.start < self.asked.began - 50e6 or request.end > self.asked.ended + 2e9:
            waited = (self.asked.ended - self.asked.began) / 1e6
            actual = f"{request.milliseconds:.0f} ms, from {(request.start - self.asked.began) / 1e6:.0f} ms on"
            fail("the request's span is not of the time of the request", expected=f"{waited:.0f} ms", actual=actual)
        if step.milliseconds < least_ms:
            hint = "the span must begin before the work and end after it"
            actual = f"{step.milliseconds:.1f} ms"
            fail(
                f"the span {name!r} is shorter than the work",
                expected=f"{least_ms:g} ms ({why})",
                actual=actual,
                hint=hint,
            )


@dataclass
class Watched:
    """A service that is started, with what its collector was sent.

    Attributes:
        api: the service; its peers are the collector and those that were named.
    """

    api: Service
    _traces: dict[str, list[Span]] = field(default_factory=dict)
    _count: int = 0
    _silent: bool = False
    _elsewhere: str = ""

    def ask(self, *requests: Request, clients: int = 1) -> list[Asked]:
        """Send requests, each within a trace of its own; the answers are in their order."""
        ids = [(secrets.token_hex(16), secrets.token_hex(8)) for _ in requests]
        carrying = [
            Request(one.method, one.path, {**one.headers, "traceparent": f"00-{trace}-{parent}-01"}, one.body)
            for one, (trace, parent) in zip(requests, ids, strict=True)
        ]
        began = time.time_ns()
        answers = self.api.many(carrying, clients=clients)
        ended = time.time_ns()
        return [Asked(*one, began, ended, answer) for one, answer in zip(ids, answers, strict=True)]

    def trace(self, asked: Asked, *names: str) -> Trace:
        """The spans of a request that was sent alone; wait until its own is there, and those of these names.

        Where none is in the caller's trace, those count that were recorded meanwhile: who begins a trace of their own
        loses what that is worth, and no more.

        Raises:
            CheckFailed: nothing arrived, or it cannot be read.
        """
        now = time.monotonic()
        deadline, later = now + (1.0 if self._silent else WAIT_S), float("inf")
        while (now := time.monotonic()) < min(deadline, later):
            self.collect(seconds=0.2)
            found = self._of(asked)
            if found.request:
                if found.spans[0].trace_id == asked.trace_id and {*names} <= {span.name for span in found.spans}:
                    return found
                later = min(later, now + _AFTER_S)
        if not (found := self._of(asked)).spans:
            self._silent = not self._traces
            fail(
                f"no span of the request arrived within {WAIT_S:g} seconds",
                expected="POST /v1/traces to the address in OTEL_EXPORTER_OTLP_ENDPOINT",
                actual=self._elsewhere or None,
                hint="OTLPSpanExporter() without arguments reads that variable; a processor must hand the spans to it",
            )
        return found

    def _of(self, asked: Asked) -> Trace:
        """What arrived of a request."""
        spans = self._traces.get(asked.trace_id)
        if spans is None:
            meanwhile = range(asked.began, asked.ended)
            spans = next((one for one in self._traces.values() if any(span.start in meanwhile for span in one)), [])
        return Trace(asked, sorted(spans, key=lambda span: span.start))

    def roots(self, since: int, count: int) -> list[Span]:
        """The spans without a parent that began after a moment; wait until there are so many, and a little longer."""
        deadline, enough = time.monotonic() + (1.0 if self._silent else WAIT_S), False
        while True:
            self.collect(seconds=0.2)
            every = (span for spans in self._traces.values() for span in spans)
            found = [span for span in every if not span.parent_id and span.start >= since]
            if enough or time.monotonic() >= deadline:
                return found
            enough = len(found) >= count

    def collect(self, seconds: float = 0.0) -> None:
        """Read what the collector was sent; wait a while where that is nothing.

        Raises:
            CheckFailed: it cannot be read, or is more than is kept.
        """
        for heard in self.api.heard(COLLECTOR, seconds):
            for span in self._read(heard):
                self._traces.setdefault(span.trace_id, []).append(span)
                self._count += 1
            if self._count > MOST_SPANS:
                hint = "a request leaves one span for itself and one for each of its steps"
                fail(f"the service sent more than {MOST_SPANS:,} spans", hint=hint)

    def _read(self, heard: Heard) -> list[Span]:
        if heard.line.split(" ")[:2] != ["POST", "/v1/traces"]:
            self._elsewhere = heard.line
            return []
        try:
            with bounded("the collector can read what the service sends", "a batch of spans"):
                kind, encoding = (heard.headers.get(f"content-{name}", "") for name in ("type", "encoding"))
                return otlp.parse(heard.body, kind, encoding)
        except Malformed as error:
            fail(f"the collector does not take what the service sent: {error}")

    def log(self, message: str, seconds: float = 3.0) -> list[dict[str, Any]]:
        """The lines of the log that are JSON objects with a message; wait until there is one."""
        deadline = time.monotonic() + seconds
        while True:
            entries = [_object(line) for line in self.api.logs.splitlines() if message in line]
            entries = [entry for entry in entries if entry.get("message") == message]
            if entries or time.monotonic() >= deadline:
                return entries
            time.sleep(0.05)


def watched(
    app: str,
    *,
    files: Mapping[str, str | bytes],
    env: Mapping[str, str] | None = None,
    peers: Mapping[str, Peer] | None = None,
    preload: bool = False,
) -> Watched:
    """A service under gunicorn with two workers, beside a collector.

    Args:
        app, files, env, peers: as for :func:`service`.
        preload: whether the workers are forked after the application was loaded, or each loads it.
    """
    everyone = {COLLECTOR: TAKES, **(peers or {})}
    arguments = ["--workers", "2", *["--preload"] * preload]
    options: dict[str, Any] = {"server": "gunicorn", "files": files, "arguments": arguments, "peers": everyone}
    return Watched(service(app, env={**ENVIRONMENT, **(env or {})}, **options))


def costs_nothing(one: Watched, body: Any, collector: Peer, what: str) -> None:
    """Fail if requests take much longer with another collector than with one that takes spans.

    Args:
        one: the service; its collector takes spans now, and afterwards.
        body: what is posted to /predict.
        collector: what the collector does instead.
        what: that in words, such as "hangs".
    """
    usual = _slowest(one, body, 4)
    allowed = 3 * usual + 0.5
    one.api.behave(COLLECTOR, collector)
    try:
        for _ in range(3):
            try:
                slowest = _slowest(one, body, 4)
            except CheckFailed as failure:
                fail(f"requests wait for a collector that {what}: {failure.reason}", actual=failure.actual, hint=_QUEUE)
            if slowest > allowed:
                fail(
                    f"requests wait for a collector that {what}",
                    expected=f"at most {allowed:.1f} s, where the slowest of the usual ones takes {usual:.2f} s",
                    actual=f"{slowest:.1f} s",
                    hint=_QUEUE,
                )
    finally:
        one.api.behave(COLLECTOR, TAKES)


def _slowest(one: Watched, body: Any, rounds: int) -> float:
    """The longest time that one of some requests takes, four at once; a first slow round is enough."""
    slowest = 0.0
    for _ in range(rounds):
        answers = one.api.many([post("/predict", json=body) for _ in range(4)], clients=4)
        slowest = max(slowest, *(answer.expect_status(200).seconds for answer in answers))
        if slowest > 1.0:
            break
    return slowest


def _object(line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return entry if isinstance(entry, dict) else {}
