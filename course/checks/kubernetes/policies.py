"""The policy for manifests: `RULES`, which `Manifests.expect` knows by name. They judge the text and run nothing.

A rule takes an `Application`, the objects with what the rules must know besides, and returns findings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from course.checks.core.findings import Finding
from course.checks.files.secret_detection import is_secret_name, secret_in
from course.checks.kubernetes.admission import actions, allowed
from course.checks.kubernetes.resource_files import ContainerSpec, Path, Resource, quantity, selects, unmatched
from course.checks.kubernetes.schemas import valid

ENDPOINTS: Mapping[str, tuple[str, ...]] = {
    "readiness": ("/ready",),
    "liveness": ("/health",),
    "startup": ("/health", "/ready"),
}
GRACE_S = 30  # when a pod does not say
_TAG = re.compile(r"(?P<repository>[^\s@]+?)(?::(?P<tag>[\w][\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?")
_PLACEHOLDER = re.compile(r"\$\(.*\)|\$\{.*\}|<.*>|/run/secrets/.*|/etc/.*|")
_ENDPOINT = re.compile(r"(?<![\w/.-])(?:https?://[\w.\[\]-]+(?::\w+)?)?(/[\w./-]*)")
_SLEEP = re.compile(r"\bsleep\s*\(?\s*(\d+(?:\.\d+)?)([smhd]?)\b")
_LOOP = re.compile(r"\bfor\s+\w+\s+in\s+([^;\n]{1,200})[;\n]\s*do\b(.{1,400}?)\bdone\b", re.DOTALL)
_RANGE = re.compile(r"(?:\$\(|`)\s*seq\s+(?:(\d{1,4})\s+)?(\d{1,4})\s*(?:\)|`)|\{(\d{1,4})\.\.(\d{1,4})\}")
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
MAX_IMAGE = 500  # characters of an image's name that are looked at


@dataclass(frozen=True)
class Application:
    """The objects that make up an application, as the rules see them.

    Attributes:
        resources: the objects.
        endpoints: probe → the paths that fit it.
    """

    resources: Sequence[Resource]
    endpoints: Mapping[str, Sequence[str]]

    def of(self, *kinds: str) -> list[Resource]:
        """The objects of some kinds."""
        return [one for one in self.resources if one.kind in kinds]

    @cached_property
    def workloads(self) -> list[Resource]:
        """The objects that have pods."""
        return [one for one in self.resources if one.template is not None]

    def containers(self, *, serving: bool = True) -> Iterator[tuple[Resource, ContainerSpec]]:
        """All containers with the object that they belong to."""
        for one in self.workloads:
            for container in one.containers if serving else one.all_containers:
                yield one, container

    def named(self, kind: str, name: Any) -> Resource | None:
        """The object of a kind with a name; None when there is none."""
        return next((one for one in self.of(kind) if one.name == name), None)

    def selected(self, service: Resource) -> list[Resource]:
        """The objects whose pods a Service selects."""
        selector = service.mapping("spec.selector")
        return [one for one in self.workloads if selector and selector.items() <= one.pod_labels.items()]


Rule = Callable[[Application], list[Finding]]


def selectors(app: Application) -> list[Finding]:
    """Selectors match labels: of a Deployment its own pods, of a Service pods that are there."""
    found, hint = [], "a selector holds for pods that have all of its labels, letter by letter"
    for one in app.of("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"):
        selector = one.mapping("spec.selector")
        if not one.mapping("spec.selector.matchLabels") and not one.get("spec.selector.matchExpressions"):
            found.append(one.finding("spec.selector", f"{one.shown} selects no pods", hint))
            continue
        if missing := _missing(one.mapping("spec.selector.matchLabels"), one.pod_labels):
            found.append(one.finding("spec.selector", f"{one.shown} selects {missing}", hint))
        elif unmet := unmatched(selector, one.pod_labels):
            reason = f"{one.shown} selects {unmet}, and its own pods have {_shown_labels(one.pod_labels)}"
            refused = "a Deployment selects its own pods; the API server refuses one that does not"
            found.append(one.finding("spec.selector.matchExpressions", reason, refused))
        others = [
            other
            for other in app.workloads
            if other is not one and other.kind == one.kind and selects(selector, other.pod_labels)
        ]
        if others:
            reason = f"{one.shown} also selects the pods of {others[0].shown}"
            found.append(one.finding("spec.selector", reason, "each Deployment needs a label of its own"))
    for one in app.of("Service"):
        wanted = one.mapping("spec.selector")
        if not wanted:
            found.append(one.finding("spec", f"{one.shown} selects no pods", "spec.selector names labels of pods"))
        elif not app.selected(one):
            nearest = max(app.workloads, key=lambda it: len(wanted.items() & it.pod_labels.items()), default=None)
            reason = f"{one.shown} selects no pod"
            if nearest is not None:
                reason = f"{one.shown} selects {_missing(wanted, nearest.pod_labels, of=f'pods of {nearest.shown}')}"
            found.append(one.finding("spec.selector", reason, hint))
    for one in app.of("HorizontalPodAutoscaler"):
        target = one.mapping("spec.scaleTargetRef")
        if app.named(str(target.get("kind")), target.get("name")) is None:
            reason = f"{one.shown} scales {target.get('kind')} {target.get('name')}, which is not there"
            found.append(one.finding("spec.scaleTargetRef", reason, "scaleTargetRef holds kind and name"))
    for one in app.of("PodDisruptionBudget"):
        if not any(selects(one.get("spec.selector"), other.pod_labels) for other in app.workloads):
            known = "; ".join(f"{other.shown}: {_shown_labels(other.pod_labels)}" for other in app.workloads)
            found.append(one.finding("spec.selector", f"{one.shown} selects no pod; there are {known or 'none'}", hint))
    return found


def _shown_labels(labels: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}: {value}" for key, value in labels.items())[:120] or "no labels"


def _missing(wanted: Mapping[str, Any], labels: Mapping[str, Any], of: str = "its own pods") -> str:
    """What keeps a selector from matching, in words; empty when it matches."""
    for key, value in wanted.items():
        if key not in labels:
            return f"{key}: {value}, a label that {of} do not have"
        if labels[key] != value:
            return f"{key}: {value}, and {of} have {key}: {labels[key]}"
    return ""


def ports(app: Application) -> list[Finding]:
    """Ports lead somewhere: a Service's to a port of a container, a probe's to one of its own container."""
    found = []
    for one in app.of("Service"):
        entries = one.items("spec.ports")
        if not entries:
            found.append(one.finding("spec", f"{one.shown} has no port", "spec.ports lists them"))
        for path, port in entries:
            target = port.get("targetPort", port.get("port"))
            for other in app.selected(one):
                if any(_opens(container, target) for container in other.containers):
                    continue
                known = ", ".join(filter(None, map(_listed, other.containers))) or "none"
                place = "targetPort" if "targetPort" in port else "port"
                reason = f"{one.shown} leads to the port {target}, which no container of {other.shown} names"
                hint = "targetPort is a containerPort or its name; without it, it is the same number as port"
                found.append(one.finding((*path, place), f"{reason}; they name {known}", hint))
    for one, container in app.containers(serving=False):
        for path, action in actions(one, container):
            for kind in ("httpGet", "tcpSocket"):
                number = action.get(kind, {}).get("port") if isinstance(action.get(kind), dict) else None
                if number is not None and not _opens(container, number):
                    known = _listed(container) or "none"
                    reason = f"the {path[-1]} asks the port {str(number)[:40]}, and {container.name} names {known}"
                    hint = "a port is a containerPort or its name, letter by letter"
                    found.append(one.finding((*path, kind, "port"), reason, hint))
    return found


def _entries(container: ContainerSpec) -> list[Mapping[str, Any]]:
    entries = container.get("ports", [])
    return [port for port in entries if isinstance(port, dict)] if isinstance(entries, list) else []


def _opens(container: ContainerSpec, port: Any) -> bool:
    """Whether a container has such a port. One that lists none may listen anywhere, and has no names."""
    entries = _entries(container)
    if isinstance(port, str):
        return any(entry.get("name") == port for entry in entries)
    return not entries or any(entry.get("containerPort") == port for entry in entries)


def _listed(container: ContainerSpec) -> str:
    return ", ".join(
        f"{entry.get('containerPort')} ({entry['name']})" if entry.get("name") else str(entry.get("containerPort"))
        for entry in _entries(container)
    )


def probes(app: Application) -> list[Finding]:
    """Readiness, liveness and startup probes are there and ask the endpoints that fit them."""
    found = []
    known = sorted({path for paths in app.endpoints.values() for path in paths})
    for one, container in _main(app):
        for name in ("readiness", "liveness", "startup"):
            key, fitting = f"{name}Probe", app.endpoints.get(name, ())
            probe = container.get(key)
            why = _PROBES[name]
            if not isinstance(probe, dict):
                if name != "startup":
                    found.append(one.finding(container.path, f"{container.name} has no {key}", why))
                continue
            where = (*container.path, key)
            get = probe.get("httpGet")
            if not isinstance(get, dict):
                if isinstance(probe.get("exec"), dict) and _asks(probe["exec"].get("command"), fitting):
                    continue
                reason = f"the {key} does not ask {' or '.join(fitting)}: an open port does not prove that it answers"
                found.append(one.finding(where, reason, "httpGet asks an endpoint over HTTP"))
                continue
            path = str(get.get("path", "/")).partition("?")[0].partition("#")[0]
            path = path if path.startswith("/") else f"/{path}"  # as the kubelet asks it
            if path not in fitting:
                what = "which the service does not have" if path not in known else "which answers another question"
                hint = why if path in known else f"the service has {', '.join(known)}"
                found.append(one.finding((*where, "httpGet", "path"), f"the {key} asks {path[:80]}, {what}", hint))
            if get.get("scheme", "HTTP") != "HTTP":
                found.append(one.finding((*where, "httpGet", "scheme"), f"the {key} asks with HTTPS; it speaks HTTP"))
    return found


def _asks(command: Any, endpoints: Iterable[str]) -> bool:
    """Whether a command names one of the endpoints as a whole path: `/health`, not `/healthz`."""
    words = " ".join(map(str, command)) if isinstance(command, list) else ""
    asked = {match.rstrip(".,;:") for match in _ENDPOINT.findall(words[:4000])}
    return not asked.isdisjoint(endpoints)


_PROBES = {
    "readiness": "readiness asks whether it can answer now; while not, it gets no requests, and nothing is restarted",
    "liveness": "liveness asks whether the process still works; when not, it is started again",
    "startup": "a startup probe holds the others back until the start is done",
}


def _main(app: Application) -> Iterator[tuple[Resource, ContainerSpec]]:
    """The containers to which requests come: those that a Service leads to; without a Service the first of each pod."""
    for one in app.workloads:
        services = [service for service in app.of("Service") if one in app.selected(service)]
        targets = [port.get("targetPort", port.get("port")) for it in services for _, port in it.items("spec.ports")]
        reached = [container for container in one.containers if any(_opens(container, port) for port in targets)]
        for container in reached or one.containers[:1]:
            yield one, container


def resources(app: Application) -> list[Finding]:
    """Every container asks for processor and memory, has a limit of memory, and asks for no more than its limits."""
    found = []
    for one, container in app.containers(serving=False):
        where = (*container.path, "resources")
        for group, key, why in (
            ("requests", "cpu", "the scheduler finds a node by what is asked for, and the autoscaler counts in it"),
            ("requests", "memory", "the scheduler finds a node by what is asked for"),
            ("limits", "memory", "without a limit one leak takes the node's memory, and others with it"),
        ):
            value = container.get(f"resources.{group}.{key}")
            if value is None and group == "requests" and container.get(f"resources.limits.{key}") is not None:
                continue  # Kubernetes takes the limit for the request
            if value is None:
                found.append(one.finding(where, f"{container.name} has no {group}.{key}", why))
            elif quantity(value) == 0:
                found.append(one.finding((*where, group, key), f"{container.name} has {group}.{key} of 0", why))
            elif key == "memory" and (quantity(value) or 0) < 2**20:
                hint = "memory is counted in bytes: 256Mi are 256 mebibytes, and 256m is a quarter of a byte"
                reason = f"{container.name} has {group}.memory of {str(value)[:20]}, less than one mebibyte"
                found.append(one.finding((*where, group, key), reason, hint))
        for key in ("cpu", "memory"):
            asked, most = (quantity(container.get(f"resources.{group}.{key}")) for group in ("requests", "limits"))
            if asked is not None and most is not None and asked > most:
                reason = f"{container.name} asks for more {key} than its limit"
                found.append(one.finding((*where, "requests", key), reason, "requests are at most the limits"))
    return found


def pinned_image(app: Application) -> list[Finding]:
    """Each image has a tag that says which, or a digest."""
    found, hint = [], "a tag per version, such as :v1, or the digest, @sha256:…"
    for one, container in app.containers(serving=False):
        image = container.get("image")
        where = (*container.path, "image")
        match = _TAG.fullmatch(str(image or "")[:MAX_IMAGE])
        if match is None:
            reason = f"{container.name} has no image" if not image else f"{str(image)[:80]!r} names no image"
            found.append(one.finding(where, reason, "image: repository:tag"))
        elif match["digest"]:
            continue
        elif match["tag"] is None:
            reason = f"{container.name} runs {match['repository'][:80]} without a tag, which means latest"
            found.append(one.finding(where, reason, hint))
        elif match["tag"] == "latest":
            reason = f"{container.name} runs latest: the image behind it changes, and a rollback leads to the same one"
            found.append(one.finding(where, reason, hint))
    return found


def non_root(app: Application) -> list[Finding]:
    """No container runs as root, and Kubernetes sees to it."""
    found = []
    for one, container in app.containers(serving=False):
        pod = one.pod.get("securityContext")
        pod = pod if isinstance(pod, dict) else {}
        own = container.get("securityContext", {})
        own = own if isinstance(own, dict) else {}
        in_pod = one.in_template("spec", "securityContext")
        if own.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True:
            where = (*container.path, "securityContext") if "runAsNonRoot" in own else in_pod
            reason = f"nothing keeps {container.name} from running as root"
            found.append(one.finding(where, reason, "runAsNonRoot: true in the securityContext of the pod"))
        if own.get("runAsUser", pod.get("runAsUser")) == 0:
            path = (*container.path, "securityContext") if "runAsUser" in own else in_pod
            found.append(one.finding((*path, "runAsUser"), f"{container.name} runs as user 0, which is root"))
    return _once(found)


def restricted(app: Application) -> list[Finding]:
    """What Kubernetes' own standard calls restricted, besides non-root."""
    found = []
    for one, container in app.containers(serving=False):
        where = (*container.path, "securityContext")
        own = container.get("securityContext", {})
        own = own if isinstance(own, dict) else {}
        if own.get("allowPrivilegeEscalation") is not False:
            reason = f"a program in {container.name} could gain rights that it was not started with"
            path = (*where, "allowPrivilegeEscalation")
            found.append(
                one.finding(path, reason, "allowPrivilegeEscalation: false in the container's securityContext")
            )
        dropped = container.get("securityContext.capabilities.drop", [])
        if not isinstance(dropped, list) or "ALL" not in [str(name).upper() for name in dropped]:
            reason = f"{container.name} keeps capabilities of root"
            hint = 'capabilities: {drop: ["ALL"]} in the container\'s securityContext'
            found.append(one.finding((*where, "capabilities"), reason, hint))
        pod = one.get(one.in_template("spec", "securityContext", "seccompProfile", "type"))
        if container.get("securityContext.seccompProfile.type", pod) not in ("RuntimeDefault", "Localhost"):
            reason = f"{container.name} may make every system call"
            hint = "seccompProfile: {type: RuntimeDefault} in the securityContext of the pod"
            found.append(one.finding(where, reason, hint))
    return found


