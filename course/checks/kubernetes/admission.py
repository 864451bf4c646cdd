"""What a cluster that grades does not accept: `allowed` finds it before anything is applied.

The lists of kinds, volumes and sources are closed: what is not in them is refused, with the reason. It is the rule
"allowed" of `policies`, and `hardening` requires it before anything is applied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from course.checks.core.findings import Finding
from course.checks.kubernetes.resource_files import MAX_RESOURCES, ContainerSpec, Path, Resource, quantity, show

KINDS: Mapping[str, tuple[str, ...]] = {
    "Deployment": ("apps/v1",),
    "Service": ("v1",),
    "ConfigMap": ("v1",),
    "Secret": ("v1",),
    "ServiceAccount": ("v1",),
    "HorizontalPodAutoscaler": ("autoscaling/v1", "autoscaling/v2"),
    "PodDisruptionBudget": ("policy/v1",),
    "NetworkPolicy": ("networking.k8s.io/v1",),
    "Namespace": ("v1",),
}
MAX_REPLICAS = 6  # of one Deployment
MAX_PODS = 10  # of all
MAX_SCALED = 10  # of an autoscaler
MAX_CONTAINERS = 4
MAX_MEMORY = 1024 * 2**20  # of one container, in bytes
MAX_PROCESSORS = 2.0  # of one container
MAX_ALL_MEMORY = 4096 * 2**20
MAX_GRACE_S = 120
MAX_DELAY_S = 300
_VOLUMES = frozenset(("configMap", "secret", "emptyDir", "downwardAPI", "projected"))
_SECRETS = frozenset(("Opaque", "kubernetes.io/basic-auth", "kubernetes.io/tls"))
_AMOUNTS = frozenset(("cpu", "memory", "ephemeral-storage"))
_POD_FLAGS = {
    "hostNetwork": "the network of the node",
    "hostPID": "the processes of the node",
    "hostIPC": "the memory that processes of the node share",
}
_POD_FIELDS = {
    "nodeName": "chooses its node itself, past the scheduler",
    "priorityClassName": "pushes others away",
    "priority": "pushes others away",
    "runtimeClassName": "asks for another runtime",
    "schedulerName": "asks for another scheduler",
    "tolerations": "asks for nodes that are kept for others",
    "ephemeralContainers": "asks for containers that nobody checks",
    "resourceClaims": "asks for devices",
    "dnsConfig": "asks another name server",
}
_META = {
    "finalizers": "a finalizer that nobody takes away keeps an object permanently",
    "ownerReferences": "owners are set by Kubernetes",
    "generateName": "an object is named by `name`",
    "deletionTimestamp": "only Kubernetes sets it",
    "deletionGracePeriodSeconds": "only Kubernetes sets it",
    "managedFields": "only Kubernetes sets it",
    "selfLink": "only Kubernetes sets it",
    "uid": "only Kubernetes sets it",
    "resourceVersion": "only Kubernetes sets it",
}
_HINTS = {
    "Pod": "a Deployment keeps pods alive; a bare pod is gone when its node is",
    "ReplicaSet": "a Deployment makes its ReplicaSets by itself",
    "Ingress": "the course's service is reached through its Service, within the cluster",
    "Job": "a service runs as a Deployment",
}


def allowed(resources: Sequence[Resource]) -> list[Finding]:
    """What the grader's cluster would not accept."""
    found: list[Finding] = []
    if len(resources) > MAX_RESOURCES:
        return [Finding(None, f"there are {len(resources)} objects, and {MAX_RESOURCES} are the most")]
    for one in resources:
        if one.version not in KINDS.get(one.kind, ()):
            found.append(_unknown(one))
            continue
        found += _metadata(one)
        found += _BY_KIND.get(one.kind, _nothing)(one)
        if one.template is not None:
            found += _pod(one)
    return found + _namespaces(resources) + _sums(resources)


def _unknown(one: Resource) -> Finding:
    if one.kind in KINDS:
        hint = f"apiVersion: {KINDS[one.kind][-1]}"
        return one.finding(
            "apiVersion", f"{one.kind} is not taken as {one.version or 'an object without version'}", hint
        )
    hint = _HINTS.get(one.kind, f"these are taken: {', '.join(KINDS)}")
    if one.kind.endswith(("Role", "RoleBinding")):
        hint = "the service needs no rights in the cluster"
    return one.finding("kind", f"{one.kind or 'an object without a kind'} is not taken for grading", hint)


