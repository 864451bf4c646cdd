"""What a service reports of itself: `watched(…)` starts one beside a collector, `ask` begins a trace, `trace` reads it.

The collector is a peer in the service's sandbox (`programs/serve.py`), which keeps bytes and reads nothing. It is the
service's HTTP proxy, too, so spans that are sent to another address arrive and can be judged; `misdirected` lists
where they were sent. What arrives is read here, within the limits of `course.base.otlp`, and belongs to whoever wrote
it: nothing of it is to be trusted.
"""

from __future__ import annotations

import json
import secrets
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

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
MOST_WAIT_S = 4.0  # of a request, while it is measured whether it waits for the collector
_AFTER_S = 2.0  # for what belongs to a request whose own span is there already
MOST_SPANS = 20_000  # of one service
_OTHERS = ("/v1/metrics", "/v1/logs")  # what OTLP carries besides spans
_QUEUE = "a request puts its spans into a queue; another thread sends them: BatchSpanProcessor"
ENVIRONMENT = {
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://{" + COLLECTOR + "}",
    "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
    "OTEL_BSP_SCHEDULE_DELAY": "200",
    "http_proxy": "http://{" + COLLECTOR + "}",
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

    def is_whole(self, names: Sequence[str]) -> bool:
        """Whether the request's span is in the caller's trace, and each step of these names is there."""
        here = {span.name for span in self.spans if span.trace_id == self.asked.trace_id}
        return self.request is not None and bool(here) and {*names} <= here

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
        misdirected: where spans were sent, other than to /v1/traces at the collector's address.
    """

    api: Service
    _traces: dict[str, list[Span]] = field(default_factory=dict)
    _count: int = 0
    _silent: bool = False
    _awaited: set[str] = field(default_factory=set)
    _elsewhere: str = ""
    misdirected: set[str] = field(default_factory=set)

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

    def gather(self, *asked: Asked, names: Sequence[str] = ()) -> None:
        """Wait, once for all, until the spans of requests are there that were sent one after the other.

        Args:
            asked: the requests.
            names: the steps that each of them has.

        Raises:
            CheckFailed: something arrived that cannot be read.
        """
        now = time.monotonic()
        deadline, later = now + (1.0 if self._silent else WAIT_S), float("inf")
        self._awaited |= {one.trace_id for one in asked}
        while (now := time.monotonic()) < min(deadline, later):
            self.collect(seconds=0.1)
            found = [self._of(one) for one in asked]
            if all(one.request for one in found):
                if all(one.is_whole(names) for one in found):
                    return
                later = min(later, now + _AFTER_S)
        self._silent = not self._traces

    def trace(self, asked: Asked, *names: str) -> Trace:
        """The spans of a request that was sent alone; wait until its own is there, and those of these names.

        Where none is in the caller's trace, those count that were recorded meanwhile: who begins a trace of their own
        loses what that is worth, and no more. After :meth:`gather` it does not wait.

        Raises:
            CheckFailed: nothing arrived, or it cannot be read.
        """
        if asked.trace_id not in self._awaited:
            self.gather(asked, names=names)
        if not (found := self._of(asked)).spans:
            fail(
                f"no span of the request arrived within {WAIT_S:g} seconds",
                expected="POST /v1/traces to the address in OTEL_EXPORTER_OTLP_ENDPOINT",
                actual=self._elsewhere or None,
                hint="OTLPSpanExporter() without arguments reads that variable; a processor must hand the spans to it",
            )
        return found

    def must_be_addressed(self) -> None:
        """Fail where spans were sent to another address than the collector's."""
        if self.misdirected:
            fail(
                "the spans are sent to an address other than the one in OTEL_EXPORTER_OTLP_ENDPOINT; they were judged "
                "all the same",
                expected=f"http://{self.api.address(COLLECTOR)}/v1/traces (the port changes from run to run)",
                actual=sorted(self.misdirected)[:3],
                hint="OTLPSpanExporter() without arguments reads that variable, and adds /v1/traces",
            )

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
        """The spans in a request to the collector, or in one that it was sent as the service's proxy."""
        method, target, *_ = [*heard.line.split(" "), "", ""]
        try:
            parts = urlsplit(target)
        except ValueError:
            parts = urlsplit("")
        right = parts.path == "/v1/traces" and parts.netloc in ("", self.api.address(COLLECTOR))
        if method != "POST" or parts.path in _OTHERS:
            self._elsewhere = heard.line
            return []
        try:
            with bounded("the collector can read what the service sends", "a batch of spans"):
                kind, encoding = (heard.headers.get(f"content-{name}", "") for name in ("type", "encoding"))
                spans = otlp.parse(heard.body, kind, encoding)
        except Malformed as error:
            if not right:  # it need not be meant for a collector
                self._elsewhere = heard.line
                return []
            fail(f"the collector does not take what the service sent: {error}")
        if not right:
            self.misdirected.add(target[:200])
        return spans

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
    workers: int = 2,
) -> Watched:
    """A service under gunicorn, beside a collector.

    Args:
        app, files, env, peers: as for :func:`service`.
        preload: whether the workers are forked after the application was loaded, or each loads it.
        workers: how many there are.
    """
    everyone = {COLLECTOR: TAKES, **(peers or {})}
    arguments = ["--workers", str(workers), *["--preload"] * preload]
    options: dict[str, Any] = {"server": "gunicorn", "files": files, "arguments": arguments, "peers": everyone}
    return Watched(service(app, env={**ENVIRONMENT, **(env or {})}, **options))