def read_only(app: Application) -> list[Finding]:
    """The root of each container can only be read."""
    hint = "readOnlyRootFilesystem: true in the container's securityContext; what must be written goes to an emptyDir"
    return [
        one.finding((*container.path, "securityContext"), f"{container.name} may write to its image's files", hint)
        for one, container in app.containers(serving=False)
        if container.get("securityContext.readOnlyRootFilesystem") is not True
    ]


def no_secrets(app: Application) -> list[Finding]:
    """No secret stands where settings are kept, and everybody reads them."""
    found = []
    hint = "a Secret is kept apart, and read by fewer; the container takes it by secretKeyRef, or as a file"
    for one in app.of("ConfigMap"):
        for key, value in one.mapping("data").items():
            if what := _secret(key, value):
                found.append(_hidden(one, ("data", key), f"{one.shown} holds {what}", hint, key))
    for one in app.resources:
        for path in _annotations(one):
            for key, value in one.mapping(path).items():
                if what := secret_in(str(value)):
                    found.append(_hidden(one, (*path, key), f"{one.shown} holds {what}", hint, key))
    for one, container in app.containers(serving=False):
        for path, entry in one.items((*container.path, "env")):
            key, value = str(entry.get("name", "")), entry.get("value")
            if value is not None and (what := _secret(key, value)):
                found.append(_hidden(one, (*path, "value"), f"{container.name} is given {what}", hint, key))
            source = entry.get("valueFrom")
            if is_secret_name(key) and isinstance(source, dict) and "configMapKeyRef" in source:
                reason = f"{container.name} takes {key[:60]} from a ConfigMap"
                found.append(one.finding((*path, "valueFrom"), reason, hint))
        for name in ("command", "args"):
            words = container.get(name, [])
            text = " ".join(map(str, words)) if isinstance(words, list) else str(words)
            flag = next((word for word in text.split() if _flag(word)), None)
            if what := secret_in(text) or (f"the value of {flag.partition('=')[0][:40]}" if flag else None):
                found.append(_hidden(one, (*container.path, name), f"{container.name} is given {what}", hint, name))
    return found


