"""Autoscalers: what one asks for, whichever version of the API it is written in, and what one is seen to do."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from course.checks.core.expectations import not_graded_here
from course.checks.kubernetes import hardening, sessions
from course.checks.kubernetes.driver import ApplicationDriver
from course.checks.kubernetes.manifests import Manifests
from course.checks.kubernetes.resource_files import Resource
from course.checks.kubernetes.sessions import not_graded_on_trouble

_LOOK_S = 0.5
_NO_SCALE = "FailedGetScale"  # the reason of an autoscaler whose target is not there
_seen: dict[str, Scaling] = {}


@dataclass(frozen=True)
class Bounds:
    """What an autoscaler asks for: the numbers of pods, and how busy they should be, in per cent of their requests.

    `others` names what it also scales by, besides processor time as a share of the requests.
    """

    least: Any
    most: Any
    busy: Any
    others: tuple[str, ...] = ()


def bounds(scaler: Resource) -> Bounds:
    """The bounds and the target for processor time, of `autoscaling/v1` and of `autoscaling/v2`."""
    least, most = scaler.get("spec.minReplicas", 1), scaler.get("spec.maxReplicas")
    busy = scaler.get("spec.targetCPUUtilizationPercentage")
    others = []
    for path, metric in scaler.items("spec.metrics"):
        kind = metric.get("type")
        source = {"Resource": "resource", "ContainerResource": "containerResource"}.get(str(kind), "")
        share = scaler.get((*path, source, "target", "averageUtilization"))
        if source and scaler.get((*path, source, "name")) == "cpu" and share is not None:
            busy = share
        else:
            others.append(f"{kind} {scaler.get((*path, source, 'name')) or ''}".strip())
    return Bounds(least, most, busy, tuple(others))


@dataclass
class Scaling:
    """What an autoscaler was seen to do.

    Attributes:
        replicas: the numbers of pods that the Deployment was to have, in order.
        measures: whether the cluster told it how busy the pods are.
        why: the last reason of the autoscaler for doing nothing.
    """

    replicas: list[int] = field(default_factory=list)
    measures: bool = False
    why: str = ""


def scaled(app: Manifests, image: Callable[[], str], *, until: int, seconds: float = 75.0) -> Scaling:
    """Apply a Deployment and its autoscaler, and watch until the Deployment is to have so many pods.

    Args:
        app: the manifests: one Deployment, one HorizontalPodAutoscaler.
        image: returns the image that runs in all containers.
        until: the number of pods.
        seconds: how long to watch.

    Raises:
        NotGradedHere: there is no cluster, or it does not serve the autoscaler's version.
        CheckFailed: the manifests are not allowed, or not valid.
    """
    session = sessions.cluster()
    hardening.refuse(app)
    if not session.api.serves(version := app.one("HorizontalPodAutoscaler").version):
        not_graded_here(f"this cluster does not serve {version}")
    name = image()
    objects = hardening.harden(app, lambda _: name)
    key = json.dumps([objects, until], sort_keys=True, default=str)
    if key not in _seen:
        with not_graded_on_trouble():
            driver = ApplicationDriver(session, key)
            try:
                driver.open(objects)
                _seen[key] = _watch(driver, app, until, seconds)
            finally:
                driver.close()
    return _seen[key]


def _watch(driver: ApplicationDriver, app: Manifests, until: int, seconds: float) -> Scaling:
    api, found = driver.session.api, Scaling()
    deployment, scaler = app.one("Deployment"), app.one("HorizontalPodAutoscaler")
    path = api.path(deployment.version, "Deployment", driver.namespace, deployment.name)
    its = api.path(scaler.version, "HorizontalPodAutoscaler", driver.namespace, scaler.name)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        replicas = int((api.get(path).get("spec") or {}).get("replicas") or 1)
        if not found.replicas or found.replicas[-1] != replicas:
            found.replicas.append(replicas)
        if replicas >= until:
            break
        for condition in _conditions(api.get(its)):
            if condition.get("type") == "ScalingActive" and condition.get("status") == "True":
                found.measures = True
            if condition.get("status") == "False" and condition.get("type") in ("AbleToScale", "ScalingActive"):
                found.why = f"{condition.get('reason')}: {str(condition.get('message'))[:200]}"
                if condition.get("reason") == _NO_SCALE:
                    return found
        time.sleep(_LOOK_S)
    found.measures = found.measures or found.replicas[-1] >= until
    return found


def _conditions(scaler: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The conditions of an autoscaler; `autoscaling/v1` keeps them as JSON in an annotation."""
    written = (scaler["metadata"].get("annotations") or {}).get("autoscaling.alpha.kubernetes.io/conditions")
    found = json.loads(written) if written else (scaler.get("status") or {}).get("conditions")
    return [one for one in found or [] if isinstance(one, dict)]
