"""Do the overlays make staging and production of one base, and keep them apart?"""

from typing import Any

from course.checks import Question, document, expect, fail, fixture
from course.checks.kubernetes.clusters import deploy
from course.checks.kubernetes.manifests import Manifests, kustomized
from course.checks.kubernetes.resource_files import ContainerSpec
from course.checks.kubernetes.stand_ins import stand_in

question = Question("Two overlays", points=7)


@fixture
def staging() -> Manifests:
    """What is built of the shipped overlay for trials."""
    return kustomized("kustomize/overlays/staging")


@fixture
def production() -> Manifests:
    """What is built of the shipped overlay for real use."""
    return kustomized("kustomize/overlays/production")


def container(made: Manifests) -> ContainerSpec:
    """The container of what was built."""
    return made.one("Deployment").containers[0]


def setting(made: Manifests, key: str) -> Any:
    """A setting in the ConfigMap that the Deployment really uses."""
    made.expect("references")
    used = [source.get("configMapRef", {}).get("name") for source in container(made).get("envFrom", [])]
    maps = [resource for resource in made.of("ConfigMap") if resource.name in used]
    if not maps:
        hint = "configMapGenerator makes one; the base asks for it by the name settings"
        fail("the Deployment uses no ConfigMap that was made", actual=", ".join(map(str, used)) or "none", hint=hint)
    return maps[0].get("data", {}).get(key)


def expect_names(made: Manifests, prefix: str) -> None:
    """Deployment and Service have the prefix, and it stands there once."""
    for kind in ("Deployment", "Service"):
        expect(made.one(kind).name, f"the name of the {kind}").equals(f"{prefix}-late-flights")


def expect_tag(made: Manifests, tag: str) -> None:
    """The image has a tag."""
    image = str(container(made).get("image"))
    if image.rpartition("/")[2] != f"late-flights:{tag}":
        hint = "newTag, and a name that is letter by letter that of the base, with the registry"
        fail("the image has another name or tag", expected=f"…/late-flights:{tag}", actual=image, hint=hint)


@question.check(points=1)
def both_stand_on_the_base() -> None:
    """both overlays stand on the base"""
    for name in ("staging", "production"):
        path = f"kustomize/overlays/{name}/kustomization.yaml"
        said = document(path)
        if not isinstance(said, dict):
            fail(f"{path} holds no names with values", hint="write one `name: value` on each line")
        named = [*(said.get("bases") or []), *(said.get("resources") or [])]
        if not any(str(folder).rstrip("/") == "../../base" for folder in named):
            fail(
                f"{path} does not name the base",
                expected="../../base, under bases or resources",
                actual=named or "nothing",
            )


@question.check(points=1, needs=both_stand_on_the_base)
def staging_is_as_it_should_be(staging: Manifests) -> None:
    """staging has its names, its tag, one pod and its setting"""
    expect_names(staging, "staging")
    expect_tag(staging, "2.1.0-rc1")
    expect(staging.one("Deployment").get("spec.replicas"), "replicas in staging").equals(1)
    expect(str(setting(staging, "WEB_CONCURRENCY")), "WEB_CONCURRENCY in staging").equals("1")
    if staging.of("HorizontalPodAutoscaler"):
        fail("staging has an autoscaler", hint="it belongs to production alone")


@question.check(points=2, needs=both_stand_on_the_base)
def production_is_as_it_should_be(production: Manifests) -> None:
    """production has its names, its tag, its autoscaler, its setting and more memory"""
    expect_names(production, "production")
    expect_tag(production, "2.0.0")
    production.expect("autoscaler")
    expect(str(setting(production, "WEB_CONCURRENCY")), "WEB_CONCURRENCY in production").equals("2")
    expect(container(production).get("resources.limits.memory"), "the limit of memory").equals("768Mi")


### BEGIN HIDDEN TESTS
@question.check(
    points=1,
    hidden=True,
    needs=(staging_is_as_it_should_be, production_is_as_it_should_be),
    hint="which pods does the selector of each Service find? Which label tells them apart, and does it name that?",
)
def neither_gets_the_others_requests(staging: Manifests, production: Manifests) -> None:
    """in one namespace neither gets the other's requests"""
    labels = {made: made.one("Deployment").pod_labels for made in (staging, production)}
    for mine, other in ((staging, production), (production, staging)):
        for kind, path in (("Service", "spec.selector"), ("Deployment", "spec.selector.matchLabels")):
            wanted = mine.one(kind).get(path, {})
            if wanted.items() <= labels[other].items():
                fail(f"a {kind} also selects the pods of the other")


@question.check(
    points=1,
    hidden=True,
    needs=(staging_is_as_it_should_be, production_is_as_it_should_be),
    hint="kubectl kustomize shows what comes out; is all of the base still in it?",
)
def the_base_is_still_in_it(staging: Manifests, production: Manifests) -> None:
    """what comes out is valid, and still has all that the base has"""
    for made in (staging, production):
        rules = ("allowed", "valid", "selectors", "ports", "references", "probes", "rollout", "graceful stop")
        for rule in (*rules, "resources", "restricted", "read-only", "non-root"):
            made.expect(rule)
    expect(container(staging).get("resources.limits.memory")).equals("512Mi")


@question.check(
    points=1,
    hidden=True,
    needs=staging_is_as_it_should_be,
    hint="kubectl apply -k in a namespace of your own; then ask it",
)
def staging_runs(staging: Manifests) -> None:
    """staging runs on a cluster, and answers"""
    with question.progress("staging on the cluster") as step:
        step("one pod starts")
        live = deploy(staging, images={"late-flights": stand_in("1")}, timeout=20, start=90)
        live.start()
    live.get("/model").expect_status(200)


### END HIDDEN TESTS
