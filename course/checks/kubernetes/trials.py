"""Trials on a cluster that isolate one thing from another, so that one fault of a manifest hides nothing else.

`accepted` lets the API server judge objects without keeping them; `observed` runs one pod without its probes and reads
what it finds inside; `side_by_side` runs several small applications in one namespace; `without_faults` takes out what
other rules have already found. Without a cluster the first two return without a verdict: the text was judged before.
"""

from __future__ import annotations

import copy
import functools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from course.checks.core.expectations import CheckFailed, NotGradedHere, Unmet, fail
from course.checks.kubernetes import hardening, sessions
from course.checks.kubernetes.api import ApiError
from course.checks.kubernetes.diagnosis import Diagnosis
from course.checks.kubernetes.driver import ApplicationDriver
from course.checks.kubernetes.manifests import Manifests
from course.checks.kubernetes.resource_files import Resource, selects
from course.checks.kubernetes.schemas import mended
from course.checks.kubernetes.sessions import ClusterSession, not_graded_on_trouble

PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
_LOOK_S = 0.3


def cluster_or_none() -> ClusterSession | None:
    """The session with the cluster; None where there is none."""
    try:
        return sessions.cluster()
    except NotGradedHere:
        return None


# what the API server takes


def accepted(app: Manifests) -> bool:
    """Let the API server judge all objects, and a pod of each Deployment, without keeping them (a dry run).

    The namespace demands requests and limits of every container, and where the cluster serves levels of pod security,
    the restricted one. Objects of a version that the cluster does not serve are left out.

    Returns:
        Whether a cluster judged them.

    Raises:
        CheckFailed: it refuses one; the message is the API server's own.
    """
    return _judged(app, lambda one: _dry_run(one))


def pods_accepted(app: Manifests) -> bool:
    """Let the API server judge a pod of each Deployment, as :func:`accepted` does the objects."""
    return _judged(app, _dry_run_of_a_pod)


def _judged(app: Manifests, judge: Callable[[Resource], None]) -> bool:
    if cluster_or_none() is None:
        return False
    with not_graded_on_trouble():
        for one in app.resources:
            if one.kind != "Namespace":
                judge(one)
    return True


def _dry_run(one: Resource) -> None:
    session = sessions.cluster()
    if not session.api.serves(one.version):
        return
    data = copy.deepcopy(one.data)
    data.get("metadata", {}).pop("namespace", None)
    hardening.spell_out(data)
    path = session.api.path(one.version, one.kind, session.policies, one.name)
    query = {"fieldManager": "course", "force": "true", "dryRun": "All"}
    _refusal(one, lambda: session.api.patch(path, data, "apply-patch", query=query))


def _dry_run_of_a_pod(one: Resource) -> None:
    if one.kind != "Deployment":
        return
    session = sessions.cluster()
    metadata = {"name": "tried", "labels": {key: str(value) for key, value in one.pod_labels.items()}}
    pod = {"metadata": metadata, "spec": copy.deepcopy(one.pod)}
    pod["spec"].pop("serviceAccountName", None)
    path = f"/api/v1/namespaces/{session.policies}/pods"
    _refusal(one, lambda: session.api.call("POST", path, body=pod, query={"dryRun": "All"}))


def _refusal(one: Resource, act: Callable[[], Any]) -> None:
    """Do something, and put the API server's refusal into words."""
    try:
        act()
    except ApiError as refused:
        if "field not declared in schema" in refused.reason or refused.status not in (400, 403, 409, 422, 500):
            return  # the newest schema takes it, and this cluster is too old to judge it
        finding = one.finding((), f"the API server refuses {one.shown}: {refused.reason[:400]}")
        raise CheckFailed(str(finding), hint="kubectl apply --dry-run=server prints the same") from None


# what other checks have found is left out


def without_faults(app: Manifests, *, bare: str | None = None) -> Manifests:
    """The same application without what rules have found at it, so that the rest can be tried.

    Left out are fields that the schema does not know, probes and hooks that ask for what is not there, commands, and
    references to what is missing. There is a place for temporary files, nobody is root, selectors select the pods, and
    Services lead to the port on which the service listens.

    Args:
        app: the manifests.
        bare: the name of a Deployment of which only one pod with its first container is tried, without any probe and
            hook; Services stay as they are, and everything else beside it is left out.
    """

    def resources() -> list[Resource]:
        if bare is not None:
            kept = [one for one in app.resources if one.kind != "Deployment" or one.name == bare]
            kept = [one for one in kept if one.kind in ("Deployment", "Service", "ConfigMap", "Secret")]
        else:
            kept = list(app.resources)
        lacking, wrong = bool(app.findings("references")), bool(app.findings("probes", "ports"))
        found = []
        for one in kept:
            data = mended(one)
            if one.kind == "Deployment":
                _mend_deployment(data, bare=bare is not None, probes=wrong, references=lacking)
            elif one.kind == "Service" and bare is None:
                if app.findings("selectors", "ports"):
                    _mend_service(data, kept)
                _mend_type(data)
            found.append(Resource(data, one.file, one.lines, one.source))
        return found

    return Manifests(app.name, resources)


