"""What the status of Deployments and pods says: functions on plain objects of the API, and `Pod`, a summary."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

REVISION = "deployment.kubernetes.io/revision"


@dataclass(frozen=True)
class Pod:
    """One pod of an application.

    Attributes:
        name: its name, without the part that differs each time: "late-flights 1".
        ready: whether it gets requests.
        restarts: how often its containers were started again.
        state: "Running", or why it is not.
        image: what it runs, as the manifests call it.
        id: its real name.
    """

    name: str
    ready: bool
    restarts: int
    state: str
    image: str
    id: str = field(repr=False, compare=False, default="")


class PodWatch:
    """What was seen of pods, look by look, while an application changed.

    Attributes:
        least_ready: the smallest number of pods that were ready and not being removed; None before the first look.
        most: the largest number of pods that were there and not being removed.
    """

    def __init__(self) -> None:
        self.least_ready: int | None = None
        self.most = 0
        self._going: dict[str, tuple[float, float]] = {}  # pod → when its removal was first seen, and when it last ran

    def look(self, pods: Iterable[dict[str, Any]]) -> None:
        """Note how things stand."""
        pods, now = list(pods), time.monotonic()
        there = remaining(pods)
        ready = sum(is_ready(pod) for pod in there)
        self.least_ready = ready if self.least_ready is None else min(self.least_ready, ready)
        self.most = max(self.most, len(there))
        for pod in pods:
            if "deletionTimestamp" in pod["metadata"]:
                name = str(pod["metadata"]["name"])
                first, last = self._going.get(name, (now, now))
                self._going[name] = first, now if is_running(pod) else last

    @property
    def shortest_end(self) -> float | None:
        """For how many seconds the pod that ended first still ran when its removal had begun; None when none ended."""
        return min((last - first for first, last in self._going.values()), default=None)


def is_rolled_out(deployment: Mapping[str, Any]) -> bool:
    """Whether all pods of a Deployment are of its newest template and ready, and no others are left."""
    status, wanted = deployment.get("status") or {}, deployment["spec"].get("replicas", 1)
    seen = int(status.get("observedGeneration") or 0) >= int(deployment["metadata"]["generation"])
    counts = [int(status.get(key) or 0) for key in ("replicas", "updatedReplicas", "availableReplicas")]
    return seen and counts == [wanted] * 3


def is_running(pod: Mapping[str, Any]) -> bool:
    """Whether a container of a pod runs."""
    return any("running" in (one.get("state") or {}) for one in statuses(pod))


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Whether a pod gets requests."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)


def statuses(pod: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The statuses of a pod's containers, those that prepare first."""
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]


def revision(one: Mapping[str, Any]) -> tuple[str, str]:
    """The id of a Deployment and the number of its template, of that Deployment or of a ReplicaSet that it made."""
    metadata = one["metadata"]
    owner = next(iter(metadata.get("ownerReferences") or []), metadata)
    return str(owner["uid"]), str((metadata.get("annotations") or {}).get(REVISION, "0"))


def template_hash(one: Mapping[str, Any]) -> str:
    """The label that the pods of one template share."""
    return str((one["metadata"].get("labels") or {}).get("pod-template-hash", ""))


def short_name(pod: Mapping[str, Any]) -> str:
    """The name of the Deployment that a pod belongs to."""
    name = str(pod["metadata"]["name"])
    suffix = template_hash(pod)
    return name.partition(f"-{suffix}-")[0] if suffix else name


def remaining(pods: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The pods that are not being removed, oldest first."""
    found = [one for one in pods if "deletionTimestamp" not in one["metadata"]]
    return sorted(found, key=lambda one: (one["metadata"]["creationTimestamp"], one["metadata"]["name"]))
