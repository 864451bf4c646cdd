"""Are the five broken manifests fixed, with nothing right taken away?"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from course.checks import Question, expect, fail
from course.checks.kubernetes.manifests import Manifests, manifests
from course.checks.kubernetes.resource_files import ContainerSpec, quantity

OFFICES = ("newark", "kennedy", "laguardia", "boston", "chicago")
KEPT = ("valid", "allowed", "selectors", "ports", "probes", "resources", "pinned image", "non-root", "restricted")
question = Question("Find and fix", points=12)


def office(name: str) -> tuple[Manifests, ContainerSpec]:
    """The mended manifest and its container."""
    app = manifests(f"fixed/{name}.yaml")
    deployment = app.one("Deployment", name)
    app.one("Service", name)
    if len(deployment.containers) != 1:
        fail("the pod must keep the one container of the broken manifest", actual=len(deployment.containers))
    return app, deployment.containers[0]


def nothing_was_lost(app: Manifests) -> None:
    """Fail when a mend took something away that was right."""
    for rule in (*KEPT, "read-only", "references"):
        app.expect(rule)
    if not app.of("Deployment")[0].containers[0].get("startupProbe"):
        fail("the startup probe was taken away", hint="it was not what kept the pod from starting")


def variables(container: ContainerSpec) -> dict[str, str]:
    """The environment that the manifest itself gives."""
    return {
        str(variable.get("name")): str(variable.get("value"))
        for variable in container.get("env", [])
        if isinstance(variable, dict)
    }


@question.check(points=2, hint="compare its image with that of your own Deployment, letter by letter")
def newark_is_mended() -> None:
    """newark is mended"""
    app, container = office("newark")
    repository = str(container.get("image")).partition("@")[0].rpartition("/")[2].partition(":")[0]
    if repository != "late-flights":
        fail("its image cannot be fetched", expected="late-flights", actual=repository)
    nothing_was_lost(app)


@question.check(points=2, hint="each probe asks an endpoint; does the service have it?")
def kennedy_is_mended() -> None:
    """kennedy is mended"""
    app, _ = office("kennedy")
    app.expect("probes")
    nothing_was_lost(app)


@question.check(points=2, hint="the service needs about 90 MB, and some room")
def laguardia_is_mended() -> None:
    """laguardia is mended"""
    app, container = office("laguardia")
    app.expect("resources")
    limit = quantity(container.get("resources.limits.memory")) or 0.0
    expect(limit / 2**20, "the limit of memory, in MiB").is_between(110, 1024)
    nothing_was_lost(app)


@question.check(
    points=2, hint="the service listens on 8000: mend the port that the container names, too, for people read it there"
)
def boston_is_mended() -> None:
    """boston is mended"""
    app, container = office("boston")
    app.expect("ports")
    listens = variables(container).get("PORT", "8000")
    numbers = {port.get("name"): str(port.get("containerPort")) for port in container.get("ports", [])}
    target = [port.get("targetPort", port.get("port")) for _, port in app.one("Service", "boston").items("spec.ports")]
    asked = [container.get(f"{probe}Probe.httpGet.port") for probe in ("startup", "readiness", "liveness")]
    for port in (*target, *(port for port in asked if port is not None)):
        number = numbers.get(port, str(port))
        if number != listens:
            fail(f"the service listens on {listens}, and is asked on another port", expected=listens, actual=number)
    nothing_was_lost(app)


@question.check(points=2, hint="what does the last line of its log say? the root may only be read, and should stay so")
def chicago_is_mended() -> None:
    """chicago is mended"""
    app, container = office("chicago")
    app.expect("read-only")
    pod = app.one("Deployment", "chicago")
    volumes = [volume.get("name") for _, volume in pod.items("spec.template.spec.volumes") if "emptyDir" in volume]
    mounts = [
        str(mount.get("mountPath")) for mount in container.get("volumeMounts", []) if mount.get("name") in volumes
    ]
    environment = variables(container)
    words = f"{container.get('command', '')} {container.get('args', '')} {environment.get('GUNICORN_CMD_ARGS', '')}"
    places = {"/tmp", "/var/tmp", "/usr/tmp", environment.get("TMPDIR", "/tmp")}
    named = [place for place in (*mounts, "/dev/shm") if "worker-tmp-dir" in words and place in words]
    if not named and not places & {
        *(mount.rstrip("/") for mount in mounts),
        *(["/dev/shm"] if "/dev/shm" in places else []),
    }:
        fail("gunicorn has nowhere to write its temporary files")
    nothing_was_lost(app)