def _mend_deployment(data: dict[str, Any], *, bare: bool, probes: bool, references: bool) -> None:
    spec: Any = data.get("spec")
    template = spec.get("template") if isinstance(spec, dict) else None
    if not isinstance(template, dict) or not isinstance(template.get("spec"), dict):
        return
    metadata = template.setdefault("metadata", {})
    labels = metadata.get("labels") or {"app": str(data.get("metadata", {}).get("name"))}
    metadata["labels"] = labels
    if not selects(spec.get("selector"), labels) or not spec.get("selector"):
        spec["selector"] = {"matchLabels": dict(labels)}
    pod = template["spec"]
    if bare:
        spec["replicas"] = 1
        spec.pop("strategy", None)
        pod.pop("initContainers", None)
        pod.pop("serviceAccountName", None)
        pod["containers"] = [one for one in pod.get("containers") or [] if isinstance(one, dict)][:1]
    else:
        _mend_pod(pod)
    for container in [one for one in pod.get("containers") or [] if isinstance(one, dict)]:
        for name in PROBES if bare or probes else ():
            container.pop(name, None)
        if bare or probes:
            container.pop("lifecycle", None)
        for source in [*(container.get("envFrom") or []), *(container.get("env") or [])] if references else ():
            origin = source.get("valueFrom", source) if isinstance(source, dict) else {}
            for key in ("configMapRef", "secretRef", "configMapKeyRef", "secretKeyRef"):
                if isinstance(origin, dict) and isinstance(origin.get(key), dict):
                    origin[key]["optional"] = True


def _mend_pod(pod: dict[str, Any]) -> None:
    """Give the containers of a pod a place for temporary files, the image's own command, and a user but root."""
    containers = [one for one in pod.get("containers") or [] if isinstance(one, dict)]
    for holder in (pod, *containers):
        context = holder.get("securityContext")
        if isinstance(context, dict) and context.get("runAsUser") == 0:
            del context["runAsUser"]
    for container in containers:
        container.pop("command", None)
        container.pop("args", None)
        mounts = container.get("volumeMounts") or []
        if not any(isinstance(mount, dict) and str(mount.get("mountPath")).rstrip("/") == "/tmp" for mount in mounts):
            container["volumeMounts"] = [*mounts, {"name": "course-tmp", "mountPath": "/tmp"}]
            pod["volumes"] = [
                *(one for one in pod.get("volumes") or [] if one.get("name") != "course-tmp"),
                {"name": "course-tmp", "emptyDir": {}},
            ]


def _mend_service(data: dict[str, Any], kept: Sequence[Resource]) -> None:
    name = data.get("metadata", {}).get("name")
    deployments = [one for one in kept if one.kind == "Deployment"]
    mine = next((one for one in deployments if one.name == name), deployments[0] if deployments else None)
    spec = data.get("spec")
    if mine is None or not isinstance(spec, dict):
        return
    spec["selector"] = dict(mine.pod_labels) or {"app": mine.name}
    first = next((port for port in spec.get("ports") or [] if isinstance(port, dict)), {})
    spec["ports"] = [{"port": first.get("port") if isinstance(first.get("port"), int) else 80, "targetPort": 8000}]


def _mend_type(data: dict[str, Any]) -> None:
    """Have a Service that would open a way into the cluster reached from within, as all Services are while grading."""
    spec = data.get("spec")
    if isinstance(spec, dict) and spec.get("type") in ("NodePort", "LoadBalancer"):
        spec["type"] = "ClusterIP"
        for name in ("externalTrafficPolicy", "loadBalancerIP", "loadBalancerClass", "loadBalancerSourceRanges"):
            spec.pop(name, None)
        for port in spec.get("ports") or []:
            if isinstance(port, dict):
                port.pop("nodePort", None)


# one pod, looked at


@dataclass(frozen=True)
class Observation:
    """What one pod of an application showed that ran without its probes.

    Attributes:
        inside: what the stand-in found in its container: `user`, `writable`, `temporary`, `environment`; None when it
            never ran.
        problem: why the pod did not run; None when it did.
        unreached: why its Service did not lead to it; None when it did.
    """

    inside: dict[str, Any] | None
    problem: Diagnosis | None
    unreached: str | None


