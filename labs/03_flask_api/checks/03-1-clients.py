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
