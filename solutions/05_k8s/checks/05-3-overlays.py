"""Do the overlays make staging and production of one base, and keep them apart?

They are judged by what `kubectl kustomize` makes of them. Where there is a cluster, both run there in one namespace.
"""

from typing import Any

from course.checks import CheckFailed, Question, expect, fail, fixture
from course.checks.http.messages import get
from course.checks.kubernetes.clusters import Deployed, deploy
from course.checks.kubernetes.environments import environment
from course.checks.kubernetes.kustomizations import folders
from course.checks.kubernetes.manifests import Manifests, kustomized
from course.checks.kubernetes.resource_files import ContainerSpec, quantity, selects
from course.checks.kubernetes.sessions import cluster
from course.checks.kubernetes.stand_ins import stand_in
from course.checks.kubernetes.trials import accepted, cluster_or_none

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
    """The container of what was built: the one that runs the service, else the first."""
    containers = made.one("Deployment").containers
    if not containers:
        fail("the Deployment has no container")
    return next((one for one in containers if "late-flights" in str(one.get("image"))), containers[0])


def setting(made: Manifests, key: str) -> Any:
    """A setting in the ConfigMap that the Deployment really uses."""
    made.expect("references")
    given = environment(made, container(made))
    if key not in given:
        hint = "configMapGenerator makes one; the base asks for it by the name settings"
        known = ", ".join(sorted(given)) or "no variable"
        fail(f"the container gets no {key} from a ConfigMap that was made", actual=known, hint=hint)
    expect(given[key][0], f"the source of {key}").equals("ConfigMap")
    return given[key][1]


def limit(made: Manifests) -> float | None:
    """The limit of memory, in MiB, however it is written."""
    amount = quantity(container(made).get("resources.limits.memory"))
    return None if amount is None else amount / 2**20


def expect_names(made: Manifests, prefix: str) -> None:
    """Deployment and Service have the prefix, and it stands there once."""
    for kind in ("Deployment", "Service"):
        expect(made.one(kind).name, f"the name of the {kind}").equals(f"{prefix}-late-flights")


def expect_tag(made: Manifests, tag: str) -> None:
    """The image has a tag."""
    image = str(container(made).get("image"))
    if image.partition("@")[0].rpartition("/")[2] != f"late-flights:{tag}":
        hint = "newTag, and a name that is letter by letter that of the base, with the registry"
        fail("the image has another name or tag", expected=f"…/late-flights:{tag}", actual=image, hint=hint)


@question.check(points=1)
def both_stand_on_the_base() -> None:
    """both overlays stand on the base"""
    for name in ("staging", "production"):
        used = folders(f"kustomize/overlays/{name}")
        if "kustomize/base" not in used:
            others = ", ".join(used[1:]) or "no other folder"
            fail(
                f"the kustomization of {name} does not stand on the base",
                expected="../../base, under resources, or by way of another folder",
                actual=others,
            )


@question.check(points=1)
def staging_is_as_it_should_be(staging: Manifests) -> None:
    """staging has its names, its tag, one pod and its setting"""
    expect_names(staging, "staging")
    expect_tag(staging, "2.1.0-rc1")
    expect(staging.one("Deployment").get("spec.replicas"), "replicas in staging").equals(1)
    expect(str(setting(staging, "WEB_CONCURRENCY")), "WEB_CONCURRENCY in staging").equals("1")
    if staging.of("HorizontalPodAutoscaler"):
        fail("staging has an autoscaler", hint="it belongs to production alone")


@question.check(points=2)
def production_is_as_it_should_be(production: Manifests) -> None:
    """production has its names, its tag, its autoscaler, its setting and more memory"""
    expect_names(production, "production")
    expect_tag(production, "2.0.0")
    production.expect("autoscaler")
    expect(str(setting(production, "WEB_CONCURRENCY")), "WEB_CONCURRENCY in production").equals("2")
    expect(limit(production), "the limit of memory in production, in MiB").is_close(768)