def observed(app: Manifests, deployment: Resource, service: str | None, image: Callable[[], str]) -> Observation | None:
    """Run one pod of a Deployment with a stand-in for its image, and look into it.

    Args:
        app: the manifests.
        deployment: the Deployment.
        service: the name of the Service that should lead to it.
        image: returns the image of the stand-in.

    Returns:
        None where there is no cluster, or the manifests cannot be tried there; then the text is all there is to judge.
    """
    if cluster_or_none() is None:
        return None
    bare = without_faults(app, bare=deployment.name)
    try:
        hardening.refuse(bare)
        name = image()
        objects = hardening.harden(bare, lambda _: name)
    except (CheckFailed, NotGradedHere):
        return None
    port = next((port for one in bare.of("Service") if one.name == service for _, port in one.items("spec.ports")), {})
    return _observed(json.dumps([objects, service, port.get("port")], sort_keys=True, default=str))


@functools.lru_cache(maxsize=8)
def _observed(key: str) -> Observation | None:
    objects, service, port = json.loads(key)
    try:
        with not_graded_on_trouble():
            driver = ApplicationDriver(sessions.cluster(), key)
            try:
                driver.open(objects)
                problem, unreached = driver.settle(40), None
                try:
                    if service is not None and isinstance(port, int) and problem is None:
                        driver.reach(service, port)
                except Unmet as unmet:
                    unreached = unmet.reason
                pods = driver.raw_pods()
                if any(map(_ended, pods)):  # then there is nobody to answer, and the Service is not to blame
                    unreached = None
                log = "".join(driver.log(pod) or driver.log(pod, previous=True) for pod in pods)
                return Observation(_inside(log), problem, unreached)
            finally:
                driver.close()
    except (NotGradedHere, CheckFailed):
        return None


def _ended(pod: Mapping[str, Any]) -> bool:
    """Whether a container of a pod ended, once at least."""
    containers = pod.get("status", {}).get("containerStatuses") or []
    return any(one.get("restartCount") or "running" not in (one.get("state") or {}) for one in containers)


def _inside(log: str) -> dict[str, Any] | None:
    for line in log.splitlines():
        if line.startswith('{"inside": '):
            try:
                found = json.loads(line[:10_000])["inside"]
            except (ValueError, LookupError, RecursionError):
                return None
            return found if isinstance(found, dict) else None
    return None


# several, side by side


def side_by_side(
    apps: Mapping[str, Manifests], images: Mapping[str, str], *, seconds: float = 30.0, steady: float = 10.0
) -> dict[str, str | None]:
    """Run several applications of one Deployment and one Service, each named after it, in one namespace.

    Args:
        apps: name → its manifests. They must hold "allowed" and "valid".
        images: as for :func:`clusters.deploy`.
        seconds: how long all of them have to become ready.
        steady: for how long each must then go on without a restart.

    Returns:
        Name → why it does not run; None when it does.

    Raises:
        NotGradedHere: there is no cluster.
    """
    session = sessions.cluster()
    found: dict[str, str | None] = {}
    ports: dict[str, int] = {}
    with not_graded_on_trouble():
        driver = ApplicationDriver(session, "side by side")
        try:
            driver.open([])
            for name, app in apps.items():
                try:
                    hardening.refuse(app)
                    port = next((port for _, port in app.one("Service", name).items("spec.ports")), {}).get("port")
                    driver.apply(hardening.harden(app, functools.partial(hardening.image_to_run, images=images)))
                except CheckFailed as failure:
                    found[name] = failure.reason
                else:
                    ports[name] = port if isinstance(port, int) else 0
            return found | _watched(driver, ports, seconds, steady)
        finally:
            driver.close()


def _watched(
    driver: ApplicationDriver, ports: Mapping[str, int], seconds: float, steady: float
) -> dict[str, str | None]:
    """Watch applications until each has run for a while, or it is clear that it will not."""
    found: dict[str, str | None] = {}
    since: dict[str, tuple[float, int]] = {}  # when it became ready, and how often it had been restarted then
    deadline = time.monotonic() + seconds
    while waiting := [name for name in ports if name not in found]:
        for name in waiting:
            state, now = driver.state_of(name), time.monotonic()
            if state.problem.final or state.restarts > 1:
                found[name] = state.problem.why or "its pod is started again and again"
            elif state.ready:
                begun, restarts = since.setdefault(name, (now, state.restarts))
                if restarts != state.restarts:
                    del since[name]
                elif now - begun >= steady:
                    found[name] = _unreached(driver, name, ports[name])
            else:
                since.pop(name, None)
            if name not in found and not state.ready and now > deadline:
                found[name] = state.problem.why or f"no pod became ready within {seconds:g} seconds"
        time.sleep(_LOOK_S)
    return found


def _unreached(driver: ApplicationDriver, name: str, port: int) -> str | None:
    try:
        driver.reach(name, port)
    except Unmet as unmet:
        return unmet.reason
    return None


def expect_running(states: Mapping[str, str | None], name: str) -> None:
    """Fail the check unless an application of :func:`side_by_side` runs."""
    if name not in states:
        fail(f"{name} was not tried on the cluster")
    if (why := states[name]) is not None:
        raise CheckFailed(
            f"on the cluster, {name} does not run: {why}", hint="kubectl describe and kubectl logs say more"
        )
