"""What is done to shipped manifests before they are applied: they are refused, or restricted, and run known images."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from course.checks.core.expectations import CheckFailed, fail
from course.checks.docker import registries
from course.checks.docker.images import Image
from course.checks.kubernetes.manifests import Manifests

# The order in which kinds are applied. A Namespace is not: grading has its own. Nor is a NetworkPolicy: policies add
# up, so that one of a student could open what the grader's own keeps closed.
ORDER = (
    "ServiceAccount",
    "ConfigMap",
    "Secret",
    "Service",
    "Deployment",
    "HorizontalPodAutoscaler",
    "PodDisruptionBudget",
)
_TMP = "64Mi"
_pushed: dict[str, str] = {}  # id of an image → its name in the registry


def refuse(app: Manifests) -> None:
    """Fail the check when manifests break the rules "allowed" or "valid"; nothing has been applied then."""
    found = app.findings("allowed") or app.findings("valid")
    if found:
        raise CheckFailed(f"refused before it was applied: {found[0]}", hint=found[0].hint)


def image_to_run(name: str, images: Mapping[str, str | Image]) -> str:
    """The image that is really run for one that the manifests name; pinned to its digest where that can be had.

    Raises:
        CheckFailed: it is none that the course knows.
    """
    try:
        repository, tag, _ = registries.split(name)
    except ValueError:
        fail(f"{name[:80]!r} is not the name of an image", hint="image: repository:tag")
    short = repository.rpartition("/")[2]
    chosen = images.get(f"{short}:{tag}" if tag else short, images.get(short))
    if chosen is None:
        if not registries.is_ours(name):
            known = [*images, f"what is in {registries.address()}"]
            raise CheckFailed(
                f"the image {name[:100]} is not run for grading",
                expected=" or ".join(known),
                hint="an image is named as it was pushed to the registry of the course",
            )
        chosen = name
    if isinstance(chosen, Image):
        return push(chosen)
    if "@" in chosen or not registries.is_ours(chosen):
        return chosen
    found = registries.digest(chosen)
    if found == "":
        raise CheckFailed(
            f"the registry has no image {chosen}",
            hint="push it first, or look at its name and tag",
        )
    return f"{registries.split(chosen)[0]}@{found}" if found else chosen


def push(image: Image) -> str:
    """Push an image that was built here, once; the name by which the nodes pull it."""
    if image.id not in _pushed:
        name = f"{registries.address()}/course-graded:{image.id.removeprefix('sha256:')[:24]}"
        _pushed[image.id] = registries.push(image.engine.api, image.id, name)
    return _pushed[image.id]


def harden(app: Manifests, image: Callable[[str], str]) -> list[dict[str, Any]]:
    """The objects as they are applied: in order, without a namespace, and restricted more than they ask for.

    Args:
        app: the manifests.
        image: name of an image in the manifests → the image that is run.
    """
    found = []
    applied = [one for one in app.resources if one.kind in ORDER]
    for one in sorted(applied, key=lambda one: ORDER.index(one.kind)):
        data = copy.deepcopy(one.data)
        _strip(data)
        spell_out(data)
        if one.template is not None:
            template: Any = data
            for key in one.template:
                template = template[key]
            _strip(template, keep=True)
            _restrict(template["spec"], image)
        found.append(data)
    return found


def _strip(data: dict[str, Any], *, keep: bool = False) -> None:
    """Take out the namespace, and annotations that programs in a cluster may act upon."""
    metadata = data.get("metadata")
    if isinstance(metadata, dict):
        metadata.pop("namespace", None)
        annotations = metadata.pop("annotations", None)
        if keep and isinstance(annotations, dict):
            prefixes = ("kubernetes.io/", "kubectl.kubernetes.io/", "app.kubernetes.io/", "checksum/")
            metadata["annotations"] = {
                key: value for key, value in annotations.items() if "/" not in key or key.startswith(prefixes)
            }


def spell_out(data: dict[str, Any]) -> None:
    """Write what older clusters want in order to apply an object: protocols of ports, and amounts as text."""
    waiting: list[Any] = [data.get("spec")]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            waiting += [value.get(key) for key in ("template", "spec", "containers", "initContainers", "volumes")]
            amounts = value.get("resources")
            groups = [amounts.get("requests"), amounts.get("limits")] if isinstance(amounts, dict) else []
            for held in [group for group in (*groups, value.get("emptyDir")) if isinstance(group, dict)]:
                held |= {key: f"{amount:.15g}" for key, amount in held.items() if type(amount) in (int, float)}
            for port in value.get("ports") or () if isinstance(value.get("ports"), list) else ():
                if isinstance(port, dict):
                    port.setdefault("protocol", "TCP")


def _restrict(pod: dict[str, Any], image: Callable[[str], str]) -> None:
    """Give the pods of a template no token, no capabilities, little temporary space, and the images that are run."""
    pod["automountServiceAccountToken"] = False
    pod.pop("imagePullSecrets", None)
    for volume in pod.get("volumes") or []:
        if isinstance(volume, dict) and "emptyDir" in volume:
            volume["emptyDir"] = {"sizeLimit": _TMP, **(volume["emptyDir"] or {})}
    for container in filter(None, [*(pod.get("containers") or []), *(pod.get("initContainers") or [])]):
        container["image"] = image(str(container.get("image") or ""))
        container["imagePullPolicy"] = "IfNotPresent" if "@" in container["image"] else "Always"
        context = container["securityContext"] = dict(container.get("securityContext") or {})
        context["allowPrivilegeEscalation"] = False
        context["capabilities"] = {**(context.get("capabilities") or {}), "drop": ["ALL"]}
        if not (pod.get("securityContext") or {}).get("seccompProfile"):
            context.setdefault("seccompProfile", {"type": "RuntimeDefault"})