def _metadata(one: Resource) -> list[Finding]:
    found = []
    paths: list[Path] = [("metadata",)]
    if one.template is not None:
        paths.append(one.in_template("metadata"))
    for path in paths:
        for key, why in _META.items():
            if key in one.mapping(path):
                found.append(one.finding((*path, key), f"{key} is refused: {why}", f"leave {key} out"))
    if "status" in one.data:
        found.append(one.finding("status", "status is what the cluster says, not what is asked for", "leave it out"))
    return found


def _namespaces(resources: Sequence[Resource]) -> list[Finding]:
    """Objects may name a namespace, all the same one and none of the cluster's own; grading applies them to its own."""
    found, names = [], set()
    for one in resources:
        paths: list[Path] = [("metadata", "name" if one.kind == "Namespace" else "namespace")]
        if one.template is not None:
            paths.append(one.in_template("metadata", "namespace"))
        for path in paths:
            name = one.get(path)
            if name is None:
                continue
            names.add(str(name))
            if str(name).startswith("kube-"):
                found.append(one.finding(path, f"the namespace {str(name)[:60]} belongs to the cluster"))
            elif len(names) > 1:
                reason = f"the objects go to several namespaces: {', '.join(sorted(names))[:100]}"
                found.append(one.finding(path, reason, "all that belongs together goes to one namespace"))
    return found


def _sums(resources: Sequence[Resource]) -> list[Finding]:
    """All pods together, and their memory."""
    deployments = [one for one in resources if one.kind == "Deployment"]
    pods = sum(max(0, min(one.replicas, 10**6)) for one in deployments)
    if pods > MAX_PODS and all(one.replicas <= MAX_REPLICAS for one in deployments):
        return [Finding(None, f"there would be {pods} pods together, and {MAX_PODS} are the most")]
    memory = 0.0
    for one in deployments:
        for container in one.containers:
            limit = quantity(container.get("resources.limits.memory"))
            memory += max(0, min(one.replicas, MAX_PODS)) * (limit or 0)
    if memory > MAX_ALL_MEMORY:
        reason = f"all pods together may take {memory / 2**30:.1f} GiB of memory"
        return [Finding(None, f"{reason}, and {MAX_ALL_MEMORY / 2**30:g} GiB are the most", "how much does one need?")]
    return []


# by kind


def _nothing(_: Resource) -> list[Finding]:
    return []


def _deployment(one: Resource) -> list[Finding]:
    found = []
    replicas = one.get("spec.replicas", 1)
    if not isinstance(replicas, int) or isinstance(replicas, bool):
        found.append(one.finding("spec.replicas", "replicas must be a whole number"))
    elif replicas > MAX_REPLICAS:
        reason = f"{replicas} pods are too many here, where {MAX_REPLICAS} of one Deployment are the most"
        found.append(one.finding("spec.replicas", reason))
    elif replicas < 1:
        found.append(one.finding("spec.replicas", f"with {replicas} pods nobody answers"))
    if one.get("spec.paused"):
        found.append(one.finding("spec.paused", "a paused Deployment never rolls out", "leave paused out"))
    for path in ("spec.progressDeadlineSeconds", "spec.minReadySeconds"):
        seconds = one.get(path, 0)
        most = 600 if path.startswith("spec.progress") else MAX_GRACE_S
        if isinstance(seconds, int) and seconds > most:
            found.append(one.finding(path, f"{seconds} seconds are too long here, where {most} are the most"))
    return found


def _service(one: Resource) -> list[Finding]:
    found = []
    kind = one.get("spec.type", "ClusterIP")
    if kind != "ClusterIP":
        reason = f"a Service of type {str(kind)[:40]} is not taken: it opens a way into or out of the cluster"
        found.append(one.finding("spec.type", reason, "type ClusterIP, the default, is reached within the cluster"))
    for key in ("externalIPs", "externalName", "loadBalancerIP", "clusterIP", "clusterIPs", "healthCheckNodePort"):
        if one.get(("spec", key)):
            found.append(
                one.finding(("spec", key), f"{key} takes an address by hand", "Kubernetes chooses the address")
            )
    for path, port in one.items("spec.ports"):
        if port.get("nodePort"):
            found.append(one.finding((*path, "nodePort"), "nodePort opens a port on each node", "leave nodePort out"))
        if port.get("protocol", "TCP") != "TCP":
            found.append(one.finding((*path, "protocol"), "the service speaks HTTP, which goes over TCP"))
    return found


