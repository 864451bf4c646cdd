"""Does the service run on a cluster, answer through its Service, and replace a pod that ends?"""

import time
from typing import Any

from course import flights
from course.checks import Question, expect, fixture
from course.checks.http.contracts import as_sent
from course.checks.http.exchanges import post
from course.checks.kubernetes.clusters import Deployed, deploy
from course.checks.kubernetes.manifests import Manifests, manifests
from course.checks.kubernetes.stand_ins import stand_in

question = Question("On a cluster", points=4)


@fixture
def app() -> Manifests:
    """The shipped manifests."""
    return manifests("k8s")


@fixture
def live(app: Manifests) -> Deployed:
    """The application on the cluster; it is applied at the first request."""
    return deploy(app, service="late-flights", images={"late-flights": stand_in()}, timeout=20, start=90)


@question.check(points=2)
def it_answers_through_its_service(app: Manifests, live: Deployed) -> None:
    """the pods become ready, and the service answers through its Service"""
    for rule in ("valid", "allowed", "selectors", "ports", "references", "probes"):
        app.expect(rule)  # what cannot work is not tried
    with question.progress("late-flights") as step:
        step("applying")
        live.start()
    live.get("/health").expect_status(200)
    live.get("/model").expect_status(200)


### BEGIN HIDDEN TESTS
@fixture
def december() -> list[dict[str, Any]]:
    """Flights of a day that nobody has seen, as they are sent."""
    return as_sent(flights.planned("2013-12-05", "2013-12-06").head(40))


@question.check(
    points=1,
    hidden=True,
    needs=it_answers_through_its_service,
    hint="several callers ask at once, each over a connection of its own",
)
def it_answers_many_callers(live: Deployed, december: list[dict[str, Any]]) -> None:
    """flights of a day that nobody has seen are answered, whoever asks"""
    for answer in live.many([post("/predict", json=flight) for flight in december]):
        expect(answer.expect_status(200).json()["probability"], "a probability").is_between(0, 1)


@question.check(
    points=1,
    hidden=True,
    needs=it_answers_through_its_service,
    hint="a Deployment starts another pod; does that become ready, and does the Service find it?",
)
def a_pod_that_ends_is_replaced(live: Deployed) -> None:
    """a pod ends, and another takes its place"""
    before = len(live.pods())
    live.kill(timeout=90).expect_finished()
    deadline = time.monotonic() + 90
    while (ready := sum(pod.ready for pod in live.pods())) < before and time.monotonic() < deadline:
        time.sleep(0.3)
    expect(ready, "the number of pods that are ready").is_at_least(before)


### END HIDDEN TESTS