@dataclass(frozen=True)
class Turn:
    """One comparison of requests while the collector did something else with those just before and after.

    Attributes:
        usual, now: how long requests took, in seconds.
        broken: why requests got no answer meanwhile, if they did not.
    """

    usual: Sequence[float]
    now: Sequence[float] = ()
    broken: CheckFailed | None = None

    @property
    def waited(self) -> bool:
        """Whether requests took longer than usual: one in a hundred, and more than one in all, or the median."""
        if self.broken is not None:
            return True
        slow = sum(seconds > 2 * max(self.usual) + 0.1 for seconds in self.now)
        usual, now = statistics.median(self.usual), statistics.median(self.now)
        return slow > max(1, len(self.now) / 100) or now > 1.5 * usual + 0.03


@dataclass(frozen=True)
class Waits:
    """How long requests took, by what the collector did meanwhile, such as "hangs"."""

    turns: Mapping[str, Sequence[Turn]]

    def must_cost_nothing(self, what: str) -> None:
        """Fail if requests took longer than usual in each of the turns in which the collector did this."""
        turns = self.turns[what]
        if not all(turn.waited for turn in turns):
            return
        head, last = f"requests wait for a collector that {what}", turns[-1]
        if last.broken is not None:
            fail(f"{head}: {last.broken.reason}", actual=last.broken.actual, hint=_QUEUE)
        usual, now = (f"median {statistics.median(one):.3f} s, p99 {_p99(one):.3f} s" for one in (last.usual, last.now))
        expected = f"about as long as while it takes spans: {usual}"
        fail(head, expected=expected, actual=f"{now}, of {len(last.now)} requests", hint=_QUEUE)


def waits(one: Watched, body: Any, others: Mapping[str, Peer], *, turns: int = 2, seconds: float = 0.8) -> Waits:
    """Measure how long requests take while the collector takes spans, and while it does something else, in turns.

    Each turn stands between two in which the collector takes spans, so whatever else the machine does meets both. The
    collector takes spans afterwards.

    Args:
        one: the service; its collector takes spans now.
        body: what is posted to /predict.
        others: what the collector does instead, by what that is in words.
        turns: how many turns each of them has; two more where requests waited in all of these.
        seconds: how long a turn takes; those in which the collector takes spans are half as long.
    """
    found: dict[str, list[Turn]] = {what: [] for what in others}
    timeout, one.api.timeout = one.api.timeout, min(one.api.timeout, MOST_WAIT_S)
    try:
        before = _times(one, body, seconds / 2)
        for number in range(turns + 2):
            for what, collector in others.items():
                if number >= turns and not all(turn.waited for turn in found[what]):
                    continue
                if number >= turns and sum(turn.broken is not None for turn in found[what]) == turns:
                    continue  # nobody waits so long for a busy machine, each time
                broken, now = None, list[float]()
                one.api.behave(COLLECTOR, collector)
                try:
                    now = _times(one, body, seconds)
                except CheckFailed as failure:
                    broken = failure
                one.api.behave(COLLECTOR, TAKES)
                after = _times(one, body, seconds / 2)
                found[what].append(Turn([*before, *after], now, broken))
                before = after
    finally:
        one.api.timeout = timeout
        one.api.behave(COLLECTOR, TAKES)
    return Waits(found)


def _times(one: Watched, body: Any, seconds: float) -> list[float]:
    """How long requests take, four at once, until some seconds are over; at least 16 of them."""
    times = list[float]()
    until = time.monotonic() + seconds
    while len(times) < 16 or time.monotonic() < until:
        answers = one.api.many([post("/predict", json=body) for _ in range(8)], clients=4)
        times += [answer.expect_status(200).seconds for answer in answers]
        if min(times[-8:]) > 2 * seconds:  # it is clear already
            break
    return times


def _p99(times: Sequence[float]) -> float:
    return sorted(times)[int(0.99 * (len(times) - 1))]


def _object(line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return entry if isinstance(entry, dict) else {}
