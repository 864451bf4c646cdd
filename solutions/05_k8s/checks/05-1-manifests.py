"""Do the manifests of the service say all that it needs in order to run safely on any cluster?

They are judged as text. Where there is a cluster, its API server judges them too (a dry run), and one pod of the
Deployment runs without its probes, so that what arrives in a container is seen there, whatever else is wrong.
"""

from typing import Any

from course.checks import Question, expect, fail, fixture
from course.checks.kubernetes.environments import environment
from course.checks.kubernetes.manifests import Manifests, manifests
from course.checks.kubernetes.resource_files import Resource, quantity
from course.checks.kubernetes.stand_ins import stand_in
from course.checks.kubernetes.trials import Observation, accepted, observed, pods_accepted

question = Question("Manifests", points=16)
NEEDS_MIB = 64  # what the stand-in takes besides the 20 or so of Python: together about as much as the service


@fixture
def app() -> Manifests:
    """The shipped manifests."""
    return manifests("k8s")


def deployment(app: Manifests) -> Resource:
    """The Deployment that was asked for; a check of its own judges its name."""
    return app.main("Deployment", "late-flights")


def service(app: Manifests) -> Resource:
    """The Service that was asked for; a check of its own judges its name."""
    return app.main("Service", "late-flights")


def variables(app: Manifests) -> dict[str, tuple[str, Any]]:
    """What the containers of the Deployment are given: name → (kind of the source, value)."""
    found: dict[str, tuple[str, Any]] = {}
    for container in deployment(app).containers:
        found |= environment(app, container)
    return found


def look(app: Manifests) -> Observation | None:
    """What one pod showed on the cluster; None where there is none, or it cannot be tried."""
    name = service(app).name if app.of("Service") else None
    return observed(app, deployment(app), name, lambda: stand_in("1", mebibytes=NEEDS_MIB))


def arrives(app: Manifests, name: str, value: str) -> None:
    """Fail unless a container on the cluster really has a variable; pass where none can be seen."""
    seen = look(app)
    if seen is not None and seen.inside is not None:
        expect(seen.inside["environment"].get(name), f"{name} in a container on the cluster").equals(value)


@question.check(points=1)
def all_parts_are_there(app: Manifests) -> None:
    """a Deployment and a Service named late-flights, a ConfigMap and a Secret"""
    app.expect_kinds("Deployment", "Service", "ConfigMap", "Secret")
    app.one("Deployment", "late-flights")
    app.one("Service", "late-flights")


@question.check(points=2)
def kubernetes_takes_them(app: Manifests) -> None:
    """Kubernetes takes them, and they stay within their namespace"""
    deployment(app)
    app.expect("valid")
    app.expect("allowed")
    if not app.findings("selectors"):  # the next check speaks of them
        accepted(app)


@question.check(points=1)
def selectors_find_pods(app: Manifests) -> None:
    """selectors find the pods that they mean"""
    deployment(app), service(app)
    app.expect("selectors")


@question.check(points=1)
def ports_lead_to_the_container(app: Manifests) -> None:
    """the Service's port 80 leads to a port of the container"""
    app.expect("ports")
    ports = [port.get("port") for _, port in service(app).items("spec.ports")]
    if 80 not in ports:
        fail("the Service has no port 80", expected=80, actual=ports)
    if not app.findings("selectors") and (seen := look(app)) is not None and seen.unreached:
        fail(f"on the cluster, {seen.unreached}")


@question.check(points=1)
def settings_come_from_the_configmap(app: Manifests) -> None:
    """WEB_CONCURRENCY and WEB_THREADS come from a ConfigMap"""
    given = variables(app)
    for name, value in (("WEB_CONCURRENCY", "1"), ("WEB_THREADS", "4")):
        if name not in given:
            known = ", ".join(sorted(given)) or "no variable"
            fail(
                f"the container is not given {name}",
                actual=known,
                hint="envFrom gives all keys of a ConfigMap, env one by one, each by its name, letter by letter",
            )
        expect(given[name][0], f"the source of {name}").equals("ConfigMap")
        expect(given[name][1], name).equals(value, hint="the environment holds text, so write the number in quotes")
        arrives(app, name, value)


@question.check(points=2)
def the_key_stands_in_the_secret(app: Manifests) -> None:
    """the weather service's key stands in the Secret alone, and the container takes it from there"""
    given = variables(app)
    app.expect("no secrets")
    if "WEATHER_API_KEY" not in given:
        hint = "env with valueFrom.secretKeyRef names Secret and key"
        fail("the container is not given WEATHER_API_KEY", actual=", ".join(sorted(given)) or "no variable", hint=hint)
    expect(given["WEATHER_API_KEY"][0], "the source of WEATHER_API_KEY").equals("Secret")
    hint = "stringData takes it as it is; data wants it in Base64, without a line break at its end"
    expect(given["WEATHER_API_KEY"][1], "the key in the Secret").equals("made-up-key-4711", hint=hint)
    arrives(app, "WEATHER_API_KEY", "made-up-key-4711")


