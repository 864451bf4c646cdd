"""Is the autoscaler valid, within its bounds, and does it scale the right Deployment?"""

from course.checks import Question, expect, fail, fixture
from course.checks.kubernetes.manifests import Manifests, manifests
from course.checks.kubernetes.resource_files import Resource

question = Question("Your autoscaler", points=4)


@fixture
def shipped() -> Manifests:
    """The shipped manifests."""
    return manifests("kustomize/overlays/production/autoscaler.yaml")


def scaler(shipped: Manifests) -> Resource:
    """The autoscaler that was shipped."""
    return shipped.one("HorizontalPodAutoscaler")


@question.check(points=1)
def it_is_valid(shipped: Manifests) -> None:
    """it is a valid HorizontalPodAutoscaler of autoscaling/v1"""
    if (
        shipped.of("HorizontalPodAutoscaler")
        and (version := scaler(shipped).data.get("apiVersion")) != "autoscaling/v1"
    ):
        hint = "v2beta1 and v2beta2 are gone from new clusters, v2 is missing in old ones; v1 is in all"
        fail(
            "its apiVersion is not the one that every cluster knows",
            expected="autoscaling/v1",
            actual=version,
            hint=hint,
        )
    shipped.expect("valid")
    scaler(shipped)


@question.check(points=2, needs=it_is_valid)
def bounds_and_target(shipped: Manifests) -> None:
    """it keeps 2 to 6 pods, at 60 % of what they ask for"""
    for path, wanted in (("minReplicas", 2), ("maxReplicas", 6), ("targetCPUUtilizationPercentage", 60)):
        expect(scaler(shipped).get(f"spec.{path}"), path).equals(wanted)


### BEGIN HIDDEN TESTS
@question.check(
    points=1, hidden=True, needs=it_is_valid, hint="kind, name and apiVersion of the Deployment, letter by letter"
)
def it_scales_the_deployment(shipped: Manifests) -> None:
    """it scales the Deployment of the base"""
    target = scaler(shipped).get("spec.scaleTargetRef", {})
    expect({key: target.get(key) for key in ("kind", "name")}).equals({"kind": "Deployment", "name": "late-flights"})
    expect(target.get("apiVersion", "apps/v1")).equals("apps/v1")


### END HIDDEN TESTS
