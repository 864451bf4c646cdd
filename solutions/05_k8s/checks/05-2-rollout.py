"""Does the Deployment update from version 1 to version 2 without losing a request?

The manifest is judged as text. Where there is a cluster, version 1 is updated to version 2 there, once, while callers
ask, and what was seen of the pods and of the requests decides.
"""

import re
from dataclasses import dataclass
from typing import Any

from course.checks import CheckFailed, Question, expect, fail, fixture
from course.checks.http.messages import get
from course.checks.kubernetes.clusters import deploy
from course.checks.kubernetes.load_reports import LoadReport
from course.checks.kubernetes.manifests import Manifests, manifests
from course.checks.kubernetes.policies import waits
from course.checks.kubernetes.resource_files import ContainerSpec, Resource, quantity
from course.checks.kubernetes.sessions import cluster
from course.checks.kubernetes.stand_ins import stand_in
from course.checks.kubernetes.trials import accepted, cluster_or_none

question = Question("A rollout that loses nothing", points=9)
SLACK_S = 1.0  # between a look at the pods and what happens


@fixture
def app() -> Manifests:
    """The shipped manifests."""
    return manifests("rollout")


def deployment(app: Manifests) -> Resource:
    """The Deployment of the shipped manifest."""
    return app.main("Deployment", "late-flights")


def serving(app: Manifests) -> ContainerSpec:
    """The container of the service: the one that runs its image, else the first."""
    containers = deployment(app).containers
    if not containers:
        fail(f"{deployment(app).shown} has no container")
    return next((one for one in containers if "late-flights" in str(one.get("image"))), containers[0])


@dataclass(frozen=True)
class Update:
    """What an update on the cluster showed: its report, or why there is none."""

    report: LoadReport | None = None
    problem: CheckFailed | None = None


@fixture
def update(app: Manifests) -> Update:
    """One update from version 1 to version 2 on the cluster, under load. Empty where there is no cluster."""
    if cluster_or_none() is None:
        return Update()
    if app.findings("valid", "allowed", "probes", "rollout") or not serving(app).get("lifecycle.preStop"):
        return Update()  # other checks speak of it, and what is lost without it is a matter of chance
    image = str(serving(app).get("image")).partition("@")[0].rpartition("/")[2].partition(":")[0] or "late-flights"
    try:
        with question.progress("an update on the cluster") as step:
            step("version 1 starts")
            service = app.main("Service", "late-flights").name
            live = deploy(app, service=service, images={image: stand_in("1")}, timeout=20, start=45)
            live.start()
            step("version 2 comes, while callers ask")
            return Update(live.roll(app, images={image: stand_in("2")}, load=get("/model"), timeout=90))
    except CheckFailed as problem:
        return Update(problem=problem)


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
    app.one("Deployment", "late-flights")
    app.one("Service", "late-flights")
    for rule in ("allowed", "valid", "selectors", "ports", "references"):
        app.expect(rule)
    image = str(serving(app).get("image"))
    if not re.fullmatch(r"(\S+/)?late-flights:v?2\.0\.0(@sha256:[0-9a-f]{64})?", image):
        fail("the Deployment runs another image", expected="…/late-flights:2.0.0", actual=image)
    accepted(app)


@question.check(points=2)
def probes_ask_what_fits(app: Manifests) -> None:
    """readiness asks whether the model is loaded, liveness whether the process works"""
    app.expect("probes")


@question.check(points=2)
def never_fewer_pods(app: Manifests, update: Update) -> None:
    """there are always as many ready pods as replicas says, and at most two more"""
    if (kind := deployment(app).get("spec.strategy.type", "RollingUpdate")) != "RollingUpdate":
        fail("all pods end before the first new one starts", expected="RollingUpdate, the default", actual=kind)
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
    if update.report is not None and update.report.pods.least_ready is not None:
        seen = update.report.pods
        expect(seen.least_ready, "the smallest number of ready pods in an update on the cluster").is_at_least(count)
        expect(seen.most, "the largest number of pods in an update on the cluster").is_at_most(count + 2)


@question.check(points=2)
def a_pod_goes_gently(app: Manifests, update: Update) -> None:
    """a pod answers for 2 to 10 seconds after its termination begins, and then has 20 seconds to finish its requests"""
    hook = serving(app).get("lifecycle.preStop")
    seen = update.report.pods.shortest_end if update.report is not None else None
    seconds = waits(hook)
    if not hook or (seconds is None and seen is None):
        app.expect("graceful stop")
        fail("the preStop hook does not wait, or not by a sleep that can be read", actual=repr(hook))
    if seconds is not None and not 2 <= seconds <= 10:
        fail("preStop waits too short or too long", expected="2 to 10 seconds", actual=f"{seconds:g} seconds")
    if seen is not None and not 2 - SLACK_S <= seen <= 10 + 2 * SLACK_S:
        what = "on the cluster, a pod that was told to go answered too short or too long"
        fail(what, expected="2 to 10 seconds", actual=f"about {seen:.0f} seconds")
    waited = seconds if seconds is not None else (seen or 0.0)
    grace = deployment(app).pod.get("terminationGracePeriodSeconds", 30)
    if isinstance(grace, int) and grace - waited < 20 - (seconds is None):
        hint = "terminationGracePeriodSeconds counts from the word to go, so preStop is part of it"
        fail(
            f"after {waited:g} seconds of preStop the server has {grace - waited:g} seconds until it is killed",
            expected="20 or more",
            hint=hint,
        )


### BEGIN HIDDEN TESTS
@question.check(
    points=1,
    hidden=True,
    hint="after how many seconds does the Deployment say so, and what is it without the line? How long is a start?",
)
def it_says_that_it_has_stalled(app: Manifests) -> None:
    """it reports within a minute that it has stalled, and not on a slow day"""
    expect(deployment(app).get("spec.progressDeadlineSeconds", 600), "progressDeadlineSeconds").is_between(16, 60)
    probe = serving(app).get("startupProbe") or serving(app).get("livenessProbe")
    if isinstance(probe, dict):  # without one, nothing ends a start; another check asks for it
        delay, period, failures = (
            quantity(probe.get(key, usual)) or 0.0
            for key, usual in (("initialDelaySeconds", 0), ("periodSeconds", 10), ("failureThreshold", 3))
        )
        expect(delay + period * failures, "how long a start may take before a probe ends it").is_at_least(15)


@question.check(
    points=1,
    hidden=True,
    needs=(probes_ask_what_fits, never_fewer_pods, a_pod_goes_gently),
    hint="measure it as in the next section, with callers that ask while the newer version comes",
)
def an_update_loses_nothing(update: Update) -> None:
    """an update from version 1 to version 2 on a real cluster, under load, loses no request"""
    if update.problem is not None:
        raise update.problem
    if update.report is None:
        cluster()  # not graded here, and why
        fail("it could not be tried, because of what other checks have found")
    update.report.expect_finished()
    update.report.expect_no_loss()
    said = [version for _, version in update.report.versions("version")]
    expect((said[:1], said[-1:]), "the first and the last version that answered").equals((["1"], ["2"]))


### END HIDDEN TESTS
