"""Does the service report what it does, completely, truly, without a passenger's data and at no cost to a request?"""

import json
import secrets
import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from course.checks import Question, expect, fail, fixture, original
from course.checks.http.course_artifact import course_artifact
from course.checks.http.messages import Request, post
from course.checks.http.services import Heard, Peer
from course.checks.http.telemetry import HANGS, REFUSES, Asked, Waits, Watched, waits, watched

question = Question("Telemetry", points=15, deadline_s=240)
given = original("given/watched.py", digest="929ff8cd9cc3741f")
FLIGHT = {
    "carrier": "UA",
    "origin": "EWR",
    "dest": "ORD",
    "distance": 719,
    "planned_departure": "2013-11-27T18:30:00-05:00",
    "planned_arrival": "2013-11-27T21:10:00-05:00",
}
FEATURES_S, WEATHER_S = 0.08, 0.06
QUICK = FLIGHT | {"carrier": "B6"}
slow_features = f"""

_features_at_once = schedule_features


def schedule_features(planned):
    import time

    if planned["carrier"].iloc[0] == "UA":
        time.sleep({FEATURES_S})
    return _features_at_once(planned)
"""
WEATHER = Peer(body=b'{"wind": 12}', delay=WEATHER_S)
AT_ONCE, FAULTY = Peer(body=b'{"wind": 12}'), Peer(body=b"{}")
STEPS = ("validation", "weather", "features", "prediction")
TO_HANG, TO_REFUSE = "hangs", "refuses connections"


def start(*, preload: bool, workers: int = 2) -> Watched:
    """The given service with the shipped telemetry.py; the features of one airline take their time."""
    artifact = course_artifact()
    files = artifact.under("artifact")
    files["artifact/features.py"] = artifact.read("features.py") + slow_features.encode()
    env = {"LATE_FLIGHTS_ARTIFACT": "{scratch}/artifact", "WEATHER": "{weather}", "no_proxy": "{weather}"}
    files["watched.py"] = given()
    peers = {"weather": WEATHER}
    return watched("watched:app", files=files, env=env, peers=peers, preload=preload, workers=workers)


Seen = tuple[Asked, Asked, list[Heard]]


@fixture
def alone() -> Iterator[Watched]:
    """The service, loaded by its one worker."""
    running = start(preload=False, workers=1)
    yield running
    running.api.close()


@fixture
def seen(alone: Watched) -> Seen:
    """A request with one flight, one with three, and what the service `weather` was sent for the first."""
    alone.api.heard("weather")
    (one,) = alone.ask(predict())
    calls = [call for call in alone.api.heard("weather", 2.0) if "/forecast" in call.line]
    (three,) = alone.ask(predict(3))
    alone.gather(one, three, names=STEPS)
    return one, three, calls


def predict(
    flights: int = 1, passenger: str = "", query: str = "", flight: Mapping[str, object] = FLIGHT, **headers: str
) -> Request:
    """A good request."""
    body = {"passenger": passenger, "flights": [flight] * flights}
    return post(f"/predict{query}", json=body, headers=headers)


@question.check(points=1)
def the_service_answers_as_before(alone: Watched) -> None:
    """the service starts with telemetry.py, and answers as before"""
    answer = alone.api.ask(predict(2)).expect_status(200).json()
    expect(len(answer["predictions"]), "the number of predictions").equals(2)
    alone.api.post("/predict", json={"flights": []}).expect_status(400)


@question.check(points=2)
def the_callers_trace_goes_on(alone: Watched, seen: Seen) -> None:
    """each request is one span of the kind server, below the caller's span"""
    seen[0].answer.expect_status(200)
    alone.trace(seen[0]).must_continue()


@question.check(points=1)
def the_collectors_address_is_a_setting(alone: Watched, seen: Seen) -> None:
    """spans go to the collector that OTEL_EXPORTER_OTLP_ENDPOINT names, with the name of the service"""
    trace = alone.trace(seen[0])
    alone.must_be_addressed()
    name = trace.must_have_request().service
    if name != "warnings":
        hint = 'Resource.create({"service.name": service}) is an argument of the provider'
        fail("the spans do not have the name that instrument() was given", expected="warnings", actual=name, hint=hint)


@question.check(points=1)
def steps_are_spans(alone: Watched, seen: Seen) -> None:
    """validation, weather, features and prediction are spans below it, as long as the work"""
    trace = alone.trace(seen[0])
    for name in STEPS:
        trace.must_have_step(name)
    trace.must_last("features", 950 * FEATURES_S, "the features sleep so long here")
    trace.must_last("weather", 950 * WEATHER_S, "the other service waits so long here")


@question.check(points=1)
def the_trace_leaves_the_process(alone: Watched, seen: Seen) -> None:
    """the request to the other service carries the trace on"""
    trace, calls = alone.trace(seen[0]), seen[2]
    expect(len(calls), "requests to the service weather").equals(1)
    sent = calls[0].headers.get("traceparent", "")
    parts = sent.split("-")
    if len(parts) != 4 or parts[1] != trace.spans[0].trace_id:
        hint = "outgoing() returns the headers; propagate.inject() writes them into a dictionary"
        expected = f"traceparent: 00-{trace.spans[0].trace_id}-…"
        fail(
            "the request to the other service does not name the trace",
            expected=expected,
            actual=sent or None,
            hint=hint,
        )
    if parts[2] not in {span.span_id for span in trace.spans}:
        hint = "the current span, at the time of the request, is the parent"
        fail("the traceparent that was sent names a parent that is no span of this service", actual=sent, hint=hint)


@question.check(points=1)
def the_log_names_the_trace(alone: Watched, seen: Seen) -> None:
    """a line of the log is a JSON object that names the trace"""
    entries = alone.log("answered 3 flights")
    expected = json.dumps({"message": "answered 3 flights", "trace_id": seen[1].trace_id})
    if not entries:
        lines = [line for line in alone.api.logs.splitlines() if "answered 3 flights" in line]
        hint = (
            "the service writes to the logger late_flights, at the level INFO; a Formatter of your own makes the line"
        )
        what = 'no line of the log is a JSON object with the message "answered 3 flights"'
        fail(what, expected=expected, actual=(lines or alone.api.logs.splitlines())[-1:], hint=hint)
    if entries[-1].get("trace_id") != seen[1].trace_id:
        ids = {span.trace_id for span in alone.trace(seen[1]).spans}  # the service may have begun a trace of its own
        if entries[-1].get("trace_id") not in ids:
            fail("a line of the log has no trace_id, or another request's", expected=expected, actual=entries[-1])
