"""Does the service predict what the artifact's model predicts, and answer every bad request with problem details?"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from course import flights
from course.checks import Question, Service, expect, fail, fixture
from course.checks.http.contracts import Model, as_sent, route
from course.checks.http.course_artifact import course_artifact, measure, service_with
from course.checks.http.helped_services import Entry, entry
from course.checks.http.messages import Response, post

question = Question("The service", points=12)
JSON = {"Content-Type": "application/json"}


@fixture
def judge() -> Model:
    """The artifact by which the service is judged: the shipped one, unless its model ranks no flights."""
    return measure()


@fixture
def shipped(judge: Model) -> Service:
    """The shipped service with that artifact; its server is kept for the next question."""
    return service_with(judge, server="flask")


@fixture
def begins(judge: Model) -> Entry:
    """Where the service begins; other parts than api.py, which keep it from starting, are the course's."""
    return entry(judge)


@fixture
def api(begins: Entry, judge: Model) -> Service:
    """The service that is judged: the shipped one if it starts and gets ready, which two checks mind."""
    return begins.service(judge)


@fixture
def november() -> list[dict[str, Any]]:
    """Flights of November, as they are sent."""
    return as_sent(flights.planned("2013-11-20").sample(200, random_state=6))


@fixture
def flight(november: list[dict[str, Any]]) -> dict[str, Any]:
    """One of them."""
    return november[0]


@fixture
def predict(api: Service, flight: dict[str, Any]) -> str:
    """Where flights are sent: /predict, or where that redirects to; the first check on predictions minds that."""
    return route(api, "/predict", flight)


def prediction(answer: Any, threshold: float) -> float:
    """The probability of one prediction, whose form and warning are right."""
    if not isinstance(answer, dict) or not {"probability", "warn"} <= set(answer):
        wanted = '{"probability": 0.31, "warn": false}'
        fail("a prediction must have probability and warn", expected=wanted, actual=repr(answer))
    p = answer["probability"]
    if isinstance(p, bool) or not isinstance(p, int | float) or not 0 <= p <= 1:
        fail("a probability must be a number from 0 to 1", actual=repr(p))
    close = abs(p - threshold) < 1e-4  # the reported probability may be rounded; a check of its own looks there
    if not isinstance(answer["warn"], bool) or (answer["warn"] is not (p >= threshold) and not close):
        reason = f"warn must be true from the threshold ({threshold:.6g}) on, and false below it"
        fail(reason, expected=json.dumps({"warn": p >= threshold}), actual=json.dumps(answer)[:200])
    return float(p)


def predictions(answer: Response, count: int, threshold: float) -> list[float]:
    """The probabilities of an answer to many flights."""
    return [prediction(one, threshold) for one in listed(answer, count)]


def probabilities(answer: Response, count: int) -> list[float]:
    """The probabilities of an answer to many flights, whatever the warnings."""
    found: list[Any] = [one.get("probability") if isinstance(one, dict) else one for one in listed(answer, count)]
    if not all(isinstance(p, int | float) and not isinstance(p, bool) for p in found):
        fail("a prediction must have a probability, which is a number", actual=repr(found[:3]))
    return [float(p) for p in found]


def listed(answer: Response, count: int) -> list[Any]:
    """The predictions of an answer to many flights."""
    body = answer.expect_status(200).json()
    found = body.get("predictions") if isinstance(body, dict) else None
    if not isinstance(found, list):
        fail('many flights must be answered with {"predictions": […]}', actual=repr(body)[:200])
    if len(found) != count:
        fail(f"{answer.asked} gives another number of predictions", expected=count, actual=len(found))
    return found


def expect_status_of(api: Service, path: str, word: str) -> None:
    """A path answers 200 and a JSON object with a status; it may hold more."""
    body = api.get(path).expect_status(200).json()
    if not isinstance(body, dict) or body.get("status") != word:
        fail(f"GET {path} must answer with an object with this status", expected={"status": word}, actual=repr(body))


def expect_about(answer: Response, artifact: Model) -> None:
    """/model tells the name, digest, threshold and versions of an artifact; it may tell more."""
    about = answer.expect_status(200).json()
    expect(about, "GET /model").is_instance(dict)
    for name in ("name", "sha256", "threshold", "versions"):
        if name not in about:
            fail(f"/model lacks {name}", actual=", ".join(map(str, about)))
    expect(about["threshold"], "the threshold").is_close(artifact.json("metrics.json")["threshold"], abs=1e-9)
    expect(about["versions"], "versions").equals(artifact.json("versions.json"))
    digests = artifact.digests()
    if str(about["sha256"]).lower().removeprefix("sha256:") not in digests:
        fail(
            "sha256 is not the SHA-256 of a model file of the artifact",
            expected=" or ".join(f"{digest[:12]}…" for digest in sorted(digests)),
            actual=repr(about["sha256"]),
        )


