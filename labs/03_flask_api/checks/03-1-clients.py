"""Does the service stand up to many, slow, broken and random clients, behind either server?"""

from typing import Any

from course import flights
from course.checks import Question, Service, Unmet, expect, fail, fixture, service
from course.checks.http.contracts import Artifact, as_sent, fuzz
from course.checks.http.exchanges import get, post

question = Question("Real clients", points=8)


@fixture
def november() -> list[dict[str, Any]]:
    """Flights of November, as they are sent."""
    return as_sent(flights.planned("2013-11-20").sample(50, random_state=10))


@fixture
def servers() -> dict[str, Service]:
    """The shipped service behind the server for development and the one for production."""
    return {name: service("wsgi:app", server=name, timeout=20) for name in ("flask", "gunicorn")}


@question.check(points=2)
def fifty_at_once_get_their_own_answers(november: list[dict[str, Any]], servers: dict[str, Service]) -> None:
    """fifty clients at once each get their own answer, from either server"""
    wanted = Artifact("artifact").probabilities(november)
    with question.progress("fifty at once") as step:
        for name, api in servers.items():
            step(name)
            answers = api.many([post("/predict", json=flight) for flight in november], clients=50)
            said = [answer.expect_status(200).json()["probability"] for answer in answers]
            expect(said, f"what fifty clients of {name} are told").is_close(wanted, abs=1e-4)


@question.check(points=2, needs=fifty_at_once_get_their_own_answers)
def slow_and_broken_clients_harm_nobody(november: list[dict[str, Any]], servers: dict[str, Service]) -> None:
    """a slow client, and clients that hang up, harm nobody else"""
    with question.progress("slow clients") as step:
        for name, api in servers.items():
            step(name)
            with api.slow_client("/predict", json=november[0], seconds=2) as slow:
                api.cut_client("/predict", json={"flights": november}, count=12)
                api.post("/predict", json=november[1]).expect_status(200)
            slow[0].expect_status(200, 408)
            api.get("/ready").expect_status(200)