@question.check(points=2)
def probes_ask_what_fits(app: Manifests) -> None:
    """there are three probes, and each requests the right path"""
    app.expect("probes")
    if not any(container.get("startupProbe") for container in deployment(app).containers):
        hint = "it holds the other two back until the start is done"
        fail(f"{deployment(app).shown} has no startupProbe", hint=hint)


@question.check(points=1)
def it_says_what_it_needs(app: Manifests) -> None:
    """requests and limits are there"""
    app.expect("resources")
    if not app.findings("non-root", "restricted", "valid"):  # other checks speak of them
        pods_accepted(app)


@question.check(points=1)
def the_image_is_pinned(app: Manifests) -> None:
    """the image is named by its version"""
    app.expect("pinned image")
    repositories = [
        str(container.get("image")).partition("@")[0].rpartition("/")[2].partition(":")[0]
        for container in deployment(app).containers
    ]
    if "late-flights" not in repositories:
        fail("no container runs the image late-flights", actual=", ".join(repositories))


@question.check(points=1)
def it_has_no_needless_rights(app: Manifests) -> None:
    """it does not run as root, gains no rights, and its system calls are filtered"""
    app.expect("non-root")
    app.expect("restricted")
    if (seen := look(app)) is not None and seen.inside is not None and seen.inside["user"] == 0:
        fail("on the cluster, the container runs as root")


### BEGIN HIDDEN TESTS
PLACES = ("/tmp", "/var/tmp", "/usr/tmp")  # where Python looks for a place, unless TMPDIR or an argument names one


def expect_place(app: Manifests) -> None:
    """Fail unless the text names a place for temporary files. Where a cluster runs it, the cluster decides."""
    values = [value for _, value in variables(app).values()]
    pod = deployment(app)
    volumes = [volume.get("name") for _, volume in pod.items("spec.template.spec.volumes") if "emptyDir" in volume]
    for container in pod.containers:
        mounts = [entry for _, entry in pod.items((*container.path, "volumeMounts")) if entry.get("name") in volumes]
        paths = [str(entry.get("mountPath")).rstrip("/") for entry in mounts]
        words = f"{container.get('args')} {container.get('command')} {values}"
        if "/dev/shm" not in words and not any(path in PLACES or (path and path in words) for path in paths):
            fail("gunicorn has nowhere to write its temporary files", actual=", ".join(paths) or "no emptyDir")


@question.check(
    points=1,
    hidden=True,
    hint="readOnlyRootFilesystem: true, and a volume, such as an emptyDir, where the service must write",
)
def it_writes_only_where_it_must(app: Manifests) -> None:
    """the root can only be read, and there is a place for temporary files"""
    app.expect("read-only")
    seen = look(app)
    if seen is None or seen.inside is None:
        expect_place(app)
        return
    expect(seen.inside["writable"], "folders of the image that a container on the cluster can write to").equals([])
    if not seen.inside["temporary"]:
        fail("on the cluster, gunicorn finds nowhere to write its temporary files")


@question.check(
    points=1,
    hidden=True,
    needs=it_says_what_it_needs,
    hint="the service needs about 90 MB: a limit just above kills it under load, one far above is no limit",
)
def the_numbers_fit_the_service(app: Manifests) -> None:
    """requests and limits fit a service of 90 MB"""
    for container in deployment(app).containers[:1]:
        limit = quantity(container.get("resources.limits.memory")) or 0.0
        expect(limit / 2**20, "the limit of memory, in MiB").is_between(110, 1024)
        asked = quantity(container.get("resources.requests.memory", container.get("resources.limits.memory")))
        expect((asked or 0.0) / 2**20, "the request for memory, in MiB").is_between(32, 1024)
        cpu = quantity(container.get("resources.requests.cpu", container.get("resources.limits.cpu")))
        expect(cpu, "the request for processor time, in processors").is_between(0.01, 2)
    if (seen := look(app)) is not None and seen.problem is not None and "memory" in seen.problem.why:
        fail(f"on the cluster, {seen.problem.why}")


@question.check(points=1, hidden=True, hint="how many pods answer while a new version comes, or a node is emptied?")
def somebody_always_answers(app: Manifests) -> None:
    """two pods or more, and while a new version comes, one that is ready remains"""
    app.expect_replicas(2)
    app.expect("rollout")
    app.expect("drains")


### END HIDDEN TESTS