def _secret(one: Resource) -> list[Finding]:
    kind = one.get("type", "Opaque")
    if kind not in _SECRETS:
        return [one.finding("type", f"a Secret of type {str(kind)[:60]} is not taken", "leave type out: it is Opaque")]
    return []


def _account(one: Resource) -> list[Finding]:
    found = []
    for key in ("secrets", "imagePullSecrets"):
        if one.get(key):
            found.append(one.finding(key, f"{key} of a ServiceAccount are not taken"))
    if one.mapping("metadata.annotations"):
        reason = "annotations of a ServiceAccount can give it rights at a cloud provider"
        found.append(one.finding("metadata.annotations", reason, "the service needs no rights"))
    return found


def _autoscaler(one: Resource) -> list[Finding]:
    found = []
    most = one.get("spec.maxReplicas", 1)
    if not isinstance(most, int) or most > MAX_SCALED:
        reason = f"up to {str(most)[:20]} pods are too many here, where {MAX_SCALED} are the most"
        found.append(one.finding("spec.maxReplicas", reason))
    target = one.mapping("spec.scaleTargetRef")
    if target.get("kind") != "Deployment":
        found.append(one.finding("spec.scaleTargetRef", "an autoscaler scales a Deployment here"))
    return found


_BY_KIND: Mapping[str, Callable[[Resource], list[Finding]]] = {
    "Deployment": _deployment,
    "Service": _service,
    "Secret": _secret,
    "ServiceAccount": _account,
    "HorizontalPodAutoscaler": _autoscaler,
}

# pods


def _pod(one: Resource) -> list[Finding]:
    spec = one.in_template("spec")
    pod, found = one.pod, []
    for key, what in _POD_FLAGS.items():
        if pod.get(key):
            found.append(one.finding((*spec, key), f"{key} asks for {what}", f"leave {key} out"))
    for key, what in _POD_FIELDS.items():
        if pod.get(key) not in (None, [], {}, "default-scheduler" if key == "schedulerName" else None):
            found.append(one.finding((*spec, key), f"{key} {what}", f"leave {key} out"))
    if pod.get("restartPolicy", "Always") != "Always":
        found.append(one.finding((*spec, "restartPolicy"), "pods of a Deployment are always started again"))
    grace = pod.get("terminationGracePeriodSeconds", 30)
    if not isinstance(grace, int) or not 0 <= grace <= MAX_GRACE_S:
        reason = f"a grace period of {str(grace)[:20]} seconds is not taken; 0 to {MAX_GRACE_S} are"
        found.append(one.finding((*spec, "terminationGracePeriodSeconds"), reason))
    found += _security(one, (*spec, "securityContext"))
    for path, volume in one.items((*spec, "volumes")):
        found += _volume(one, path, volume)
    containers = one.all_containers
    if not one.containers:
        found.append(one.finding((*spec, "containers"), f"{one.shown} has no container"))
    if len(containers) > MAX_CONTAINERS:
        found.append(one.finding((*spec, "containers"), f"a pod has more than {MAX_CONTAINERS} containers"))
    for container in containers:
        found += _container(one, container)
    annotations = one.in_template("metadata", "annotations")
    for key in one.mapping(annotations):
        if "apparmor" in key or "seccomp" in key:
            reason = f"{key[:80]} chooses a profile of the node's"
            found.append(one.finding((*annotations, key), reason, "seccompProfile in the securityContext says it"))
    return found


