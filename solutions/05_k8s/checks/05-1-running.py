"""Does the service run on a cluster, answer through its Service, and replace a pod that ends?"""

import time
from typing import Any

from course import flights
from course.checks import CheckFailed, Question, expect, fail, fixture
from course.checks.http.contracts import as_sent
from course.checks.http.messages import get, post
from course.checks.kubernetes.clusters import Deployed, deploy
from course.checks.kubernetes.manifests import Manifests, manifests
from course.checks.kubernetes.stand_ins import stand_in
from course.checks.kubernetes.trials import without_faults

question = Question("On a cluster", points=4)


@fixture
def app() -> Manifests:
    """The shipped manifests."""
    return manifests("k8s")


@fixture
def live(app: Manifests) -> Deployed:
    """The application on the cluster; it is applied at the first request."""
    return deploy(
        app, service=app.main("Service", "late-flights").name, images={"late-flights": stand_in()}, timeout=20, start=90
    )


def as_shipped(app: Manifests, live: Deployed) -> None:
    """Start the application as it was shipped."""
    for rule in ("valid", "allowed", "selectors", "ports", "references", "probes"):
        app.expect(rule)  # what cannot work is not tried
    with question.progress("late-flights") as step:
        step("applying")
        live.start()


@fixture
def running(app: Manifests, live: Deployed) -> Deployed:
    """The application as shipped; where that does not run, without the faults that other checks have found."""
    try:
        as_shipped(app, live)
    except CheckFailed:
        name = app.main("Service", "late-flights").name
        images = {image_name(app): stand_in()}
        return deploy(without_faults(app), service=name, images=images, timeout=20, start=90)
    return live


def image_name(app: Manifests) -> str:
    """How the manifests call the image that they run; another check judges it."""
    image = str(app.main("Deployment", "late-flights").containers[0].get("image"))
    return image.partition("@")[0].rpartition("/")[2].partition(":")[0] or "late-flights"


@question.check(points=1)
def it_answers_through_its_service(app: Manifests, live: Deployed) -> None:
    """the pods become ready, and the service answers through its Service"""
    as_shipped(app, live)
    live.get("/health").expect_status(200)
    live.get("/model").expect_status(200)


@question.check(points=1)
def every_pod_gets_requests(running: Deployed) -> None:
    """each pod gets some of the requests"""
    counts = running.spread(get("/model"), count=40)
    if not all(counts):
        fail("a pod that is ready gets no requests", actual=f"of 40 requests, the pods got {counts}")


### BEGIN HIDDEN TESTS
@fixture
def december() -> list[dict[str, Any]]:
    """Flights of a day that nobody has seen, as they are sent."""
    return as_sent(flights.planned("2013-12-05", "2013-12-06").head(40))


@question.check(
    points=1,
    hidden=True,
    hint="several callers ask at once, each over a connection of its own",
)
def it_answers_many_callers(running: Deployed, december: list[dict[str, Any]]) -> None:
    """flights of a day that nobody has seen are answered, whoever asks"""
    for answer in running.many([post("/predict", json=flight) for flight in december]):
        expect(answer.expect_status(200).json()["probability"], "a probability").is_between(0, 1)


@question.check(
    points=1,
    hidden=True,
    hint="a Deployment starts another pod; does that become ready, and does the Service find it?",
)
def a_pod_that_ends_is_replaced(running: Deployed) -> None:
    """a pod ends, and another takes its place"""
    before = len(running.pods())
    running.kill(timeout=90).expect_finished()
    deadline = time.monotonic() + 90
    while (ready := sum(pod.ready for pod in running.pods())) < before and time.monotonic() < deadline:
        time.sleep(0.3)
    expect(ready, "the number of pods that are ready").is_at_least(before)


### END HIDDEN TESTS
