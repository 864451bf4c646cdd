"""Does the Deployment update from version 1 to version 2 without losing a request?"""

import re
from typing import Any

from course.checks import Question, expect, fail, fixture
from course.checks.http.exchanges import get
from course.checks.kubernetes.clusters import deploy
from course.checks.kubernetes.manifests import Manifests, manifests
from course.checks.kubernetes.policies import waits
from course.checks.kubernetes.resource_files import Resource
from course.checks.kubernetes.stand_ins import stand_in

question = Question("A rollout that loses nothing", points=9)


@fixture
def app() -> Manifests:
    """The shipped manifests."""
    return manifests("rollout")


def deployment(app: Manifests) -> Resource:
    """The Deployment of the shipped manifest."""
    return app.one("Deployment", "late-flights")


def pods(value: Any, replicas: int, up: bool) -> int:
    """A number of pods, or a share of `replicas`, rounded as Kubernetes rounds."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = re.fullmatch(r"(\d{1,3})%", str(value))
    if match is None:
        fail("a number of pods must be a whole number or a share such as 25%", actual=value)
    return (replicas * int(match[1]) + (99 if up else 0)) // 100


@question.check(points=1)
def it_is_the_same_service_in_version_2(app: Manifests) -> None:
    """the manifest is valid, and runs version 2.0.0 behind the same Service"""
    for rule in ("allowed", "valid", "selectors", "ports", "references"):
        app.expect(rule)
    app.one("Service", "late-flights")
    for container in deployment(app).containers[:1]:
        image = str(container.get("image"))
        if not re.fullmatch(r"(\S+/)?late-flights:2\.0\.0(@sha256:[0-9a-f]{64})?", image):
            fail("the Deployment runs another image", expected="…/late-flights:2.0.0", actual=image)


@question.check(points=1, needs=it_is_the_same_service_in_version_2)
def probes_ask_what_fits(app: Manifests) -> None:
    """readiness asks whether the model is loaded, liveness whether the process works"""
    app.expect("probes")


@question.check(points=2, needs=it_is_the_same_service_in_version_2)
def never_fewer_pods(app: Manifests) -> None:
    """there are always as many ready pods as replicas says, and at most two more"""
    app.expect("rollout")
    count = deployment(app).get("spec.replicas", 1)
    if not isinstance(count, int) or count < 2:
        hint = "a node may fail at any time; with one pod that is an outage"
        fail("one pod is not enough", expected="2 replicas or more", actual=count, hint=hint)
    gone = pods(deployment(app).get("spec.strategy.rollingUpdate.maxUnavailable", "25%"), count, up=False)
    more = pods(deployment(app).get("spec.strategy.rollingUpdate.maxSurge", "25%"), count, up=True)
    if gone:
        hint = "maxUnavailable: how many of the pods may be missing while the new ones come?"
        fail(f"of {count} pods {gone} may be missing", expected="none", actual=f"{gone}", hint=hint)
    if not 1 <= more <= 2:
        hint = "maxSurge: without a pod more nothing can begin, and each takes room on a node"
        fail("the number of pods beyond replicas does not fit", expected="1 or 2", actual=f"{more}", hint=hint)


@question.check(points=2, needs=it_is_the_same_service_in_version_2)
def a_pod_goes_gently(app: Manifests) -> None:
    """a pod answers for 2 to 10 seconds after it was told to go, and then has 20 seconds for what is on its way"""
    app.expect("graceful stop")
    for container in deployment(app).containers[:1]:
        seconds = waits(container.get("lifecycle.preStop")) or 0.0
        if not 2 <= seconds <= 10:
            fail("preStop waits too short or too long", expected="2 to 10 seconds", actual=f"{seconds:g} seconds")
        grace = deployment(app).pod.get("terminationGracePeriodSeconds", 30)
        if grace - seconds < 20:
            hint = "terminationGracePeriodSeconds counts from the word to go, so preStop is part of it"
            fail(
                f"after {seconds:g} seconds of preStop the server has {grace - seconds:g} seconds until it is killed",
                expected="20 or more",
                hint=hint,
            )


### BEGIN HIDDEN TESTS
@question.check(
    points=1,
    hidden=True,
    needs=it_is_the_same_service_in_version_2,
    hint="after how many seconds does the Deployment say so, and what is it without the line? How long is a start?",
)
def it_says_that_it_has_stalled(app: Manifests) -> None:
    """it says within a minute that it has stalled, and not on a slow day"""
    expect(deployment(app).get("spec.progressDeadlineSeconds", 600)).is_between(16, 60)
    for container in deployment(app).containers[:1]:
        probe = container.get("startupProbe") or container.get("livenessProbe")
        patience = probe.get("initialDelaySeconds", 0) + probe.get("periodSeconds", 10) * probe.get(
            "failureThreshold", 3
        )
        expect(patience, "how long a start may take before liveness ends it").is_at_least(15)


@question.check(
    points=2,
    hidden=True,
    needs=(probes_ask_what_fits, never_fewer_pods, a_pod_goes_gently),
    hint="measure it as in the next section, with callers that ask while the newer version comes",
)
def an_update_loses_nothing(app: Manifests) -> None:
    """an update from version 1 to version 2 on a real cluster, under load, loses no request"""
    with question.progress("an update on the cluster") as step:
        step("version 1 starts")
        live = deploy(app, service="late-flights", images={"late-flights": stand_in("1")}, timeout=20, start=90)
        live.start()
        step("version 2 comes, while callers ask")
        change = live.roll(app, images={"late-flights": stand_in("2")}, load=get("/model"), timeout=90)
    change.expect_finished()
    change.expect_no_loss()
    said = [version for _, version in change.versions("version")]
    expect((said[:1], said[-1:]), "the first and the last version that answered").equals((["1"], ["2"]))


### END HIDDEN TESTS
