"""Do the manifests of the service say all that it needs in order to run safely on any cluster?"""

import base64
from typing import Any

from course.checks import Question, expect, fail, fixture
from course.checks.kubernetes.manifests import Manifests, manifests
from course.checks.kubernetes.resource_files import Resource, quantity

question = Question("Manifests", points=16)


@fixture
def app() -> Manifests:
    """The shipped manifests."""
    return manifests("k8s")


def decoded(text: Any) -> str | None:
    try:
        return base64.b64decode(str(text), validate=True).decode()
    except ValueError:
        return None


def environment(app: Manifests) -> dict[str, tuple[str, Any]]:
    """What the containers of late-flights are given: name → (kind of the source, value)."""
    variables: dict[str, tuple[str, Any]] = {}
    held: dict[tuple[str, Any], dict[str, Any]] = {}
    for resource in app.resources:
        if resource.kind in ("ConfigMap", "Secret"):
            data = resource.mapping("data")
            if resource.kind == "Secret":
                data = {key: decoded(value) for key, value in data.items()} | resource.mapping("stringData")
            held[resource.kind, resource.name] = data
    for container in app.one("Deployment", "late-flights").containers:
        entries = container.get("envFrom", []), container.get("env", [])
        for source in [entry for entry in entries[0] if isinstance(entry, dict)]:
            for kind, key in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
                for name, value in held.get((kind, (source.get(key) or {}).get("name")), {}).items():
                    variables[f"{source.get('prefix') or ''}{name}"] = kind, value
        for entry in [entry for entry in entries[1] if isinstance(entry, dict)]:
            name, origin = str(entry.get("name")), entry.get("valueFrom")
            if not isinstance(origin, dict):
                variables[name] = "the Deployment itself", entry.get("value")
                continue
            for kind, key in (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")):
                wanted = origin.get(key) or {}
                values = held.get((kind, wanted.get("name")), {})
                if wanted.get("key") in values:
                    variables[name] = kind, values[wanted["key"]]
    return variables


def parts(app: Manifests) -> tuple[Resource, Resource]:
    """The Deployment and the Service that were asked for."""
    return app.one("Deployment", "late-flights"), app.one("Service", "late-flights")


@question.check(points=1)
def all_parts_are_there(app: Manifests) -> None:
    """a Deployment and a Service named late-flights, a ConfigMap and a Secret"""
    app.expect_kinds("Deployment", "Service", "ConfigMap", "Secret")
    parts(app)


@question.check(points=2)
def kubernetes_takes_them(app: Manifests) -> None:
    """every recent release of Kubernetes takes them, and they stay within their namespace"""
    parts(app)
    app.expect("valid")
    app.expect("allowed")


@question.check(points=1)
def selectors_find_pods(app: Manifests) -> None:
    """selectors find the pods that they mean"""
    parts(app)
    app.expect("selectors")


@question.check(points=1)
def ports_lead_to_the_container(app: Manifests) -> None:
    """the Service's port 80 leads to a port of the container"""
    _, service = parts(app)
    app.expect("ports")
    ports = [port.get("port") for _, port in service.items("spec.ports")]
    if 80 not in ports:
        fail("the Service has no port 80", expected=80, actual=ports)


@question.check(points=1)
def settings_come_from_the_configmap(app: Manifests) -> None:
    """WEB_CONCURRENCY and WEB_THREADS come from a ConfigMap"""
    variables = environment(app)
    app.expect("references")
    for name, value in (("WEB_CONCURRENCY", "1"), ("WEB_THREADS", "4")):
        if name not in variables:
            fail(f"the container is not given {name}", hint="envFrom gives all keys of a ConfigMap, env one by one")
        expect(variables[name][0], f"the source of {name}").equals("ConfigMap")
        expect(variables[name][1], name).equals(value, hint="the environment holds text, so write the number in quotes")


@question.check(points=2)
def the_key_stands_in_the_secret(app: Manifests) -> None:
    """the weather service's key stands in the Secret alone, and the container takes it from there"""
    variables = environment(app)
    app.expect("no secrets")
    app.expect("references")
    if "WEATHER_API_KEY" not in variables:
        fail("the container is not given WEATHER_API_KEY", hint="env with valueFrom.secretKeyRef names Secret and key")
    expect(variables["WEATHER_API_KEY"][0], "the source of WEATHER_API_KEY").equals("Secret")
    hint = "stringData takes it as it is; data wants it in Base64, without a line break at its end"
    expect(variables["WEATHER_API_KEY"][1], "the key in the Secret").equals("made-up-key-4711", hint=hint)


@question.check(points=2)
def probes_ask_what_fits(app: Manifests) -> None:
    """three probes, and each asks what fits it"""
    app.expect("probes")
    for deployment in app.of("Deployment"):
        if not any(container.get("startupProbe") for container in deployment.containers):
            fail(f"{deployment.shown} has no startupProbe", hint="it holds the other two back until the start is done")


@question.check(points=1)
def it_says_what_it_needs(app: Manifests) -> None:
    """requests and limits are there"""
    app.expect("resources")


@question.check(points=1)
def the_image_is_pinned(app: Manifests) -> None:
    """the image is named by its version"""
    app.expect("pinned image")
    repositories = [
        str(container.get("image")).partition("@")[0].rpartition("/")[2].partition(":")[0]
        for deployment in app.of("Deployment")
        for container in deployment.containers
    ]
    if "late-flights" not in repositories:
        fail("no container runs the image late-flights", actual=", ".join(repositories))


@question.check(points=1)
def it_has_no_needless_rights(app: Manifests) -> None:
    """it does not run as root, gains no rights, and its system calls are filtered"""
    app.expect("non-root")
    app.expect("restricted")