def _annotations(one: Resource) -> Iterator[Path]:
    yield ("metadata", "annotations")
    if one.template is not None:
        yield one.in_template("metadata", "annotations")


def _flag(word: str) -> bool:
    name, equal, value = word.partition("=")
    return bool(equal) and name.startswith("-") and is_secret_name(name.strip("-")) and not _is_placeholder(value)


def _secret(key: str, value: Any) -> str | None:
    """What kind of secret a setting is; None when it is none."""
    text = str(value)
    if what := secret_in(text):
        return what
    if is_secret_name(key) and not _is_placeholder(text) and text.lower() not in ("true", "false", "0", "1", "none"):
        return f"the value of {key[:60]}"
    for line in text.splitlines()[:2000]:  # a whole file of settings under one key
        name, sign, rest = line.replace(":", "=", 1).partition("=")
        if sign and is_secret_name(name.strip()[:100]) and len(name) < 100 and not _is_placeholder(rest.strip(" \"'")):
            return f"the value of {name.strip()[:60]}"
    return None


def _hidden(one: Resource, path: Path, reason: str, hint: str, key: str) -> Finding:
    """A finding that does not repeat the line, in which the secret stands."""
    return Finding(one.at(path), reason, hint, text=f"{key[:40]}: …", file=one.file)