def _security(one: Resource, path: Path) -> list[Finding]:
    """What of a security context, of a pod or of a container, asks for more than every container has."""
    context, found = one.mapping(path), []
    if context.get("privileged"):
        reason = "a privileged container has the whole node"
        found.append(one.finding((*path, "privileged"), reason, "leave privileged out"))
    if context.get("procMount", "Default") != "Default":
        found.append(one.finding((*path, "procMount"), "procMount shows what is masked"))
    for key in ("sysctls", "seLinuxOptions", "windowsOptions"):
        if context.get(key):
            found.append(one.finding((*path, key), f"{key} changes settings of the node", f"leave {key} out"))
    for key in ("seccompProfile", "appArmorProfile"):
        kind = one.mapping((*path, key)).get("type", "RuntimeDefault")
        if kind != "RuntimeDefault":
            reason = f"{key} is {str(kind)[:40]}, and RuntimeDefault is what is taken"
            found.append(one.finding((*path, key), reason))
    added = one.get((*path, "capabilities", "add"), [])
    more = [str(name) for name in added if name != "NET_BIND_SERVICE"] if isinstance(added, list) else [str(added)]
    if more:
        reason = f"the capabilit{'ies' if len(more) > 1 else 'y'} {', '.join(more)[:80]} may do what only root may"
        found.append(one.finding((*path, "capabilities", "add"), reason, "the service needs none"))
    return found


def _volume(one: Resource, path: Path, volume: Mapping[str, Any]) -> list[Finding]:
    name = str(volume.get("name"))[:60]
    kinds = [key for key in volume if key != "name"]
    odd = [key for key in kinds if key not in _VOLUMES]
    if odd:
        hints = {
            "hostPath": "files of the node are not the pod's",
            "persistentVolumeClaim": "the service keeps no data",
        }
        reason = f"the volume {name} is of the kind {odd[0][:40]}"
        hint = hints.get(odd[0], f"these are taken: {', '.join(sorted(_VOLUMES))}")
        return [one.finding((*path, odd[0]), reason, hint)]
    found = []
    for inner, source in one.items((*path, "projected", "sources")):
        odd = [key for key in source if key not in ("configMap", "secret", "downwardAPI")]
        if odd:
            reason = f"the volume {name} takes {odd[0][:40]}"
            found.append(one.finding((*inner, odd[0]), reason, "the service needs no token of the cluster"))
    return found


def _container(one: Resource, container: ContainerSpec) -> list[Finding]:
    path, found = container.path, _security(one, (*container.path, "securityContext"))
    for inner, port in one.items((*path, "ports")):
        if port.get("hostPort"):
            reason = "hostPort opens a port of the node"
            found.append(one.finding((*inner, "hostPort"), reason, "a Service leads to the container's port"))
    for key in ("volumeDevices",):
        if container.get(key):
            found.append(one.finding((*path, key), f"{key} asks for devices of the node"))
    for group in ("requests", "limits"):
        for key in one.mapping((*path, "resources", group)):
            if key not in _AMOUNTS:
                found.append(one.finding((*path, "resources", group, key), f"{key[:60]} is not available here"))
        where = (*path, "resources", group)
        if (quantity(one.get((*where, "memory"))) or 0) > MAX_MEMORY:
            reason = f"one container takes more than {MAX_MEMORY / 2**30:g} GiB of memory"
            found.append(one.finding((*where, "memory"), reason))
        if (quantity(one.get((*where, "cpu"))) or 0) > MAX_PROCESSORS:
            found.append(one.finding((*where, "cpu"), f"one container takes more than {MAX_PROCESSORS:g} processors"))
    if container.get("resources.claims"):
        found.append(one.finding((*path, "resources", "claims"), "claims ask for devices of the node"))
    for inner, action in actions(one, container):
        for kind in ("httpGet", "tcpSocket"):
            if one.mapping((*inner, kind)).get("host"):
                reason = f"{show(inner[-1:])} asks another host than the pod itself"
                found.append(one.finding((*inner, kind, "host"), reason, "leave host out"))
        for key in ("initialDelaySeconds", "periodSeconds", "timeoutSeconds", "terminationGracePeriodSeconds"):
            if isinstance(seconds := action.get(key), int) and seconds > MAX_DELAY_S:
                reason = f"{key} is {seconds}: nobody waits longer than {MAX_DELAY_S} seconds here"
                found.append(one.finding((*inner, key), reason))
    return found


def actions(one: Resource, container: ContainerSpec) -> Iterable[tuple[Path, Mapping[str, Any]]]:
    """The probes and hooks of a container, each with its path; the last of which is its name."""
    for name in ("readinessProbe", "livenessProbe", "startupProbe"):
        if isinstance(probe := container.get(name), dict):
            yield (*container.path, name), probe
    for name in ("postStart", "preStop"):
        if isinstance(hook := container.get(f"lifecycle.{name}"), dict):
            yield (*container.path, "lifecycle", name), hook
