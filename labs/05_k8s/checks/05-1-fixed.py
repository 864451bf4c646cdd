"""Are the five broken manifests fixed, with nothing right taken away?

Each is judged as text. Where there is a cluster, all five are applied side by side with a stand-in that needs as much
memory as the service and a place for temporary files, and each must run, go on without a restart, and answer.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from course.checks import CheckFailed, Question, expect, fail, fixture
from course.checks.kubernetes.environments import environment
from course.checks.kubernetes.manifests import Manifests, manifests
from course.checks.kubernetes.resource_files import ContainerSpec, quantity
from course.checks.kubernetes.stand_ins import stand_in
from course.checks.kubernetes.trials import cluster_or_none, expect_running, side_by_side

OFFICES = ("newark", "kennedy", "laguardia", "boston", "chicago")
KEPT = ("allowed", "selectors", "pinned image", "non-root", "restricted", "read-only", "references")
# what is mended in each: whether that is right is judged by its own check
FAULTS = {"newark": "image", "kennedy": "livenessProbe", "laguardia": "resources", "boston": "ports", "chicago": ""}
NEEDS_MIB = 64  # what the stand-in takes besides the 20 or so of Python: together about as much as the service
question = Question("Find and fix", points=12)


def office(name: str) -> tuple[Manifests, ContainerSpec]:
    """The mended manifest and its container."""
    app = manifests(f"fixed/{name}.yaml")
    deployment = app.one("Deployment", name)
    app.one("Service", name)
    app.expect("valid")
    if len(deployment.containers) != 1:
        fail("the pod must keep the one container of the broken manifest", actual=len(deployment.containers))
    return app, deployment.containers[0]


def newark() -> None:
    """Its image is the one that the registry has."""
    _, container = office("newark")
    repository = str(container.get("image")).partition("@")[0].rpartition("/")[2].partition(":")[0]
    if repository != "late-flights":
        fail("its image cannot be fetched", expected="late-flights", actual=repository)


def kennedy() -> None:
    """Its probes ask what the service has."""
    office("kennedy")[0].expect("probes")


def laguardia() -> None:
    """Its memory is enough."""
    app, container = office("laguardia")
    app.expect("resources")
    limit = quantity(container.get("resources.limits.memory")) or 0.0
    expect(limit / 2**20, "the limit of memory, in MiB").is_between(110, 1024)


def boston() -> None:
    """Its ports are the one on which the service listens."""
    app, container = office("boston")
    app.expect("ports")
    listens = str(environment(app, container).get("PORT", ("", "8000"))[1])
    numbers = {port.get("name"): str(port.get("containerPort")) for port in container.get("ports", [])}
    target = [port.get("targetPort", port.get("port")) for _, port in app.one("Service", "boston").items("spec.ports")]
    asked = [container.get(f"{probe}Probe.httpGet.port") for probe in ("startup", "readiness", "liveness")]
    for port in (*target, *(port for port in asked if port is not None)):
        number = numbers.get(port, str(port))
        if number != listens:
            fail(f"the service listens on {listens}, and is asked on another port", expected=listens, actual=number)


def chicago() -> None:
    """Its root can only be read, and it has a place for temporary files; where there is a cluster, that decides."""
    app, container = office("chicago")
    app.expect("read-only")
    if cluster_or_none() is not None:
        return
    pod = app.one("Deployment", "chicago")
    volumes = [volume.get("name") for _, volume in pod.items("spec.template.spec.volumes") if "emptyDir" in volume]
    mounts = [
        str(mount.get("mountPath")).rstrip("/")
        for mount in container.get("volumeMounts", [])
        if mount.get("name") in volumes
    ]
    given = {name: str(value) for name, (_, value) in environment(app, container).items()}
    words = f"{container.get('command', '')} {container.get('args', '')} {given.get('GUNICORN_CMD_ARGS', '')}"
    places = {"/tmp", "/var/tmp", "/usr/tmp", given.get("TMPDIR", "/tmp").rstrip("/")}
    named = [place for place in (*mounts, "/dev/shm") if "worker-tmp-dir" in words and place in words]
    if not named and not places & {*mounts, *(["/dev/shm"] if "/dev/shm" in places else [])}:
        fail("gunicorn has nowhere to write its temporary files")


WRITTEN = {"newark": newark, "kennedy": kennedy, "laguardia": laguardia, "boston": boston, "chicago": chicago}


@fixture
def states() -> dict[str, str | None] | None:
    """Why an office does not run on the cluster; None for one that does. None at all where there is no cluster.

    Only those are tried whose text is right: of the others the text says why.
    """
    if cluster_or_none() is None:
        return None
    apps = {}
    for name, judge in WRITTEN.items():
        with contextlib.suppress(CheckFailed):
            judge()
            apps[name] = office(name)[0]
    with question.progress("the offices") as step:
        step("all start side by side")
        return side_by_side(apps, {"late-flights": stand_in("1", mebibytes=NEEDS_MIB)}) if apps else {}


def expect_mended(name: str, states: dict[str, str | None] | None) -> None:
    """Fail unless an office is mended as it is written, and runs where there is a cluster."""
    WRITTEN[name]()
    if states is not None:
        expect_running(states, name)


@question.check(points=2, hint="compare its image with that of your own Deployment, letter by letter")
def newark_is_mended(states: dict[str, str | None] | None) -> None:
    """newark is mended, and runs where there is a cluster"""
    expect_mended("newark", states)


@question.check(points=2, hint="each probe asks an endpoint; does the service have it?")
def kennedy_is_mended(states: dict[str, str | None] | None) -> None:
    """kennedy is mended, and runs where there is a cluster"""
    expect_mended("kennedy", states)


@question.check(points=2, hint="the service needs about 90 MB, and some room")
def laguardia_is_mended(states: dict[str, str | None] | None) -> None:
    """laguardia is mended, and runs where there is a cluster"""
    expect_mended("laguardia", states)


@question.check(
    points=2, hint="the service listens on 8000: mend the port that the container names, too, for people read it there"
)
def boston_is_mended(states: dict[str, str | None] | None) -> None:
    """boston is mended, and runs where there is a cluster"""
    expect_mended("boston", states)


@question.check(points=2, hint="what does the last line of its log say? the root may only be read, and should stay so")
def chicago_is_mended(states: dict[str, str | None] | None) -> None:
    """chicago is mended, and runs where there is a cluster"""
    expect_mended("chicago", states)


@question.check(points=1, hint='"it works now" is easy to have without probes, limits and the security context')
def nothing_right_was_taken_away() -> None:
    """probes, requests, limits and the security context are still there"""
    for name in OFFICES:
        app, container = office(name)
        for rule in KEPT:
            app.expect(rule)
        for key in ("startupProbe", "readinessProbe", "livenessProbe", "resources.requests", "resources.limits"):
            if not container.get(key) and key.partition(".")[0] != FAULTS[name]:
                fail(f"{name}: the {key} was taken away", hint="it was not what kept the pod from starting")
