"""On a cluster."""

import time

from course import flights
from course.checks import Question, expect
from course.checks.http.contracts import as_sent
from course.checks.http.services import post
from course.checks.kubernetes.clusters import deploy
from course.checks.kubernetes.manifests import manifests
from course.checks.kubernetes.stand_ins import stand_in

question = Question("On a cluster", points=4)
app = manifests("k8s")


def live():
    """The application on the cluster; it is applied once."""
    return deploy(app, service="late-flights", images={"late-flights": stand_in()}, timeout=20, start=90)


@question.check(points=2)
def it_answers_through_its_service():
    """the pods become ready, and the service answers through its Service"""
    for rule in ("valid", "allowed", "selectors", "ports", "references", "probes"):
        app.expect(rule)  # what cannot work is not tried
    with question.progress("late-flights") as step:
        step("applying")
        live().start()
    live().get("/health").expect_status(200)
    live().get("/model").expect_status(200)
