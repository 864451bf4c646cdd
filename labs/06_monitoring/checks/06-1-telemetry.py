"""Does the service report what it does, completely, truly, without a passenger's data and at no cost to a request?"""

import json
import secrets
import time
from collections.abc import Iterator

from course.checks import Question, expect, fail, fixture, original
from course.checks.http.course_artifact import course_artifact
from course.checks.http.messages import Request, post
from course.checks.http.services import Peer
from course.checks.http.telemetry import HANGS, REFUSES, Watched, costs_nothing, watched

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
slow_features = f"""

_features_at_once = schedule_features


def schedule_features(planned):
    import time

    time.sleep({FEATURES_S})
    return _features_at_once(planned)
"""
WEATHER = Peer(body=b'{"wind": 12}', delay=WEATHER_S)


def start(*, preload: bool) -> Watched:
    """The given service with the shipped telemetry.py and an artifact whose features take their time."""
    artifact = course_artifact()
    files = artifact.under("artifact")
    files["artifact/features.py"] = artifact.read("features.py") + slow_features.encode()
    env = {"LATE_FLIGHTS_ARTIFACT": "{scratch}/artifact", "WEATHER": "{weather}"}
    files["watched.py"] = given()
    return watched("watched:app", files=files, env=env, peers={"weather": WEATHER}, preload=preload)


@fixture
def one() -> Iterator[Watched]:
    """The service, loaded by each of its workers."""
    running = start(preload=False)
    yield running
    running.api.close()


@fixture
def forked() -> Iterator[Watched]:
    """The service, loaded before its workers are forked."""
    running = start(preload=True)
    yield running
    running.api.close()


def predict(flights: int = 1, passenger: str = "", query: str = "", **headers: str) -> Request:
    """A good request."""
    body = {"passenger": passenger, "flights": [FLIGHT] * flights}
    return post(f"/predict{query}", json=body, headers=headers)


@question.check(points=1)
def the_service_answers_as_before(one: Watched) -> None:
    """the service starts with telemetry.py, and answers as before"""
    answer = one.api.ask(predict(2)).expect_status(200).json()
    expect(len(answer["predictions"]), "the number of predictions").equals(2)
    one.api.post("/predict", json={"flights": []}).expect_status(400)


@question.check(points=2)
def the_callers_trace_goes_on(one: Watched) -> None:
    """each request is one span of the kind server, below the caller's span"""
    (asked,) = one.ask(predict())
    asked.answer.expect_status(200)
    one.trace(asked).must_continue()


@question.check(points=2)
def steps_are_spans(one: Watched) -> None:
    """validation, weather, features and prediction are spans below it, as long as the work"""
    (asked,) = one.ask(predict())
    trace = one.trace(asked, "validation", "weather", "features", "prediction")
    for name in ("validation", "weather", "features", "prediction"):
        trace.must_have_step(name)
    trace.must_last("features", 950 * FEATURES_S, "the features sleep so long here")
    trace.must_last("weather", 950 * WEATHER_S, "the other service waits so long here")


@question.check(points=1)
def the_trace_leaves_the_process(one: Watched) -> None:
    """the request to the other service carries the trace on"""
    one.api.heard("weather")
    (asked,) = one.ask(predict())
    trace = one.trace(asked, "weather")
    calls = [call for call in one.api.heard("weather", 2.0) if "/forecast" in call.line]
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
def the_log_names_the_trace(one: Watched) -> None:
    """a line of the log is a JSON object that names the trace"""
    (asked,) = one.ask(predict(3))
    entries = one.log("answered 3 flights")
    expected = json.dumps({"message": "answered 3 flights", "trace_id": asked.trace_id})
    if not entries:
        lines = [line for line in one.api.logs.splitlines() if "answered 3 flights" in line]
        hint = (
            "the service writes to the logger late_flights, at the level INFO; a Formatter of your own makes the line"
        )
        what = 'no line of the log is a JSON object with the message "answered 3 flights"'
        fail(what, expected=expected, actual=(lines or one.api.logs.splitlines())[-1:], hint=hint)
    if entries[-1].get("trace_id") != asked.trace_id:
        ids = {span.trace_id for span in one.trace(asked).spans}  # the service may have begun a trace of its own
        if entries[-1].get("trace_id") not in ids:
            fail("a line of the log has no trace_id, or another request's", expected=expected, actual=entries[-1])
