"""Do the shipped locustfile's users ask what passengers' programs ask?"""

import importlib.util
import sys

from course import shipping
from course.checks import Question, fail, fixture, not_graded_here
from course.checks.core.expectations import CheckFailed
from course.checks.files import reading
from course.checks.load.generators import beside
from course.known_servers import Behaviour, Taken

question = Question("The locustfile", points=3, deadline_s=120)
KEYS = {"carrier", "origin", "dest", "distance", "planned_departure", "planned_arrival"}


def locust(users: int, seconds: int) -> list[Taken]:
    """What a known server saw of some users."""
    reading.read("locustfile.py")
    if importlib.util.find_spec("locust") is None:
        not_graded_here("Locust is not installed here; `make extra LAB=07` installs it", whatever=True)
    file = str(shipping.folder() / "locustfile.py")
    options = ["--headless", "--only-summary", "--host", "{url}", "--users", str(users), "--spawn-rate", str(users)]
    command = [sys.executable, "-B", "-m", "locust", "-f", file, *options, "--run-time", f"{seconds}s"]
    done, log = beside(command, Behaviour(), seconds=seconds + 40)
    if not log:
        lines = [line for line in done.output.splitlines() if line.strip()]
        raise CheckFailed(
            "no request came from Locust",
            actual="\n".join(lines[-3:])[-400:],
            hint="a class derived from HttpUser, with a method under @task, that calls self.client.post(…)",
        )
    return log


@fixture
def asked() -> list[Taken]:
    """What two users asked in two seconds."""
    return locust(2, 2)


@question.check(points=1)
def users_ask_for_predictions(asked: list[Taken]) -> None:
    """its users POST to /predict"""
    found = [(taken.method, taken.path.replace("//", "/")) for taken in asked]
    if ("POST", "/predict") not in found:
        fail(
            "the users' requests",
            expected="POST /predict among them",
            actual=", ".join(map(" ".join, sorted({*found})[:4])),
        )


@question.check(points=1)
def flights_are_sent(asked: list[Taken]) -> None:
    """they send planned flights as JSON"""
    posts = [taken for taken in asked if taken.method == "POST"]
    if not posts:
        fail("none of the users' requests is a POST")
    body = reading.json_document(posts[0].body, "the body of a request")
    flights = body.get("flights") if isinstance(body, dict) else None
    flight = flights[0] if isinstance(flights, list) and flights else None
    if not isinstance(flight, dict) or not set(flight) >= KEYS:
        expected = f'{{"flights": [a flight with {", ".join(sorted(KEYS))}]}}'
        fail("the body of a request", expected=expected, actual=posts[0].body[:200])


### BEGIN HIDDEN TESTS
@question.check(
    points=1, hidden=True, hint="passengers do not all ask for one flight, and they pause between two requests"
)
def users_differ_and_pause(asked: list[Taken]) -> None:
    """they ask for several flights, and wait between two requests"""
    bodies = {taken.body for taken in asked if taken.method == "POST"}
    if len(bodies) < 2:
        fail("the flights that were asked for", expected="several", actual=len(bodies))
    if len(asked) > 150:  # two users without a pause send several hundred
        fail("the requests of two users in two seconds", expected="with a pause between two of them", actual=len(asked))


### END HIDDEN TESTS
