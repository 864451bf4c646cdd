"""Is the autoscaler valid, within its bounds, and does it scale the right Deployment?

It is judged as text. Where there is a cluster, it is applied beside a Deployment of the course, late-flights, whose pod
is as busy as it can be, and is seen to scale it.
"""

from course.checks import Question, expect, fail, fixture
from course.checks.kubernetes.autoscalers import Bounds, Scaling, bounds, scaled
from course.checks.kubernetes.manifests import Manifests, manifests
from course.checks.kubernetes.resource_files import Resource, read
from course.checks.kubernetes.stand_ins import stand_in
from course.checks.kubernetes.trials import accepted, cluster_or_none

question = Question("Your autoscaler", points=4)
WANTED = Bounds(least=2, most=6, busy=60)
VERSIONS = ("autoscaling/v1", "autoscaling/v2")
BUSY = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: late-flights}
spec:
  selector: {matchLabels: {app: late-flights}}
  template:
    metadata: {labels: {app: late-flights}}
    spec:
      terminationGracePeriodSeconds: 1
      securityContext: {runAsNonRoot: true}
      containers:
        - name: api
          image: late-flights:1.0.0
          resources:
            requests: {cpu: 20m, memory: 32Mi}
            limits: {cpu: 60m, memory: 96Mi}
"""


@fixture
def shipped() -> Manifests:
    """The shipped manifests."""
    return manifests("kustomize/overlays/production/autoscaler.yaml")


def scaler(shipped: Manifests) -> Resource:
    """The autoscaler that was shipped."""
    return shipped.one("HorizontalPodAutoscaler")


@fixture
def seen(shipped: Manifests) -> Scaling | None:
    """What it was seen to do on the cluster; None where there is none, or it is too wrong to be tried."""
    if cluster_or_none() is None or shipped.findings("valid", "allowed"):
        return None
    if target_of(shipped) is not None or bounds(scaler(shipped)) != WANTED:
        return None
    app = Manifests("the autoscaler", lambda: [*read(BUSY, "deployment.yaml"), scaler(shipped)])
    with question.progress("the autoscaler on the cluster") as step:
        step("pods are busy, and more come")
        return scaled(app, lambda: stand_in("1", busy=True), until=WANTED.least + 1)


def target_of(shipped: Manifests) -> str | None:
    """What is wrong with what it scales; None when it is the Deployment of the base."""
    target = scaler(shipped).mapping("spec.scaleTargetRef")
    for key, wanted in (("kind", "Deployment"), ("name", "late-flights"), ("apiVersion", "apps/v1")):
        if target.get(key, "apps/v1" if key == "apiVersion" else None) != wanted:
            return f"scaleTargetRef has {key}: {target.get(key)!r}"
    return None


@question.check(points=1)
def it_is_valid(shipped: Manifests) -> None:
    """it is a valid HorizontalPodAutoscaler of autoscaling/v1 or autoscaling/v2"""
    version = scaler(shipped).data.get("apiVersion")
    if version not in VERSIONS:
        hint = "v2beta1 and v2beta2 are gone from new clusters, v2 is missing in those before 1.23; v1 is in all"
        fail("its apiVersion is not one that is served now", expected=" or ".join(VERSIONS), actual=version, hint=hint)
    shipped.expect("valid")
    accepted(shipped)


@question.check(points=2)
def bounds_and_target(shipped: Manifests, seen: Scaling | None) -> None:
    """it keeps 2 to 6 pods, at 60 % of the processor time that they request"""
    asked = bounds(scaler(shipped))
    if asked.others:
        hint = "in autoscaling/v2 the target has type: Utilization and averageUtilization, a share of the requests"
        fail("it must scale by the share of processor time alone", actual=", ".join(asked.others), hint=hint)
    expect(asked.least, "the least number of pods").equals(WANTED.least)
    expect(asked.most, "the largest number of pods").equals(WANTED.most)
    expect(asked.busy, "the target, in per cent of the processor time that the pods request,").equals(WANTED.busy)
    if seen is not None and seen.measures:  # a cluster that does not measure pods scales to the least number only
        what = "the number of pods on the cluster, all of them as busy as they can be,"
        expect(max(seen.replicas), what).is_at_least(WANTED.least + 1)


### BEGIN HIDDEN TESTS
@question.check(points=1, hidden=True, hint="kind, name and apiVersion of the Deployment, letter by letter")
def it_scales_the_deployment(shipped: Manifests, seen: Scaling | None) -> None:
    """it scales the Deployment of the base"""
    if wrong := target_of(shipped):
        fail(wrong, expected="kind: Deployment, name: late-flights, apiVersion: apps/v1")
    if seen is not None and max(seen.replicas) < 2:
        fail("on the cluster, it did not scale the Deployment", actual=seen.why or "no reason is given")


### END HIDDEN TESTS
