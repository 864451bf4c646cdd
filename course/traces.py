"""The traces and the log of one evening, as two services left them. Used by lab 06.

The story: it is the evening before Thanksgiving 2013. The app sends the flights of a booking to the service `warnings`,
which asks the service `weather` for each airport, computes, and notifies the passenger. Some warnings came late.

The evening is made up, always the same, and has two faults: one station answers slowly for a while, and the newsletter
sends batches for which the features take seconds.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from course.base.otlp import Span

BEGIN = pd.Timestamp("2013-11-27T17:00:00", tz="America/New_York")
REQUESTS = 600
SLOW_STATION = "LGA"
SLOW_MINUTES = range(85, 125)  # after BEGIN
COMPLAINT = "app-7f3a"  # the request id that the app shows to the passenger
_AIRPORTS = ("EWR", "JFK", "LGA")
_MS = 1_000_000  # nanoseconds


def evening() -> tuple[list[Span], pd.DataFrame]:
    """Return what the two services recorded between 17:00 and 20:00.

    Returns:
        The spans, and the log of the service `warnings`: one row per request, with `time`, `request_id`, `trace_id`,
        `status` and `duration_ms`.
    """
    chance = random.Random(20131127)
    requests = [_request(chance, number) for number in range(REQUESTS)]
    spans = [span for request in requests for span in request.spans]
    return spans, pd.DataFrame([request.line for request in requests])


@dataclass
class _Recorded:
    """One request: its spans and its line of the log."""

    spans: list[Span]
    line: dict[str, object]


@dataclass
class _Step:
    """A piece of work: its children come one after the other, in the middle of its own time."""

    service: str
    name: str
    kind: str
    own_ms: float
    children: tuple[_Step, ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()

    @property
    def ms(self) -> float:
        return self.own_ms + sum(child.ms for child in self.children)


def _request(chance: random.Random, number: int) -> _Recorded:
    minute = 180 * number / REQUESTS + chance.uniform(0, 0.25)
    newsletter = number % 47 == 29
    flights = chance.randint(420, 480) if newsletter else chance.choice([1, 1, 1, 2, 2, 4])
    airports = list(_AIRPORTS) if newsletter else chance.sample(_AIRPORTS, k=min(flights, chance.choice([1, 1, 2])))
    slow = not newsletter and int(minute) in SLOW_MINUTES and SLOW_STATION in airports
    steps = (
        _Step("warnings", "validation", "internal", chance.uniform(0.3, 0.8) + flights * 0.04),
        *(_weather(chance, airport, slow and airport == SLOW_STATION) for airport in airports),
        _Step("warnings", "features", "internal", chance.uniform(2, 4) + flights * chance.uniform(7.2, 7.8)),
        _Step("warnings", "prediction", "internal", chance.uniform(1, 3) + flights * 0.05),
        _Step("warnings", "notification", "client", chance.uniform(20, 45)),
    )
    root = _Step("warnings", "POST /predict", "server", chance.uniform(0.5, 1.5), steps, (("flights", str(flights)),))
    start = BEGIN.value + int(minute * 60_000) * _MS
    trace_id = f"{chance.getrandbits(128):032x}"
    request_id = COMPLAINT if number == 330 else f"app-{number:04x}"
    spans = list(_spans(chance, root, trace_id, "", start))
    line: dict[str, object] = {
        "time": pd.Timestamp(start, tz="UTC").tz_convert(BEGIN.tz).floor("ms"),
        "request_id": request_id,
        "trace_id": trace_id,
        "status": 200,
        "duration_ms": round(root.ms, 1),
    }
    return _Recorded(spans, line)


def _weather(chance: random.Random, airport: str, slow: bool) -> _Step:
    """A question to the other service, which asks the station unless it knows the answer already."""
    where = (("airport", airport),)
    inner: tuple[_Step, ...] = (_Step("weather", "cache", "internal", chance.uniform(0.2, 0.5)),)
    if slow or chance.random() < 0.4:
        took = chance.uniform(4_000, 9_000) if slow else chance.uniform(15, 70)
        inner += (_Step("weather", "station", "client", took, attributes=where),)
    served = _Step("weather", "GET /forecast", "server", chance.uniform(0.3, 0.9), inner, where)
    return _Step("warnings", "weather", "client", chance.uniform(0.8, 2), (served,), where)


def _spans(chance: random.Random, step: _Step, trace_id: str, parent: str, start: int) -> Iterator[Span]:
    """A step and what is below it, as spans."""
    span_id = f"{chance.getrandbits(64):016x}"
    yield Span(
        trace_id=trace_id,
        span_id=span_id,
        parent_id=parent,
        service=step.service,
        name=step.name,
        kind=step.kind,
        start=start,
        end=start + int(step.ms * _MS),
        attributes=dict(step.attributes),
    )
    at = start + int(step.own_ms / 2 * _MS)
    for child in step.children:
        yield from _spans(chance, child, trace_id, span_id, at)
        at += int(child.ms * _MS)
