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


### BEGIN HIDDEN TESTS
PROBE = """
import importlib, os, shutil, tempfile

own = os.path.join(tempfile.mkdtemp(), "artifact")  # a copy that it may take away
shutil.copytree(os.environ["LATE_FLIGHTS_ARTIFACT"], own)
os.environ["LATE_FLIGHTS_ARTIFACT"] = own

inner = importlib.import_module("{module}").app


def app(environ, start_response):
    if environ["PATH_INFO"] == "/probe/lose":
        shutil.rmtree(own)
        start_response("200 OK", [("Content-Length", "0")])
        return [b""]
    return inner(environ, start_response)
"""
FAULTY = """
import importlib

app = importlib.import_module("{module}").app


def fault():
    secret = "the password is 1234"
    raise RuntimeError(secret)


app.add_url_rule("/fault-for-the-check", view_func=fault)
"""


@dataclass
class Borderline:
    """A flight whose probability becomes the threshold."""

    flight: dict[str, Any]
    threshold: float


@fixture
def borderline(flight: dict[str, Any]) -> Borderline:
    """One with the course's threshold, until the first hidden check has found a better one."""
    return Borderline(flight, course_artifact().threshold)


@question.check(
    points=1,
    hidden=True,
    hint="the service is started with another artifact, which is then taken away: what of yours is written into it, "
    "and what does it read when it is asked?",
)
def it_serves_another_artifact(begins: Entry, predict: str, borderline: Borderline) -> None:
    """with the course's artifact it tells and predicts, in December, what that artifact does, and reads it only once"""
    held_out, _ = flights.holdout()
    december, utc = as_sent(held_out.sample(400, random_state=7)), as_sent(held_out.sample(20, random_state=9), "UTC")
    artifact = course_artifact()
    probe = {"probe.py": PROBE.format(module=begins.module), **begins.files}
    swapped = service_with(artifact, "probe:app", server="flask", files=probe)
    try:
        swapped.get("/ready").expect_status(200)
        swapped.get("/probe/lose").expect_status(200)
        many = swapped.post(predict, json={"flights": december})
        about = swapped.get("/model")
        answers = swapped.many([post(predict, json=flight) for flight in utc], clients=5)
    finally:
        swapped.close()
    said, wanted = probabilities(many, len(december)), artifact.probabilities(december)
    # a service may round what it reports: then those count that were rounded down, which warn either way
    above = sorted((p, place) for place, p in enumerate(said) if p <= wanted[place] + 1e-6)
    if above:
        borderline.threshold, place = above[len(above) // 2]
        borderline.flight = december[place]
    expect(said).is_close(wanted, abs=1e-4)
    expect_about(about, artifact)
    predictions(many, len(december), artifact.threshold)
    alone = [prediction(answer.expect_status(200).json(), artifact.threshold) for answer in answers]
    expect(alone).is_close(artifact.probabilities(utc), abs=1e-4)


@fixture
def faulty(begins: Entry, predict: str, borderline: Borderline) -> Iterator[Service]:
    """The shipped service with the course's artifact, the threshold of the borderline, and a view that fails."""
    artifact = course_artifact(borderline.threshold)
    files = {"faulty.py": FAULTY.format(module=begins.module), **begins.files}
    running = service_with(artifact, "faulty:app", server="flask", files=files)
    yield running
    running.close()


@question.check(
    points=1,
    hidden=True,
    hint="what happens when the probability that you report equals the threshold of metrics.json?",
)
def it_warns_from_the_threshold_on(predict: str, borderline: Borderline, faulty: Service) -> None:
    """a probability that equals the threshold warns"""
    answer = faulty.post(predict, json=borderline.flight).expect_status(200).json()
    expect(answer.get("probability")).is_close(borderline.threshold, abs=1e-9)
    expect(answer.get("warn")).equals(True)


@question.check(
    points=1,
    hidden=True,
    hint="try NaN, infinity, a body of 2 MiB, a hundred thousand brackets, bytes that are no text, a number of 5,000 "
    "digits, and dates beyond the calendar",
)
def refuses_what_is_worse(api: Service, predict: str, flight: dict[str, Any]) -> None:
    """worse requests are refused just as well"""
    text = json.dumps(flight)
    for number in ("NaN", "Infinity", "-Infinity", "1e999", "1" * 5000):
        no_number = text.replace(f'"distance": {flight["distance"]}', f'"distance": {number}')
        api.post(predict, body=no_number.encode(), headers=JSON).problem(400, 422)
    api.post(predict, body=json.dumps({"flights": [flight] * 9000}).encode(), headers=JSON).problem(413)
    for body in (b"[" * 100_000, b'{"a":' * 50_000, b"\xff\xfe\x00", b'{"flights": ' + b"[" * 900 + b"]" * 900 + b"}"):
        api.post(predict, body=body, headers=JSON).problem(400, 422)
    for moment in ("0000-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
        answer = api.post(predict, json=flight | {"planned_departure": moment})
        answer.problem(400, 422)
    leap = api.post(predict, json=flight | {"planned_departure": "2012-06-30T23:59:60Z"})
    if leap.status != 200:
        leap.problem(400, 422)
    with_charset = {"Content-Type": "application/json; charset=utf-8"}
    api.post(predict, body=text.encode(), headers=with_charset).expect_status(200)
    api.post(predict, json={"flights": [flight] * 1000}).expect_status(200)


@question.check(
    points=1,
    hidden=True,
    hint="what does a caller see when one of your functions raises an error? And is there any trace of debug mode?",
)
def errors_tell_nothing_internal(faulty: Service) -> None:
    """a fault of the service is told as problem details, without a word about its inside"""
    answer = faulty.get("/fault-for-the-check")
    answer.problem(500)
    for word in ("RuntimeError", "password", "Traceback", "faulty.py", "fault-for", "/usr/", ".py"):
        if word in answer.text:
            fail("an error tells what is inside", actual=answer.text)
    faulty.get("/?__debugger__=yes&cmd=resource&f=debugger.js").problem(404)


### END HIDDEN TESTS
