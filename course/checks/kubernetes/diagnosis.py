"""Why an application does not become ready: `diagnose(…)` reads Deployments, pods and events, and says it in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from course.checks.kubernetes.pods import is_ready, remaining, revision, short_name, statuses, template_hash

Objects = Callable[[str], list[dict[str, Any]]]  # kind → all objects of it in a namespace
# reasons of a pod that will not start by waiting; a loop of crashes is given a second try
_HOPELESS = {
    "InvalidImageName": "its image has no proper name",
    "ErrImagePull": "its image cannot be fetched",
    "ImagePullBackOff": "its image cannot be fetched",
    "ErrImageNeverPull": "its image is not on the node",
    "CreateContainerConfigError": "its container cannot be made",
    "CreateContainerError": "its container cannot be made",
    "RunContainerError": "its container cannot be started",
}
_HINTS = {
    "ErrImagePull": "the name and the tag of the image are those that were pushed to the registry",
    "ImagePullBackOff": "the name and the tag of the image are those that were pushed to the registry",
    "CreateContainerConfigError": "is a ConfigMap, a Secret or a key missing, or does the image run as root?",
    "RunContainerError": "command names a program that is in the image",
    "CrashLoopBackOff": "its log says why it ends; kubectl logs --previous shows it",
    "OOMKilled": "resources.limits.memory is less than the service needs",
    "probe": "does the probe ask the path and the port on which the service answers, and does it wait long enough?",
}


@dataclass(frozen=True)
class Diagnosis:
    """Why something is not ready yet.

    Attributes:
        why: the reason, in words; empty when nothing is wrong so far.
        hint: what may help.
        final: whether waiting longer is useless.
    """

    why: str = ""
    hint: str | None = None
    final: bool = False


def diagnose(waiting: Sequence[Mapping[str, Any]], objects: Objects) -> Diagnosis:
    """Why Deployments are not rolled out yet.

    Args:
        waiting: those Deployments.
        objects: lists all objects of a kind in their namespace.
    """
    for one in waiting:
        for condition in (one.get("status") or {}).get("conditions") or []:
            if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
                message = " ".join(str(condition.get("message")).split())[:300]
                return Diagnosis(f"no pod can be made: {message}", final=True)
            if condition.get("reason") == "ProgressDeadlineExceeded":
                found = _diagnose_pods(objects)
                return Diagnosis(found.why or "it makes no progress", found.hint, final=True)
    return _diagnose_pods(objects)


def _diagnose_pods(objects: Objects) -> Diagnosis:
    """What keeps the first of the newest pods that has a problem from becoming ready."""
    for pod in _newest_pods(objects):
        if found := _unschedulable(pod) or _failing(pod, objects) or _unready(pod, objects):
            return found
    return Diagnosis()


def _unschedulable(pod: Mapping[str, Any]) -> Diagnosis | None:
    for condition in (pod.get("status") or {}).get("conditions") or []:
        if condition.get("reason") == "Unschedulable":
            message = " ".join(str(condition.get("message")).split())[:200]
            why = f"no node takes the pod {short_name(pod)}: {message}"
            return Diagnosis(why, "does it ask for more than a node has?")
    return None


def _failing(pod: Mapping[str, Any], objects: Objects) -> Diagnosis | None:
    """The first container that does not start, or that ended and was started again."""
    for status in statuses(pod):
        found = _not_starting(pod, status) or _restarted(pod, status, objects)
        if found:
            return found
    return None


def _not_starting(pod: Mapping[str, Any], status: Mapping[str, Any]) -> Diagnosis | None:
    waiting = (status.get("state") or {}).get("waiting") or {}
    reason = str(waiting.get("reason") or "")
    if reason not in _HOPELESS:
        return None
    message = " ".join(str(waiting.get("message") or "").split())[:200]
    detail = f"{reason}: {message}" if message else reason
    # the node may not have got a ConfigMap yet that is there
    final = reason != "CreateContainerConfigError" or "failed to sync" not in message
    why = f"the pod {short_name(pod)} does not start: {_HOPELESS[reason]} ({detail})"
    return Diagnosis(why, _HINTS.get(reason), final)


def _restarted(pod: Mapping[str, Any], status: Mapping[str, Any], objects: Objects) -> Diagnosis | None:
    state, last = status.get("state") or {}, status.get("lastState") or {}
    ended = (last.get("terminated") or state.get("terminated")) or {}
    restarts = int(status.get("restartCount") or 0)
    if not ended or status.get("ready") or restarts < 1:
        return None
    again = restarts >= 2 or (state.get("waiting") or {}).get("reason") == "CrashLoopBackOff"
    name = short_name(pod)
    if ended.get("reason") == "OOMKilled":
        return Diagnosis(f"the pod {name} takes more memory than its limit", _HINTS["OOMKilled"], again)
    if _was_killed_by_its_probe(pod, objects):
        return Diagnosis(f"the pod {name} is started again and again, as its probe fails", _HINTS["probe"], again)
    return Diagnosis(f"the pod {name} ends with exit status {ended.get('exitCode')}", _HINTS["CrashLoopBackOff"], again)


def _unready(pod: Mapping[str, Any], objects: Objects) -> Diagnosis | None:
    if is_ready(pod) or (pod.get("status") or {}).get("phase") != "Running":
        return None
    message = _last_probe_failure(pod, objects)
    why = f"the pod {short_name(pod)} runs and does not become ready{': ' + message if message else ''}"
    return Diagnosis(why, _HINTS["probe"])


def _newest_pods(objects: Objects) -> list[dict[str, Any]]:
    """The pods of the newest template of each Deployment; those of older ones are on their way out."""
    hashes = {(revision(one), template_hash(one)) for one in objects("ReplicaSet")}
    newest = []
    for one in objects("Deployment"):
        if int((one.get("status") or {}).get("observedGeneration") or 0) < int(one["metadata"]["generation"]):
            return []
        newest.append(revision(one))
    wanted = {suffix for number, suffix in hashes if number in newest}
    return [pod for pod in remaining(objects("Pod")) if template_hash(pod) in wanted]


def _events_about(pod: Mapping[str, Any], objects: Objects) -> list[dict[str, Any]]:
    name = pod["metadata"]["name"]
    return [one for one in objects("Event") if (one.get("involvedObject") or {}).get("name") == name]


def _last_probe_failure(pod: Mapping[str, Any], objects: Objects) -> str:
    """The message of the last failed probe of a pod, without its address."""
    found = [one for one in _events_about(pod, objects) if one.get("reason") == "Unhealthy"]
    message = " ".join(str(found[-1].get("message")).split())[:200] if found else ""
    return message.replace((pod.get("status") or {}).get("podIP") or "\0", "…")


def _was_killed_by_its_probe(pod: Mapping[str, Any], objects: Objects) -> bool:
    events = _events_about(pod, objects)
    return any(one.get("reason") == "Killing" and "probe" in str(one.get("message")) for one in events)