@question.check(points=1)
def it_tells_that_it_lives(shipped: Service) -> None:
    """it starts, and /health answers 200 and {"status": "ok"}"""
    expect_status_of(shipped, "/health", "ok")


@question.check(points=1)
def it_tells_that_it_is_ready(shipped: Service) -> None:
    """with its model, /ready answers 200 and {"status": "ready"}"""
    expect_status_of(shipped, "/ready", "ready")


@question.check(points=1)
def it_tells_which_model_answers(judge: Model, api: Service) -> None:
    """/model tells which model answers, and /openapi.json how to ask it"""
    expect_about(api.get("/model"), judge)
    described = api.get("/openapi.json").expect_status(200).json()
    if not isinstance(described, dict) or "/predict" not in (described.get("paths") or {}):
        fail("/openapi.json does not describe /predict")


@question.check(points=1)
def it_predicts_one_and_many(
    judge: Model, api: Service, predict: str, november: list[dict[str, Any]], flight: dict[str, Any]
) -> None:
    """/predict answers for one flight and for many, in order, and warns from the threshold on"""
    threshold = judge.json("metrics.json")["threshold"]
    alike = [flight | {"distance": flight["distance"] + more} for more in (0, 400, 800)]
    asked = [*november[:12], *alike]
    answer = api.post("/predict", json={"flights": asked})
    answer.expect_status(
        200, hint="a route that ends in a slash answers with a redirect" if predict[-1] == "/" else None
    )
    together = predictions(answer, len(asked), threshold)
    alone = [answer.expect_status(200).json() for answer in api.many([post("/predict", json=one) for one in asked])]
    expect(together, "the list of predictions of many flights").is_close(
        [prediction(answer, threshold) for answer in alone], abs=1e-4, hint="one prediction per flight, in their order"
    )
    predictions(api.post("/predict", json={"flights": [flight]}), 1, threshold)


@question.check(points=1)
def it_says_what_the_model_says(judge: Model, api: Service, predict: str, november: list[dict[str, Any]]) -> None:
    """it says of flights in November what the artifact's model says"""
    answer = api.post(predict, json={"flights": november})
    expect(probabilities(answer, len(november)), "the list of probabilities").is_close(
        judge.probabilities(november), abs=1e-4, hint="what does scoring.py say of these flights?"
    )


@question.check(points=1)
def wrong_paths_and_methods_are_refused(api: Service, predict: str) -> None:
    """a wrong path gets a 404 problem, a wrong method a 405 problem with the header Allow"""
    api.get("/nowhere").problem(404)
    refused = api.get(predict)
    refused.problem(405, hint="a GET changes nothing and asks nothing here: only POST /predict predicts")
    if "POST" not in refused.headers.get("allow", ""):
        fail("405 must come with the header Allow, which names the methods that work", expected="Allow: POST, …")
    api.request("DELETE", predict).problem(405)


@question.check(points=1)
def what_is_no_json_is_refused(api: Service, predict: str, flight: dict[str, Any]) -> None:
    """what is not JSON gets a problem: 400 for broken JSON, 415 for another type"""
    api.post(predict, body=b'{"carrier": "UA", ', headers=JSON).problem(400)
    api.post(predict, body=b"", headers=JSON).problem(400, 422)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    api.post(predict, body=b"carrier=UA", headers=form).problem(415)
    api.post(predict, body=json.dumps(flight).encode(), headers={"Content-Type": "text/plain"}).problem(415)


@question.check(points=1)
def bad_flights_are_refused(api: Service, predict: str, november: list[dict[str, Any]], flight: dict[str, Any]) -> None:
    """JSON that is no good request gets a problem with status 422 or 400, and its errors name what is wrong"""
    without = {name: value for name, value in flight.items() if name != "distance"}
    middle = {"flights": [*november[:30], without, *november[30:60]]}
    bad = [(without, "distance"), (flight | {"dep_delay": 3}, "dep_delay"), (flight | {"distance": "far"}, "distance")]
    bad += [(flight | {"distance": -5}, "distance"), (flight | {"distance": True}, "distance"), (middle, "distance")]
    for body, name in bad:
        problem = api.post(predict, json=body).problem(400, 422)
        if not isinstance(problem.get("errors"), list) or name not in json.dumps(problem["errors"]):
            fail(f"the problem's errors do not name {name}", expected='"errors": a list that names it', actual=problem)
    others: tuple[Any, ...] = ({"flights": []}, {"flights": [flight] * 1001}, [flight], None, 7)
    for other in others:
        api.post(predict, json=other).problem(400, 413, 422)
