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