def references(app: Application) -> list[Finding]:
    """What is named is there: ConfigMaps, Secrets and their keys, volumes, service accounts."""
    found = []
    for one in app.workloads:
        spec = one.in_template("spec")
        account = one.get((*spec, "serviceAccountName"), "default")
        if account != "default" and app.named("ServiceAccount", account) is None:
            reason = f"the ServiceAccount {str(account)[:60]} is not there"
            found.append(one.finding((*spec, "serviceAccountName"), reason, "without a name it is default"))
        volumes = [volume.get("name") for _, volume in one.items((*spec, "volumes"))]
        for path, volume in one.items((*spec, "volumes")):
            sources = [(path, volume), *one.items((*path, "projected", "sources"))]
            for inner, source in sources:
                for kind, key, field in (("ConfigMap", "configMap", "name"), ("Secret", "secret", "secretName")):
                    if isinstance(held := source.get(key), dict):
                        name = held.get(field, held.get("name"))
                        found += _refers(app, one, (*inner, key), kind, name, None, held.get("optional"))
        for container in one.all_containers:
            found += _of_container(app, one, container, volumes)
    return found


def _of_container(app: Application, one: Resource, container: ContainerSpec, volumes: list[Any]) -> list[Finding]:
    found = []
    for path, _ in one.items((*container.path, "env")):
        for kind, key in (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")):
            where = (*path, "valueFrom", key)
            if named := one.mapping(where):
                found += _refers(app, one, where, kind, named.get("name"), named.get("key"), named.get("optional"))
    for path, entry in one.items((*container.path, "envFrom")):
        for kind, key in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
            if isinstance(held := entry.get(key), dict):
                found += _refers(app, one, (*path, key), kind, held.get("name"), None, held.get("optional"))
    for path, mount in one.items((*container.path, "volumeMounts")):
        if mount.get("name") not in volumes:
            reason = f"{container.name} mounts the volume {str(mount.get('name'))[:60]}, which the pod does not have"
            found.append(one.finding(path, reason, "volumes of the pod and volumeMounts of the container share a name"))
    return found


def _refers(
    app: Application, one: Resource, path: Path, kind: str, name: Any, key: Any, optional: Any
) -> list[Finding]:
    if optional is True:
        return []
    there = app.named(kind, name)
    if there is None:
        known = ", ".join(other.name for other in app.of(kind)) or "none"
        hint = f"{kind}s that are there: {known}"
        return [one.finding(path, f"the {kind} {str(name)[:60]} is not there: the pod would wait for it", hint)]
    keys = {*there.mapping("data"), *there.mapping("stringData"), *there.mapping("binaryData")}
    if key is not None and str(key) not in keys:
        reason = f"{there.shown} has no key {str(key)[:60]}: the pod would not start"
        return [one.finding((*path, "key"), reason, f"its keys: {', '.join(sorted(keys)) or 'none'}")]
    return []


def rollout(app: Application) -> list[Finding]:
    """While a new version comes, pods that are ready remain."""
    found = []
    for one in app.of("Deployment"):
        if one.get("spec.strategy.type", "RollingUpdate") != "RollingUpdate":
            reason = f"{one.shown} ends all its pods before the first new one starts"
            found.append(one.finding("spec.strategy.type", reason, "type: RollingUpdate replaces them one by one"))
            continue
        path = "spec.strategy.rollingUpdate.maxUnavailable"
        least = least_pods(app, one)
        gone = _pods(one.get(path, "25%"), least)
        if gone is not None and gone >= least:
            reason = f"of {least} pod{'s' * (least != 1)} {min(gone, least)} may be gone at once: nobody answers then"
            hint = "maxUnavailable says how many may be missing: 0 waits until a new pod is ready"
            found.append(one.finding(path, reason, hint))
        for other, container in _main(app):
            if other is one and not isinstance(container.get("readinessProbe"), dict):
                reason = f"{container.name} has no readinessProbe: requests come to it before it can answer"
                found.append(one.finding(container.path, reason, _PROBES["readiness"]))
    return found


def least_pods(app: Application, one: Resource) -> int:
    """How many pods a Deployment has at least."""
    for scaler in app.of("HorizontalPodAutoscaler"):
        target = scaler.mapping("spec.scaleTargetRef")
        if (target.get("kind"), target.get("name")) == (one.kind, one.name):
            found = scaler.get("spec.minReplicas", 1)
            return found if isinstance(found, int) else 1
    return one.replicas


def _pods(value: Any, replicas: int, *, up: bool = False) -> int | None:
    """A number of pods, or a share of them, which is rounded down, or up."""
    if isinstance(value, int):
        return value
    match = re.fullmatch(r"(\d{1,4})%", str(value))
    return (replicas * int(match[1]) + (99 if up else 0)) // 100 if match else None


def drains(app: Application) -> list[Finding]:
    """A budget of disruptions lets a node be emptied: one pod at least may go."""
    found, hint = [], "a node that is to be updated waits until a pod may go: let one go, and keep the others"
    for one in app.of("PodDisruptionBudget"):
        for other in app.of("Deployment"):
            if not selects(one.get("spec.selector"), other.pod_labels):
                continue
            count = least_pods(app, other)
            for key in ("minAvailable", "maxUnavailable"):
                if (value := one.get(("spec", key))) is None:
                    continue
                kept = _pods(value, count, up=True)  # the disruption controller rounds both up
                if kept is not None and (kept >= count if key == "minAvailable" else kept < 1):
                    reason = f"{one.shown} with {key}: {value} lets none of the {count} pods of {other.shown} go"
                    found.append(one.finding(("spec", key), reason, hint))
    return found


def graceful_stop(app: Application) -> list[Finding]:
    """A pod that goes waits until nobody sends it requests any more, and has the time to."""
    found = []
    why = "a pod is told to end while requests still come to it; a preStop hook that waits some seconds lets them end"
    for one, container in _main(app):
        hook = container.get("lifecycle.preStop")
        where = (*container.path, "lifecycle", "preStop")
        if not isinstance(hook, dict) or not hook:
            found.append(one.finding(container.path, f"{container.name} has no preStop hook", why))
            continue
        seconds = waits(hook)
        if seconds is None:
            reason = f"the preStop hook does not wait, or not by a sleep that can be read: {_hook(hook)}"
            found.append(one.finding(where, reason, 'sleep: {seconds: 5} or exec: {command: ["sleep", "5"]} waits'))
        elif seconds < 1:
            found.append(one.finding(where, f"the preStop hook waits {seconds:g} seconds, which is too short", why))
        else:
            grace = one.get(one.in_template("spec", "terminationGracePeriodSeconds"), GRACE_S)
            if isinstance(grace, int) and grace <= seconds:
                path = one.in_template("spec", "terminationGracePeriodSeconds")
                reason = f"the grace period of {grace} s is over before the hook's wait of {seconds:g} s is"
                hint = "the grace period counts from the beginning: it holds the wait and the end of the service"
                found.append(one.finding(path, reason, hint))
    return found


def _is_placeholder(value: str) -> bool:
    """Whether a text stands for a value that comes from elsewhere, or is empty."""
    return _PLACEHOLDER.fullmatch(value.strip()) is not None


def _hook(hook: Mapping[str, Any]) -> str:
    return repr(hook)[:120]


def waits(hook: Any) -> float | None:
    """How many seconds a hook waits, by all its sleeps together; None when it does not, or it cannot be read."""
    if not isinstance(hook, dict):
        return None
    if isinstance(sleep := hook.get("sleep"), dict):
        return quantity(sleep.get("seconds"))
    command = hook.get("exec", {}).get("command") if isinstance(hook.get("exec"), dict) else None
    if not isinstance(command, list):
        return None
    text, total = " ".join(map(str, command))[:2000], 0.0
    for loop in _LOOP.finditer(text):  # what a loop repeats
        total += (_rounds(loop[1]) - 1) * _slept(loop[2])
    return (total + _slept(text)) or None


def _slept(text: str) -> float:
    """The seconds of all sleeps in a command together."""
    return sum(float(number) * _UNITS[unit] for number, unit in _SLEEP.findall(text))


def _rounds(words: str) -> int:
    """How often a loop over such words goes round."""
    count = 0
    for word in re.sub(r"(\$\(|`)\s*seq[^)`]*[)`]", lambda found: found[0].replace(" ", "\t"), words).split(" "):
        if match := _RANGE.fullmatch(word):
            first, last = (match[3], match[4]) if match[4] else (match[1] or "1", match[2])
            count += abs(int(last) - int(first)) + 1
        else:
            count += bool(word.strip())
    return count


def autoscaler(app: Application) -> list[Finding]:
    """An autoscaler has room, something to count, and nobody who sets the number beside it."""
    found = []
    for one in app.of("HorizontalPodAutoscaler"):
        least, most = one.get("spec.minReplicas", 1), one.get("spec.maxReplicas")
        if not isinstance(most, int) or not isinstance(least, int) or least >= most:
            reason = f"{one.shown} goes from {least} to {most} pods, and has nothing to decide"
            found.append(one.finding("spec.maxReplicas", reason, "minReplicas is less than maxReplicas"))
        if one.version.endswith("/v1") and one.get("spec.targetCPUUtilizationPercentage") is None:
            hint = "targetCPUUtilizationPercentage is a share of what the pods ask for"
            found.append(one.finding("spec", f"{one.shown} does not say how busy pods should be", hint))
        if one.version.endswith("/v2") and not one.items("spec.metrics"):
            found.append(
                one.finding("spec", f"{one.shown} does not say how busy pods should be", "spec.metrics says it")
            )
        target = one.mapping("spec.scaleTargetRef")
        there = app.named(str(target.get("kind")), target.get("name"))
        if there is None:
            reason = f"{target.get('kind')} {target.get('name')}, which it scales, is not there"
            found.append(one.finding("spec.scaleTargetRef", reason))
            continue
        if there.get("spec.replicas") is not None:
            reason = f"{there.shown} sets {there.get('spec.replicas')} replicas, and so does {one.shown}"
            hint = "each kubectl apply would set the number back: leave replicas out"
            found.append(there.finding("spec.replicas", reason, hint))
        for container in there.containers:
            if not any(container.get(f"resources.{group}.cpu") for group in ("requests", "limits")):
                reason = f"{container.name} asks for no processor time, of which {one.shown} counts a share"
                found.append(there.finding(container.path, reason, "resources.requests.cpu"))
    if not app.of("HorizontalPodAutoscaler"):
        found.append(Finding(None, "there is no HorizontalPodAutoscaler"))
    return found


def _once(found: Iterable[Finding]) -> list[Finding]:
    return list(dict.fromkeys(found))


RULES: Mapping[str, Rule] = {
    "allowed": lambda app: allowed(app.resources),
    "valid": lambda app: valid(app.resources),
    "selectors": selectors,
    "ports": ports,
    "probes": probes,
    "resources": resources,
    "pinned image": pinned_image,
    "non-root": non_root,
    "restricted": restricted,
    "read-only": read_only,
    "no secrets": no_secrets,
    "references": references,
    "rollout": rollout,
    "drains": drains,
    "graceful stop": graceful_stop,
    "autoscaler": autoscaler,
}
# rules that ask for something: without it they would hold of nothing
NEEDS: Mapping[str, str] = dict.fromkeys(
    ("ports", "probes", "resources", "pinned image", "non-root", "restricted", "read-only", "rollout", "graceful stop"),
    "Deployment",
)
