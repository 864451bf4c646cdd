"""Does the service predict what the shipped model predicts, and answer every bad request with problem details?"""

import json
from typing import Any

import numpy as np

from course import flights
from course.checks import Question, Service, expect, fail, fixture, service
from course.checks.http.contracts import Artifact, as_sent
from course.checks.http.exchanges import post

question = Question("The service", points=12)
JSON = {"Content-Type": "application/json"}


@fixture
def shipped() -> Artifact:
    """The shipped artifact."""
    return Artifact("artifact")


@fixture
def api() -> Service:
    """The shipped service; its server is kept for the next question."""
    return service("wsgi:app", server="flask")


@fixture
def november() -> list[dict[str, Any]]:
    """Flights of November, as they are sent."""
    return as_sent(flights.planned("2013-11-20").sample(200, random_state=6))


@fixture
def flight(november: list[dict[str, Any]]) -> dict[str, Any]:
    """One of them."""
    return november[0]


def expect_predictions(shipped: Artifact, asked: str, predictions: Any, sent: list[dict[str, Any]]) -> None:
    """Predictions of flights as sent are those of the shipped model and threshold."""
    threshold, wanted = shipped.json("metrics.json")["threshold"], shipped.probabilities(sent)
    if not isinstance(predictions, list) or len(predictions) != len(sent):
        fail(f"{asked} gives no list of {len(sent)} predictions", actual=predictions)
    for prediction in predictions:
        if not isinstance(prediction, dict) or not {"probability", "warn"} <= set(prediction):
            fail(
                "a prediction must have probability and warn",
                expected='{"probability": 0.31, "warn": false}',
                actual=prediction,
            )
        p = prediction["probability"]
        if isinstance(p, bool) or not isinstance(p, (int, float)):
            fail("a probability must be a number", actual=p)
        if prediction["warn"] is not (p >= threshold):
            fail(f"warn must be true from the threshold ({threshold:.4g}) on, and false below it", actual=prediction)
    said = np.array([prediction["probability"] for prediction in predictions], dtype=float)
    expect(said, "the list of probabilities").is_close(
        wanted, abs=1e-4, hint="what does scoring.py say of these flights?"
    )


@question.check(points=1)
def tells_that_it_lives_and_is_ready(api: Service) -> None:
    """/health and /ready answer 200, as JSON"""
    for path, status in {"/health": "ok", "/ready": "ready"}.items():
        expect(api.get(path).expect_status(200).json(), f"GET {path}").equals({"status": status})


@question.check(points=1, needs=tells_that_it_lives_and_is_ready)
def tells_which_model_answers(shipped: Artifact, api: Service) -> None:
    """/model tells which model answers, and /openapi.json how to ask it"""
    about = api.get("/model").expect_status(200).json()
    expect(about, "GET /model").is_instance(dict)
    for name in ("name", "threshold", "versions"):
        if name not in about:
            fail(f"/model lacks {name}", actual=", ".join(map(str, about)))
    if not {"sha256", "version"} & set(about):
        fail("/model lacks sha256", actual=", ".join(map(str, about)))
    expect(about["threshold"], "the threshold").is_close(shipped.json("metrics.json")["threshold"], abs=1e-9)
    described = api.get("/openapi.json").expect_status(200).json()
    if not isinstance(described, dict) or "/predict" not in described.get("paths", {}):
        fail("/openapi.json does not describe /predict")


@question.check(points=3, needs=tells_that_it_lives_and_is_ready)
def predicts_one_and_many(
    shipped: Artifact, api: Service, november: list[dict[str, Any]], flight: dict[str, Any]
) -> None:
    """/predict answers for one flight and for many, as the shipped model and threshold do"""
    single = api.post("/predict", json=flight).expect_status(200).json()
    expect_predictions(shipped, "POST /predict", [single], [flight])
    many = api.post("/predict", json={"flights": november}).expect_status(200).json()
    if not isinstance(many, dict) or "predictions" not in many:
        fail('many flights must be answered with {"predictions": […]}', actual=many)
    expect_predictions(shipped, "POST /predict", many["predictions"], november)


@question.check(points=3, needs=tells_that_it_lives_and_is_ready)
def refuses_with_problem_details(api: Service, flight: dict[str, Any]) -> None:
    """each wrong request gets problem details, with a status that fits"""
    without = {name: value for name, value in flight.items() if name != "distance"}
    api.get("/nowhere").problem(404)
    refused = api.get("/predict")
    refused.problem(405, hint="a GET changes nothing and asks nothing here: only POST /predict predicts")
    if "POST" not in refused.headers.get("allow", ""):
        fail("405 must come with the header Allow, which names the methods that work", expected="Allow: POST, …")
    api.request("DELETE", "/health").problem(405)
    api.post("/predict", body=b'{"carrier": "UA", ', headers=JSON).problem(400)
    api.post("/predict", body=b"", headers=JSON).problem(400, 422)
    api.post("/predict", body=b"carrier=UA", headers={"Content-Type": "application/x-www-form-urlencoded"}).problem(415)
    api.post("/predict", body=json.dumps(flight).encode(), headers={"Content-Type": "text/plain"}).problem(415)
    bad = [(without, "distance"), (flight | {"dep_delay": 3}, "dep_delay"), (flight | {"distance": "far"}, "distance")]
    bad += [(flight | {"distance": -5}, "distance"), ({"flights": [flight, without]}, "distance")]
    for body, name in bad:
        problem = api.post("/predict", json=body).problem(400, 422)
        if not isinstance(problem.get("errors"), list) or name not in json.dumps(problem["errors"]):
            fail(f"the problem's errors do not name {name}", actual=problem)
    others: tuple[Any, ...] = ({"flights": []}, {"flights": [flight] * 1001}, [flight], None, 7)
    for other in others:
        api.post("/predict", json=other).problem(400, 413, 422)
