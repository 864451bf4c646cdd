"""One application on a cluster, driven through the API: apply, wait, put under load, roll back, kill, scale.

`clusters` uses it and turns what happens into checks.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from course.checks.core.expectations import CheckFailed, Unmet, not_graded_here
from course.checks.http import services
from course.checks.http.messages import Request, get
from course.checks.kubernetes.api import ApiError
from course.checks.kubernetes.diagnosis import Diagnosis, diagnose
from course.checks.kubernetes.load_reports import RequestRecord
from course.checks.kubernetes.pods import (
    REVISION,
    Pod,
    PodWatch,
    is_ready,
    is_rolled_out,
    is_running,
    remaining,
    short_name,
    statuses,
)
from course.checks.kubernetes.sessions import ClusterSession

TITLE = "the application runs on the cluster"
BESIDE = ("HorizontalPodAutoscaler", "PodDisruptionBudget")  # kinds without which an application answers all the same
SLACK_S = 15.0  # for the keeper, beyond the time that its requests may take
_LOOK_S = 0.15
_PAUSE_S = 0.02
_CLIENTS = 2


class ApplicationDriver:
    """One application, in a namespace of its own.

    Attributes:
        session: the grader's session with the cluster.
        key: what was applied, by which an application is found again.
        names: the images that are run → how the manifests call them.
        namespace: where it is.
        host, port: the address of its Service in the cluster.
        seconds: how long the start took.
    """

    def __init__(self, session: ClusterSession, key: str) -> None:
        self.session, self.key = session, key
        self.names: dict[str, str] = {}
        self.namespace = self.host = ""
        self.port, self.seconds = 0, 0.0
        self._close: Callable[[], Any] | None = None

    def is_alive(self) -> bool:
        """Whether it was not removed, and the session goes on."""
        return self._close is not None and self.session.is_alive()

    def begin(self, objects: Sequence[Mapping[str, Any]], target: tuple[str, int], timeout: float) -> None:
        """Apply, and wait until it answers."""
        begun = time.monotonic()
        self.open(objects)
        problem = self.settle(timeout)
        if problem is not None:
            raise Unmet(TITLE, problem.why, actual=services.last_lines(self.logs_of_bad()) or None, hint=problem.hint)
        self.host, self.port = self.reach(*target)
        self.seconds = time.monotonic() - begun

    def open(self, objects: Sequence[Mapping[str, Any]]) -> None:
        """Apply, in a new namespace, and wait for nothing.

        Objects that no request needs are left out where the cluster is too old for them.
        """
        served = [one for one in objects if self.session.api.serves(str(one["apiVersion"]))]
        for one in objects:
            if one not in served and one["kind"] not in BESIDE:
                not_graded_here(f"this cluster does not serve {one['apiVersion']}")
        self.namespace = self.session.create_application_namespace()
        self._close = weakref.finalize(self, _leave, self.session, self.namespace)
        self.apply(served)

    def reach(self, name: str, port: int) -> tuple[str, int]:
        """Wait until a Service answers; its address and port.

        Raises:
            Unmet: it does not answer, and why.
        """
        host = str(self._get("Service", name)["spec"].get("clusterIP"))
        if host in ("None", ""):
            raise Unmet(TITLE, f"the Service {name} has no address of its own", hint="leave clusterIP out")
        probe = base64.b64encode(get("/health").raw()).decode()
        found = self._wait_for_endpoints(name, 5.0)
        message = {"do": "reach", "host": host, "port": port, "probe": probe, "timeout": 8.0}
        reply = self.session.request(message, 8.0 + SLACK_S) if found else {"silent": True, "end": "timeout"}
        if reply.get("silent"):
            raise Unmet(TITLE, self._unreached(name, found, str(reply.get("end"))))
        return host, port

    def _wait_for_endpoints(self, service: str, seconds: float) -> bool:
        """Whether pods come to stand behind a Service within a time."""
        deadline = time.monotonic() + seconds
        while True:
            with contextlib.suppress(ApiError):  # they are made a moment after the Service is
                if any(one.get("addresses") for one in self._get("Endpoints", service).get("subsets") or []):
                    return True
            if time.monotonic() > deadline:
                return False
            time.sleep(_LOOK_S)

    def _unreached(self, service: str, found: bool, end: str) -> str:
        if not found:
            return f"all pods are ready, and none stands behind the Service {service}: its selector or port fits no pod"
        how = "no answer comes" if end == "timeout" else "the connection is refused"
        return f"all pods are ready, and through the Service {service} {how}: does targetPort lead to the service?"

    def close(self) -> None:
        """Remove it."""
        if self._close is not None:
            self._close()
        self._close = None

    # the API

    def _path(self, kind: str, name: str = "") -> str:
        version = "apps/v1" if kind in ("Deployment", "ReplicaSet") else "v1"
        return self.session.api.path(version, kind, self.namespace, name)

    def _get(self, kind: str, name: str) -> dict[str, Any]:
        return self.session.api.get(self._path(kind, name))

    def _list(self, kind: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.session.api.get(self._path(kind))["items"]
        return found

    def apply(self, objects: Sequence[Mapping[str, Any]]) -> None:
        """Apply objects, by the user that has rights here alone.

        Raises:
            Unmet: the cluster refuses one.
        """
        for one in objects:
            name = str(one["metadata"]["name"])
            path = self.session.api.path(str(one["apiVersion"]), str(one["kind"]), self.namespace, name)
            deadline = time.monotonic() + 5
            while True:
                try:
                    query = {"fieldManager": "course", "force": "true"}
                    self.session.api.patch(path, one, "apply-patch", query=query, user=self.session.applier)
                    break
                except ApiError as refused:
                    if refused.status == 403 and "quota" not in refused.reason and time.monotonic() < deadline:
                        time.sleep(0.1)  # the rights are known a moment after they are given
                        continue
                    if "field not declared in schema" in refused.reason:  # the newest schema knows it, this cluster not
                        not_graded_here(f"this cluster is too old for it: {refused.reason[:300]}")
                    if refused.status in (400, 403, 409, 422, 500):
                        reason = f"the cluster refuses {one['kind']} {name}: {refused.reason[:300]}"
                        raise Unmet(TITLE, reason, hint="kubectl apply --dry-run=server says the same") from None
                    raise

    # waiting

    def settle(self, timeout: float, watch: PodWatch | None = None) -> Diagnosis | None:
        """Wait until every Deployment is rolled out: None, or why it is not within so many seconds."""
        deadline = time.monotonic() + timeout
        while True:
            if watch is not None:
                watch.look(self._list("Pod"))
            waiting = [one for one in self._list("Deployment") if not is_rolled_out(one)]
            if not waiting:
                return None
            problem = diagnose(waiting, self._list)
            if problem.final:
                return problem
            if time.monotonic() > deadline:
                return replace(problem, why=problem.why or f"it was not done after {timeout:g} seconds")
            time.sleep(_LOOK_S)

    def until_gone(self, timeout: float, watch: PodWatch | None = None) -> None:
        """Wait until what runs in pods that are being removed has ended."""
        deadline = time.monotonic() + timeout
        while True:
            pods = self._list("Pod")
            if watch is not None:
                watch.look(pods)
            going = any("deletionTimestamp" in one["metadata"] and is_running(one) for one in pods)
            if not going or time.monotonic() > deadline:
                return
            time.sleep(_LOOK_S)

    def state_of(self, name: str) -> DeploymentState:
        """How one of several Deployments stands, and what keeps its pods from running."""
        mine = {
            "Deployment": [one for one in self._list("Deployment") if one["metadata"]["name"] == name],
            "ReplicaSet": [one for one in self._list("ReplicaSet") if _owner(one) == name],
            "Pod": [one for one in self._list("Pod") if short_name(one) == name],
            "Event": self._list("Event"),
        }
        restarts = sum(int(one.get("restartCount") or 0) for pod in remaining(mine["Pod"]) for one in statuses(pod))
        ready = bool(mine["Deployment"]) and all(map(is_rolled_out, mine["Deployment"]))
        problem = diagnose([one for one in mine["Deployment"] if not is_rolled_out(one)], mine.__getitem__)
        if not problem.why and restarts:
            last = [
                (one.get("lastState") or {}).get("terminated") or {} for pod in mine["Pod"] for one in statuses(pod)
            ]
            reason = next((end.get("reason") for end in last if end), None)
            why = f"its pod runs, and has been started again {restarts} time{'s' * (restarts > 1)} ({reason})"
            problem = Diagnosis(why, None)
        return DeploymentState(ready, restarts, problem)

    # pods

    def raw_pods(self) -> list[dict[str, Any]]:
        """The pods that are not being removed, oldest first."""
        return remaining(self._list("Pod"))

    def pods(self) -> list[Pod]:
        """See :meth:`Deployed.pods`."""
        found = []
        for number, pod in enumerate(self.raw_pods(), 1):
            containers = statuses(pod)
            waiting = [((one.get("state") or {}).get("waiting") or {}).get("reason") for one in containers]
            state = next(filter(None, waiting), (pod.get("status") or {}).get("phase") or "Pending")
            restarts = sum(int(one.get("restartCount") or 0) for one in containers)
            image = str(pod["spec"]["containers"][0].get("image"))
            image = self.names.get(image, image)
            found.append(
                Pod(f"{short_name(pod)} {number}", is_ready(pod), restarts, state, image, pod["metadata"]["name"])
            )
        return found

    def log(self, pod: Mapping[str, Any], lines: int = 400, *, previous: bool = False) -> str:
        """The end of what a pod's first container printed."""
        path = f"{self._path('Pod', pod['metadata']['name'])}/log"
        query = {"tailLines": str(lines), "limitBytes": str(1 << 20), "container": pod["spec"]["containers"][0]["name"]}
        if previous:
            query["previous"] = "true"
        try:
            return self.session.api.text(path, **query)
        except ApiError:
            return ""

    def logs_of_bad(self) -> str:
        """The log of the first pod that is not ready; of its last life, when it was started again."""
        for pod in self.raw_pods():
            if not is_ready(pod):
                return self.log(pod) or self.log(pod, previous=True)
        return ""

    def events(self) -> list[str]:
        """See :meth:`Deployed.events`."""
        found = []
        for one in sorted(self._list("Event"), key=lambda one: str(one.get("lastTimestamp") or one.get("eventTime"))):
            about = one.get("involvedObject") or {}
            message = " ".join(str(one.get("message")).split())[:200]
            found.append(f"{one.get('type')} {one.get('reason')} {about.get('kind')} {about.get('name')}: {message}")
        return found

    # doing

    def begin_load(self, specs: Sequence[Mapping[str, Any]]) -> None:
        """Put a load on the Service."""
        message = {"do": "load", "host": self.host, "port": self.port, "clients": list(specs)}
        self.session.request({**message, "at_once": _CLIENTS, "pause": _PAUSE_S}, SLACK_S)

    def end_load(self, requests: Sequence[Request], timeout: float) -> list[RequestRecord]:
        """End the load; its records, in the order in which the requests were sent."""
        reply = self.session.request({"do": "unload"}, timeout + 2 * SLACK_S)
        bodies = [base64.b64decode(one) for one in reply["bodies"]]
        found = [
            RequestRecord(at, requests[place].asked, status, end, seconds, bodies[body] if body >= 0 else b"")
            for at, place, end, status, seconds, body in reply["records"]
        ]
        return sorted(found, key=lambda one: one.at)

    def undo(self) -> None:
        """Give each Deployment the template that it had before."""
        sets = self._list("ReplicaSet")
        done = False
        for one in self._list("Deployment"):
            mine = [
                it for it in sets if any(o["uid"] == one["metadata"]["uid"] for o in it["metadata"]["ownerReferences"])
            ]
            mine.sort(key=lambda it: int(it["metadata"].get("annotations", {}).get(REVISION, 0)))
            if len(mine) < 2:
                continue
            template = copy.deepcopy(mine[-2]["spec"]["template"])
            template["metadata"].get("labels", {}).pop("pod-template-hash", None)
            change = [{"op": "replace", "path": "/spec/template", "value": template}]
            self.session.api.patch(self._path("Deployment", one["metadata"]["name"]), change, "json-patch")
            done = True
        if not done:
            raise CheckFailed("there is nothing to go back to: each Deployment had only one revision")

    def kill(self, grace: int | None) -> None:
        """End the oldest pod that is ready, and wait until the cluster saw it."""
        pods = [pod for pod in self.raw_pods() if is_ready(pod)]
        if not pods:
            raise CheckFailed("no pod is ready that could be ended")
        names = {pod["metadata"]["name"] for pod in pods}
        path = self._path("Pod", pods[0]["metadata"]["name"])
        self.session.api.delete(path, {} if grace is None else {"gracePeriodSeconds": grace})
        deadline = time.monotonic() + 10
        while {pod["metadata"]["name"] for pod in self.raw_pods()} <= names and time.monotonic() < deadline:
            time.sleep(0.05)

    def scale(self, name: str, replicas: int) -> None:
        """Set a number of pods."""
        self.session.api.patch(f"{self._path('Deployment', name)}/scale", {"spec": {"replicas": replicas}})


@dataclass(frozen=True)
class DeploymentState:
    """How a Deployment stands: whether all its pods are ready, how often they were restarted, and what is wrong."""

    ready: bool
    restarts: int
    problem: Diagnosis


def _owner(one: Mapping[str, Any]) -> str:
    owners: list[dict[str, Any]] = one["metadata"].get("ownerReferences") or []
    return str(owners[0].get("name")) if owners else ""


def _leave(session: ClusterSession, namespace: str) -> None:
    if not session.is_over:  # else all is removed
        session.remove_namespace(namespace)
