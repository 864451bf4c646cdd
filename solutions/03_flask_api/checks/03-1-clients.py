"""Does the service stand up to many, slow, broken and random clients, behind either server?"""

from typing import Any

from course import flights
from course.checks import Question, Service, Unmet, expect, fail, fixture, service
from course.checks.http.contracts import Model, as_sent, fuzz, route
from course.checks.http.course_artifact import measure, service_with
from course.checks.http.helped_services import entry
from course.checks.http.messages import Response, get, post

question = Question("Real clients", points=8)
WAIT_S = 60  # for one answer: fifty clients at once wait for one another, and the machine may be busy with others


@fixture
def november() -> list[dict[str, Any]]:
    """Flights of November, as they are sent."""
    return as_sent(flights.planned("2013-11-20").sample(50, random_state=10))


SERVERS = ("flask", "gunicorn")


@fixture
def judge() -> Model:
    """The artifact with which the service is judged."""
    return measure()


@fixture
def shipped(judge: Model) -> dict[str, Service]:
    """The shipped service behind the server for development and the one for production."""
    return {name: service_with(judge, server=name, timeout=WAIT_S) for name in SERVERS}


@fixture
def servers(judge: Model) -> dict[str, Service]:
    """The same two if they start and get ready, which the first check minds; else with parts of the course's."""
    begins = entry(judge, servers=SERVERS, timeout=WAIT_S)
    return {name: begins.service(judge, server=name, timeout=WAIT_S) for name in SERVERS}


@fixture
def predict(november: list[dict[str, Any]], servers: dict[str, Service]) -> str:
    """Where flights are sent: /predict, or where that redirects to, which the question before this one minds."""
    return route(servers["flask"], "/predict", november[0])


def probability(answer: Response) -> float:
    """The probability of an answer to one flight."""
    body = answer.expect_status(200).json()
    found = body.get("probability") if isinstance(body, dict) else None
    if isinstance(found, bool) or not isinstance(found, int | float):
        fail(f"the answer to {answer.asked} holds no probability", actual=repr(body)[:200])
    return float(found)


@question.check(points=2)
def fifty_at_once_get_their_own_answers(
    november: list[dict[str, Any]], shipped: dict[str, Service], predict: str
) -> None:
    """fifty clients at once each get the answer that they get alone, from either server"""
    with question.progress("fifty at once") as step:
        for name, api in shipped.items():
            step(name)
            requests = [post(predict, json=flight) for flight in november]
            alone = [probability(answer) for answer in api.many(requests, clients=1)]
            at_once = [probability(answer) for answer in api.many(requests, clients=50)]
            hint = "what do two requests share: a variable of the module, an attribute of the app or of the scorer?"
            expect(at_once, f"what fifty clients of {name} are told").is_close(alone, abs=1e-6, hint=hint)
            if len(set(alone)) < 5:
                fail("all flights get the same answer, so nobody can tell whether clients get their own")


@question.check(points=2)
def slow_and_broken_clients_harm_nobody(
    november: list[dict[str, Any]], servers: dict[str, Service], predict: str
) -> None:
    """a slow client, and clients that hang up, harm nobody else"""
    with question.progress("slow clients") as step:
        for name, api in servers.items():
            step(name)
            with api.slow_client(predict, json=november[0], seconds=2) as slow:
                api.cut_client(predict, json={"flights": november}, count=12)
                api.post(predict, json=november[1]).expect_status(200)
            slow[0].expect_status(200, 408)
            api.post(predict, json=november[2]).expect_status(200)


### BEGIN HIDDEN TESTS


@question.check(
    points=2,
    hidden=True,
    hint="each answer is a prediction or problem details below 500: is there a body that contract.py lets through and "
    "scoring.py cannot read, or one that your description allows and contract.py does not understand?",
)
def requests_from_its_description_are_answered(
    november: list[dict[str, Any]], servers: dict[str, Service], predict: str
) -> None:
    """whatever is made from its own description is answered, or refused as it should be"""
    for name, api in servers.items():
        text = api.get("/openapi.json").expect_status(200).text
        results = fuzz(api, text, count={"flask": 60, "gunicorn": 40}[name], seed=2013, path=predict)
        if not any(allowed for _, allowed, _ in results):
            fail("no request can be made from the description")
        probability(api.post(predict, json=november[0]))


@question.check(
    points=1,
    hidden=True,
    hint="is anything kept for each request: a list, a cache without bounds, a model loaded again?",
)
def memory_does_not_grow(november: list[dict[str, Any]], servers: dict[str, Service], predict: str) -> None:
    """its memory does not grow with the requests"""
    api = servers["gunicorn"]
    requests = [post(predict, json={"flights": november}), get("/model"), post(predict, json={"flights": 1})] * 30
    api.many(requests, clients=4)[0].expect_status(200)
    before = api.memory()
    for _ in range(4):
        api.many(requests, clients=4)
    expect(api.memory() - before, "what 360 requests left in memory, in MiB").is_at_most(12)


@question.check(
    points=1,
    hidden=True,
    hint="start it yourself with LATE_FLIGHTS_ARTIFACT set to an empty folder: does it live, and say that it is not "
    "ready?",
)
def a_broken_artifact_is_told(november: list[dict[str, Any]], predict: str) -> None:
    """with a broken artifact it lives, says that it is not ready, and predicts nothing"""
    broken = {"broken/model.onnx": b"no model", "broken/model.joblib": b"no model", "broken/schema.json": b"{"}
    settings = {"LATE_FLIGHTS_ARTIFACT": "{scratch}/broken"}
    api = service("wsgi:app", server="flask", env=settings, files=broken, timeout=WAIT_S)
    try:
        api.get("/health").expect_status(200)
    except Unmet:
        fail("it does not start")  # and the reason is this question's, not one that all of them need
    api.get("/ready").problem(503)
    api.post(predict, json=november[0]).problem(503)
    api.close()


### END HIDDEN TESTS
