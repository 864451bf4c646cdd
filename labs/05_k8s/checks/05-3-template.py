"""Does the template of the chart make an autoscaler of the chart's values?

It is put into the chart of the course and rendered with other values, by Helm where it is installed. Where there is a
cluster, the whole chart is applied there, and its autoscaler is seen to scale its Deployment.
"""

from typing import Any

from course.checks import Question, expect, fail, fixture
from course.checks.kubernetes.autoscalers import bounds, scaled
from course.checks.kubernetes.charts import Chart, chart
from course.checks.kubernetes.manifests import Manifests
from course.checks.kubernetes.resource_files import Resource
from course.checks.kubernetes.stand_ins import stand_in
from course.checks.kubernetes.trials import accepted, cluster_or_none

question = Question("A template of your own", points=3)
NAME = "templates/autoscaler.yaml"
VERSIONS = ("autoscaling/v1", "autoscaling/v2")


@fixture
def whole() -> Chart:
    """The chart of the course, with the shipped template in it."""
    return chart("given/scale/chart")


def made(whole: Chart, release: str = "autumn", **autoscaler: Any) -> Resource:
    """The HorizontalPodAutoscaler that comes out of the template."""
    out = rendered(whole, release, **autoscaler)
    scalers = out.of("HorizontalPodAutoscaler")
    if len(scalers) != 1:
        kinds = ", ".join(one.shown for one in out.resources) or "nothing"
        fail("one HorizontalPodAutoscaler should come out", actual=kinds)
    return scalers[0]


def rendered(whole: Chart, release: str, **autoscaler: Any) -> Manifests:
    """What comes out of the template."""
    values = {"enabled": True, "least": 2, "most": 6, "busy": 60, **autoscaler}
    return whole.rendered(release, {"autoscaler": values}, only=NAME)


@question.check(points=1)
def numbers_come_from_the_values(whole: Chart) -> None:
    """its numbers come from the values"""
    hint = "a place that is not in the values becomes nothing: .Values.autoscaler has enabled, least, most and busy"
    for least, most, busy in ((2, 6, 60), (3, 11, 75)):
        asked = bounds(made(whole, least=least, most=most, busy=busy))
        given = f"with least: {least}, most: {most}, busy: {busy}"
        for name, number, wanted in (
            ("least", asked.least, least),
            ("largest", asked.most, most),
        ):
            expect(number, f"the {name} number of pods, {given},").equals(wanted, hint=hint)
        expect(asked.busy, f"how busy pods should be, {given},").equals(busy, hint=hint)
    version = made(whole).version
    if version not in VERSIONS:
        fail("its apiVersion is not one that is served now", expected=" or ".join(VERSIONS), actual=version)


@question.check(points=1)
def names_come_from_the_release(whole: Chart) -> None:
    """it scales the chart's Deployment, whatever the release is called"""
    for release in ("autumn", "trial-7"):
        scaler = made(whole, release)
        target = scaler.mapping("spec.scaleTargetRef")
        expect(target.get("kind"), "the kind that it scales").equals("Deployment")
        hint = "what does the chart's own template call its Deployment?"
        expect(target.get("name"), f"the name that it scales, in the release {release}").equals(
            f"{release}-late-flights", hint=hint
        )
        if release not in scaler.name:
            reason = "two releases in one namespace would share this autoscaler"
            fail(reason, actual=scaler.name, hint="its name should hold that of the release")
    if cluster_or_none() is not None:
        app = whole.rendered("autumn", {"autoscaler": {"enabled": True, "least": 2, "most": 3, "busy": 60}})
        accepted(app)
        with question.progress("the chart on the cluster") as step:
            step("it is applied, and scales")
            seen = scaled(app, lambda: stand_in("1"), until=2, seconds=45)
        if max(seen.replicas) < 2:
            fail("on the cluster, it did not scale the chart's Deployment", actual=seen.why or "no reason is given")