### BEGIN HIDDEN TESTS
def built(*overlays: Manifests) -> list[Manifests]:
    """The overlays that can be built; where none can, the check fails with the reason."""
    found, problem = [], None
    for made in overlays:
        try:
            made.one("Deployment"), made.one("Service")
        except CheckFailed as failure:
            problem = problem or failure
        else:
            found.append(made)
    if problem is not None and not found:
        raise problem
    return found


def unscaled(made: Manifests) -> Manifests:
    """What was built without its autoscaler, of which a question of its own speaks."""
    return Manifests(made.name, lambda: [one for one in made.resources if one.kind != "HorizontalPodAutoscaler"])


def port(made: Manifests) -> int:
    """The port of the Service."""
    return next((int(port["port"]) for _, port in made.one("Service").items("spec.ports") if port.get("port")), 80)


@fixture
def started(staging: Manifests, production: Manifests) -> tuple[Deployed | None, str | None]:
    """Both in one namespace of the cluster, or why they do not run there; neither where there is no cluster."""
    if cluster_or_none() is None:
        return None, None
    try:
        there = built(staging, production)
        both = Manifests("the overlays", lambda: [one for made in there for one in unscaled(made).resources])
        images = {}
        for made in there:
            version = "staging" if made is staging else "production"
            image = str(container(made).get("image")).partition("@")[0].rpartition("/")[2]
            images[image] = stand_in(version)
        with question.progress("both overlays on the cluster") as step:
            step("their pods start in one namespace")
            live = deploy(both, service=there[0].one("Service").name, images=images, timeout=20, start=60)
            live.start()
    except CheckFailed as failure:
        return None, failure.reason
    return live, None


@fixture
def together(started: tuple[Deployed | None, str | None]) -> Deployed | None:
    """Both, running."""
    return started[0]


@fixture
def alone(started: tuple[Deployed | None, str | None]) -> str | None:
    """Why they do not run."""
    return started[1]


@question.check(
    points=1,
    hidden=True,
    hint="which pods does the selector of each Service find? Which label tells them apart, and does it name that?",
)
def neither_gets_the_others_requests(staging: Manifests, production: Manifests, together: Deployed | None) -> None:
    """in one namespace neither gets the other's requests"""
    for mine, other in ((staging, production), (production, staging)):
        labels = other.one("Deployment").pod_labels
        service = {"matchLabels": mine.one("Service").mapping("spec.selector")}
        for one, selector in (
            (mine.one("Service"), service),
            (mine.one("Deployment"), mine.one("Deployment").get("spec.selector")),
        ):
            if selects(selector, labels):
                shown = ", ".join(f"{key}: {value}" for key, value in labels.items())
                fail(f"{one.shown} also selects the pods of {other.one('Deployment').name}", actual=shown)
    if together is not None:
        for made, version in ((staging, "staging"), (production, "production")):
            service_name = made.one("Service").name
            answers = together.through(service_name, port(made)).many([get("/model")] * 12)
            versions = sorted({str(answer.expect_status(200).json().get("version")) for answer in answers})
            expect(versions, f"who answered through the Service {service_name} on the cluster").equals([version])


@question.check(
    points=1,
    hidden=True,
    hint="kubectl kustomize shows what comes out; is all of the base still in it?",
)
def the_base_is_still_in_it(staging: Manifests, production: Manifests) -> None:
    """what comes out is valid, and still has all that the base has"""
    for made in map(unscaled, built(staging, production)):
        rules = ("allowed", "valid", "selectors", "ports", "references", "probes", "rollout", "graceful stop")
        for rule in (*rules, "resources", "restricted", "read-only", "non-root"):
            made.expect(rule)
        accepted(made)
        if made.name == staging.name:
            expect(limit(staging), "the limit of memory in staging, in MiB").is_close(512)


@question.check(points=1, hidden=True, hint="kubectl apply -k in a namespace of your own; then ask it")
def both_run(together: Deployed | None, alone: str | None) -> None:
    """staging and production run on a cluster, and answer"""
    if alone is not None:
        fail(alone)
    if together is None:
        cluster()  # not graded here, and why
        return
    together.get("/model").expect_status(200)


### END HIDDEN TESTS
