"""Shipped manifests on a real cluster: `deploy(manifests("k8s"))` → Deployed, which is asked through its Service.

What is applied was judged before (`allowed`), goes to a fresh namespace with a quota, by a user with rights there
alone, and is held tighter than it asks for. A rollout, a rollback and the end of a pod are done under load, and every
request is accounted for.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import json
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from course.checks.core.expectations import CheckFailed, Unmet, fail, not_graded_here
from course.checks.docker import registries
from course.checks.docker.images import Image
from course.checks.http import services
from course.checks.http.exchanges import Request, get
from course.checks.http.services import Service
from course.checks.kubernetes import sessions
from course.checks.kubernetes.api import TROUBLE, ApiError
from course.checks.kubernetes.manifests import Manifests
from course.checks.kubernetes.sessions import ClusterSession, not_graded_on_trouble

TITLE = "the application runs on the cluster"
MOST_RUNNING = 2  # deployed applications that are kept for the next question
ORDER = (
    "ServiceAccount",
    "ConfigMap",
    "Secret",
    "Service",
    "Deployment",
    "HorizontalPodAutoscaler",
    "PodDisruptionBudget",
)
_SLACK_S = 15.0
_LOOK_S = 0.15
_PAUSE_S = 0.02
_CLIENTS = 2
_TMP = "64Mi"
_REVISION = "deployment.kubernetes.io/revision"
# what a pod says when it will not start by waiting; a loop of crashes is given a second try
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


def deploy(
    app: Manifests,
    *,
    service: str | None = None,
    images: Mapping[str, str | Image] | None = None,
    timeout: float = 5.0,
    start: float = 60.0,
) -> Deployed:
    """Shipped manifests on the cluster; they are applied when it is first asked.

    Args:
        app: what :func:`manifests.manifests` or :func:`manifests.kustomized` gives.
        service: the name of the Service that is asked; may be left out when there is only one.
        images: name of an image in the manifests (the last part of its repository, with a tag or without) → the image
            that is run: a name that the nodes can pull, or what :func:`images.build` gives.
        timeout: how long each answer may take, in seconds.
        start: how long the start may take, in seconds.
    """
    return Deployed(app, service, dict(images or {}), timeout=timeout, start=start)


@dataclass(frozen=True)
class Record:
    """One request of a load.

    Attributes:
        at: when it began, in seconds from the begin of the load.
        asked: the request in short, such as "POST /predict".
        status: of the answer; 0 when there was none.
        end: how the connection ended: "complete", "refused", "reset", "timeout", …
        seconds: how long it took.
        body: the first 2000 bytes of the answer's body.
    """

    at: float
    asked: str
    status: int
    end: str
    seconds: float
    body: bytes = field(default=b"", repr=False)

    @property
    def is_lost(self) -> bool:
        """Whether it got no answer, or an error of the server's."""
        return self.end != "complete" or self.status < 200 or self.status >= 500

    @property
    def how(self) -> str:
        """What came of it, in words."""
        words = {"refused": "the connection was refused", "timeout": "no answer came in time"}
        if self.end != "complete":
            return words.get(self.end, "the connection was closed without an answer")
        return f"the answer was {self.status}"


@dataclass
class Change:
    """What happened while something was done to an application.

    Attributes:
        what: what was done, in words.
        finished: whether it ended as it was meant to.
        seconds: how long that took.
        why: why it did not finish.
        hint: what may help.
        records: the requests of the load, in the order of their begin.
    """

    what: str
    finished: bool = False
    seconds: float = 0.0
    why: str = ""
    hint: str | None = None
    records: list[Record] = field(default_factory=list, repr=False)

    @property
    def asked(self) -> int:
        """How many requests there were."""
        return len(self.records)

    @property
    def lost(self) -> list[Record]:
        """The requests without an answer, or with an error of the server's."""
        return [one for one in self.records if one.is_lost]

    @property
    def failed(self) -> int:
        """How many requests were lost."""
        return len(self.lost)

    def versions(self, key: str = "version") -> list[tuple[float, Any]]:
        """What a key of the answers in JSON said over time: pairs of seconds and value."""
        found = []
        for one in self.records:
            if one.status == 200 and one.body[:1] == b"{":
                with contextlib.suppress(ValueError, RecursionError):
                    data = json.loads(one.body)
                    if isinstance(data, dict) and key in data:
                        found.append((one.at, data[key]))
        return found

    def expect_no_loss(self) -> Change:
        """Fail the check when a request was lost."""
        if not self.records:
            raise ValueError("there was no load")
        if self.lost:
            first = self.lost[0]
            ways = sorted({one.how for one in self.lost})
            raise CheckFailed(
                f"{self.failed} of {self.asked} requests were lost during {self.what}",
                expected="an answer to each",
                actual=f"{first.asked}: {'; '.join(ways)}",
                hint="pods that go must finish what they began, and pods that come must be ready before they are asked",
            )
        return self

    def expect_finished(self) -> Change:
        """Fail the check unless it ended as it was meant to."""
        if not self.finished:
            raise CheckFailed(f"{self.what} did not finish: {self.why}", hint=self.hint)
        return self

    def expect_stalled(self) -> Change:
        """Fail the check when it finished, though it must not."""
        if self.finished:
            raise CheckFailed(
                f"{self.what} finished, though the new pods do not work",
                hint="a readiness probe keeps a rollout from going on with pods that cannot answer",
            )
        return self


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


class Deployed(Service):
    """An application on the cluster; see :func:`deploy`. It is asked with the methods of `services.Service`.

    Attributes:
        app: the manifests that were applied last.
    """

    def __init__(
        self, app: Manifests, service: str | None, images: dict[str, str | Image], *, timeout: float, start: float
    ) -> None:
        self.app, self.timeout, self._start_timeout = app, timeout, start
        self._service, self._images = service, images
        self._place: _Place | None = None
        self._problem: CheckFailed | None = None

    # life

    def start(self) -> float:
        """Apply it, unless it runs; the seconds until all pods were ready and the Service answered.

        Raises:
            CheckFailed: the manifests ask for what the cluster does not take; nothing was applied.
            Unmet: it does not start, or does not answer; the message says why.
            NotGradedHere: there is no cluster.
        """
        return self._reached().seconds

    def _reached(self) -> _Place:
        if self._problem is not None:
            raise self._problem
        if self._place is not None and self._place.lives:
            return self._place
        refuse(self.app)
        session = sessions.cluster()
        objects, names = self._held(self.app, self._images)
        key = json.dumps([session.id, objects, self._service, self._start_timeout], sort_keys=True, default=str)
        place = _places.get(key)
        if place is None or not place.lives:
            while len(_places) >= MOST_RUNNING:
                _places.pop(next(iter(_places))).close()
            place = _places[key] = _Place(session, key)
            try:
                with not_graded_on_trouble():
                    place.begin(objects, self._target(), self._start_timeout)
            except CheckFailed as problem:
                self._problem = problem
                place.close()
                raise
            except BaseException:
                place.close()
                raise
        place.names |= names
        self._place = place
        return place

    def _target(self) -> tuple[str, int]:
        """The Service that is asked, and its port."""
        one = self.app.one("Service", self._service)
        ports = [port for _, port in one.items("spec.ports") if isinstance(port.get("port"), int)]
        if not ports:
            fail(f"{one.shown} has no port", hint="spec.ports lists them")
        web = next((port for port in ports if port.get("name") in ("http", "web")), ports[0])
        return one.name, web["port"]

    def _held(self, app: Manifests, images: Mapping[str, str | Image]) -> tuple[list[dict[str, Any]], dict[str, str]]:
        """The objects as they are applied, and how the images that they run are called in the manifests."""
        names: dict[str, str] = {}

        def image(name: str) -> str:
            real = which(name, images)
            names[real] = name
            return real

        return held(app, image), names

    def _changing(self) -> _Place:
        """The place, which nobody else is given from now on, for it is about to change."""
        place = self._reached()
        if _places.get(place.key) is place:
            del _places[place.key]
            _changed.append(place)
            while len(_changed) >= MOST_RUNNING:
                _changed.pop(0).close()
        return place

    def close(self) -> None:
        """Remove it; the next request applies it again."""
        if self._place is not None:
            self._place.close()
        self._place = None

    # looking at it

    def pods(self) -> list[Pod]:
        """Its pods that are not being removed, oldest first."""
        place = self._reached()
        with not_graded_on_trouble():
            return place.pods()

    @property
    def logs(self) -> str:
        """The end of what its pods printed, one after the other."""
        if self._place is None or not self._place.lives:
            return ""
        with contextlib.suppress(*TROUBLE):
            return "\n".join(self._place.log(pod) for pod in self._place.raw_pods())
        return ""

    def events(self) -> list[str]:
        """What the cluster noted about it, oldest first: "Warning BackOff Pod late-flights: …"."""
        place = self._reached()
        with not_graded_on_trouble():
            return place.events()

    def spread(self, request: Request | None = None, *, count: int = 60) -> list[int]:
        """How many of so many requests each pod got, the most first; counted by the ids of requests in their logs.

        When a pod got none they are sent again for a while, since a pod that is ready is reached a moment later.

        Raises:
            CheckFailed: the logs of the pods do not hold the ids (X-Request-ID).
        """
        place = self._reached()
        deadline = time.monotonic() + _SLACK_S
        while True:
            counts = self._counts(place, request or get("/model"), count)
            if all(counts) or not any(counts) or time.monotonic() > deadline:
                break
        if not sum(counts):
            raise CheckFailed(
                "the logs of the pods do not tell which of them answered",
                hint="the service writes the X-Request-ID of each request to its log",
            )
        return sorted(counts, reverse=True)

    def _counts(self, place: _Place, request: Request, count: int) -> list[int]:
        """How many of so many requests each pod has in its log."""
        mark = f"course-{time.monotonic_ns():x}"
        asked = [
            Request(
                request.method, request.path, {**request.headers, "X-Request-ID": f"{mark}-{number:04d}"}, request.body
            )
            for number in range(count)
        ]
        self.many(asked, clients=4)
        deadline = time.monotonic() + 5
        while True:
            with not_graded_on_trouble():
                logs = [place.log(pod, lines=5 * count + 200) for pod in place.raw_pods()]
            counts = [sum(f"{mark}-{number:04d}" in log for number in range(count)) for log in logs]
            if sum(counts) >= count or time.monotonic() > deadline:
                return counts
            time.sleep(0.2)

    # changing it

    @contextlib.contextmanager
    def load(self, load: Request | Sequence[Request], *, what: str = "the load") -> Iterator[Change]:
        """While the block runs, requests are asked again and again, each over a connection of its own.

        Yields:
            A change, whose records are there once the block has ended.
        """
        change = Change(what, finished=True)
        place = self._reached()
        requests = [load] if isinstance(load, Request) else list(load)
        begun = time.monotonic()
        with not_graded_on_trouble():
            place.load([self._spec(request) for request in requests])
        try:
            yield change
        finally:
            with not_graded_on_trouble():
                change.records = place.unload(requests, self.timeout)
        change.seconds = change.seconds or time.monotonic() - begun

    def roll(
        self,
        newer: Manifests,
        *,
        load: Request | Sequence[Request] | None = None,
        images: Mapping[str, str | Image] | None = None,
        timeout: float = 60.0,
    ) -> Change:
        """Apply newer manifests, and wait until all pods are new, or it is clear that this does not go on.

        Args:
            newer: the manifests.
            load: what is asked meanwhile, in turn.
            images: as for :func:`deploy`; by default the same.
            timeout: how long to wait for the end, in seconds.

        Raises:
            CheckFailed: the manifests ask for what the cluster does not take.
        """
        place = self._changing()
        refuse(newer)
        known = {**self._images, **(images or {})}
        objects, names = self._held(newer, known)
        place.names |= names
        change = self._do("the rollout", load, timeout, lambda: place.apply(objects))
        self.app = newer
        return change

    def roll_back(self, *, load: Request | Sequence[Request] | None = None, timeout: float = 60.0) -> Change:
        """Go back to what each Deployment was before, as `kubectl rollout undo` does, and wait until that is done.

        Raises:
            CheckFailed: there is nothing before.
        """
        place = self._changing()
        return self._do("the rollback", load, timeout, place.undo)

    def kill(
        self, *, load: Request | Sequence[Request] | None = None, grace: int | None = 0, timeout: float = 60.0
    ) -> Change:
        """End one pod, and wait until another is ready in its place.

        Args:
            load: what is asked meanwhile.
            grace: how long the pod has to end, in seconds; None leaves it to the pod.
            timeout: how long to wait for the other, in seconds.
        """
        place = self._changing()
        return self._do("the end of a pod", load, timeout, lambda: place.kill(grace), until_reached=True)

    def scale(self, replicas: int, *, load: Request | Sequence[Request] | None = None, timeout: float = 60.0) -> Change:
        """Set the number of pods of the only Deployment, and wait until they are there."""
        if not 1 <= replicas <= 6:
            raise ValueError(f"replicas are 1 to 6; got {replicas}")
        place = self._changing()
        name = self.app.one("Deployment").name
        return self._do("the scaling", load, timeout, lambda: place.scale(name, replicas))

    def _do(
        self,
        what: str,
        load: Request | Sequence[Request] | None,
        timeout: float,
        act: Callable[[], None],
        *,
        until_reached: bool = False,
    ) -> Change:
        place = self._reached()
        with self.load(load, what=what) if load is not None else _quiet(what) as change:
            if load is not None:
                time.sleep(0.3)  # a few requests before it begins
            begun = time.monotonic()
            with not_graded_on_trouble():
                act()
                change.finished, change.why, change.hint = place.settle(timeout)
                change.seconds = time.monotonic() - begun
                if load is not None and change.finished:
                    place.until_gone(30)
                    if until_reached:
                        self._until_reached(load if isinstance(load, Request) else load[0])
                    time.sleep(0.3)
        return change

    def _until_reached(self, request: Request) -> None:
        """Wait until no request is led to a pod that is gone: the cluster forgets its address a moment later."""
        deadline = time.monotonic() + _SLACK_S
        while time.monotonic() < deadline:
            with contextlib.suppress(CheckFailed):
                self.many([request] * 12, clients=4)
                return

    # the pipe

    def _message(self, seconds: float, **message: Any) -> dict[str, Any]:
        place = self._reached()
        if message["do"] in ("exchange", "open"):
            message |= {"host": place.host, "port": place.port}
        with not_graded_on_trouble():
            return place.session.request(message, seconds + _SLACK_S)

    def _said(self) -> str:
        return self.logs

    def _forget(self) -> None:
        self.close()

    def memory(self) -> float:
        """Not told by every cluster."""
        return not_graded_here("a cluster does not tell how much memory a pod has, unless it has metrics")

    def processes(self) -> list[float]:
        """See :meth:`memory`."""
        return [self.memory()]

    def stop(self, *_: Any, **__: Any) -> Any:
        """A pod is ended by :meth:`kill`."""
        raise NotImplementedError("a pod is ended by kill()")


@contextlib.contextmanager
def _quiet(what: str) -> Iterator[Change]:
    yield Change(what)


# before it is applied


def refuse(app: Manifests) -> None:
    """Fail the check when manifests ask for what the cluster does not take; nothing was applied then."""
    found = app.findings("allowed") or app.findings("valid")
    if found:
        raise CheckFailed(f"refused before it was applied: {found[0]}", hint=found[0].hint)


def which(name: str, images: Mapping[str, str | Image]) -> str:
    """The image that is really run for one that the manifests name; pinned to its digest where that can be had.

    Raises:
        CheckFailed: it is none that the course knows.
    """
    try:
        repository, tag, _ = registries.split(name)
    except ValueError:
        fail(f"{name[:80]!r} is no name of an image", hint="image: repository:tag")
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
        return pushed(chosen)
    if "@" in chosen or not registries.is_ours(chosen):
        return chosen
    found = registries.digest(chosen)
    if found == "":
        raise CheckFailed(
            f"the registry has no image {chosen}",
            hint="push it first, or look at its name and tag",
        )
    return f"{registries.split(chosen)[0]}@{found}" if found else chosen


def pushed(image: Image) -> str:
    """The name under which nodes get an image that was built here."""
    if image.id not in _pushed:
        name = f"{registries.address()}/course-graded:{image.id.removeprefix('sha256:')[:24]}"
        _pushed[image.id] = registries.push(image.engine.api, image.id, name)
    return _pushed[image.id]


_pushed: dict[str, str] = {}


def held(app: Manifests, image: Callable[[str], str]) -> list[dict[str, Any]]:
    """The objects as they are applied: in order, without a namespace, with the images that are run, held tightly."""
    found = []
    for one in sorted(app.resources, key=lambda one: ORDER.index(one.kind)):
        data = copy.deepcopy(one.data)
        _strip(data)
        if one.kind == "Service":
            _name_protocols((data.get("spec") or {}).get("ports"))
        if one.template is not None:
            template = data
            for key in one.template:
                template = template[key]
            _strip(template, keep=True)
            _hold(template["spec"], image)
        found.append(data)
    return found


def _strip(data: dict[str, Any], *, keep: bool = False) -> None:
    """Take out where it goes to, and annotations that programs in a cluster may act upon."""
    metadata = data.get("metadata")
    if isinstance(metadata, dict):
        metadata.pop("namespace", None)
        annotations = metadata.pop("annotations", None)
        if keep and isinstance(annotations, dict):
            prefixes = ("kubernetes.io/", "kubectl.kubernetes.io/", "app.kubernetes.io/", "checksum/")
            metadata["annotations"] = {
                key: value for key, value in annotations.items() if "/" not in key or key.startswith(prefixes)
            }


def _name_protocols(ports: Any) -> None:
    """Write what is the default: clusters before 1.21 cannot apply ports without it."""
    for port in filter(None, ports or []):
        port.setdefault("protocol", "TCP")


def _hold(pod: dict[str, Any], image: Callable[[str], str]) -> None:
    pod["automountServiceAccountToken"] = False
    pod.pop("imagePullSecrets", None)
    for volume in pod.get("volumes") or []:
        if isinstance(volume, dict) and "emptyDir" in volume:
            volume["emptyDir"] = {"sizeLimit": _TMP, **(volume["emptyDir"] or {})}
    for container in filter(None, [*(pod.get("containers") or []), *(pod.get("initContainers") or [])]):
        container["image"] = image(str(container.get("image") or ""))
        container["imagePullPolicy"] = "IfNotPresent" if "@" in container["image"] else "Always"
        _name_protocols(container.get("ports"))
        context = container["securityContext"] = dict(container.get("securityContext") or {})
        context["allowPrivilegeEscalation"] = False
        context["capabilities"] = {**(context.get("capabilities") or {}), "drop": ["ALL"]}
        if not (pod.get("securityContext") or {}).get("seccompProfile"):
            context.setdefault("seccompProfile", {"type": "RuntimeDefault"})


# where it runs


class _Place:
    """One application in a namespace of its own."""

    def __init__(self, session: ClusterSession, key: str) -> None:
        self.session, self.key = session, key
        self.names: dict[str, str] = {}
        self.namespace = self.host = ""
        self.port, self.seconds = 0, 0.0
        self._close: Callable[[], Any] | None = None

    @property
    def lives(self) -> bool:
        """Whether it was not removed, and its run goes on."""
        return self._close is not None and self.session.is_alive() and not self.session.is_over

    def begin(self, objects: Sequence[Mapping[str, Any]], target: tuple[str, int], timeout: float) -> None:
        """Apply, and wait until it answers."""
        for version in sorted({str(one["apiVersion"]) for one in objects}):
            if not self.session.api.serves(version):
                not_graded_here(f"this cluster does not serve {version}")
        self.namespace = self.session.create_application_namespace()
        self._close = weakref.finalize(self, _leave, self.session, self.namespace)
        begun = time.monotonic()
        self.apply(objects)
        done, why, hint = self.settle(timeout)
        if not done:
            said = services._last_lines(self.logs_of_bad()) or None
            raise Unmet(TITLE, why, actual=said, hint=hint)
        name, self.port = target
        self.host = str(self._get("Service", name)["spec"].get("clusterIP"))
        if self.host in ("None", ""):
            raise Unmet(TITLE, f"the Service {name} has no address of its own", hint="leave clusterIP out")
        probe = base64.b64encode(get("/health").raw()).decode()
        found = self._wait_for_endpoints(name, 5.0)
        message = {"do": "reach", "host": self.host, "port": self.port, "probe": probe, "timeout": 8.0}
        reply = self.session.request(message, 8.0 + _SLACK_S) if found else {"silent": True, "end": "timeout"}
        if reply.get("silent"):
            raise Unmet(TITLE, self._unreached(name, found, str(reply.get("end"))))
        self.seconds = time.monotonic() - begun

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
        for known in [key for key, place in _places.items() if place is self]:
            del _places[known]

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
                    if refused.status in (400, 403, 409, 422, 500):
                        reason = f"the cluster refuses {one['kind']} {name}: {refused.reason[:300]}"
                        raise Unmet(TITLE, reason, hint="kubectl apply --dry-run=server says the same") from None
                    raise

    # waiting

    def settle(self, timeout: float) -> tuple[bool, str, str | None]:
        """Wait until every Deployment is what it should be: whether it is, else why not, and a hint."""
        deadline = time.monotonic() + timeout
        while True:
            waiting = [one for one in self._list("Deployment") if not _is_done(one)]
            if not waiting:
                return True, "", None
            why, hint, final = self._trouble(waiting)
            if final:
                return False, why, hint
            if time.monotonic() > deadline:
                return False, why or f"it was not done after {timeout:g} seconds", hint
            time.sleep(_LOOK_S)

    def until_gone(self, timeout: float) -> None:
        """Wait until what runs in pods that are being removed has ended."""
        deadline = time.monotonic() + timeout
        while any("deletionTimestamp" in one["metadata"] and _runs(one) for one in self._list("Pod")):
            if time.monotonic() > deadline:
                return
            time.sleep(_LOOK_S)

    def _trouble(self, waiting: Sequence[Mapping[str, Any]]) -> tuple[str, str | None, bool]:
        """Why Deployments are not done: the reason, a hint, and whether waiting is of no use."""
        for one in waiting:
            for condition in (one.get("status") or {}).get("conditions") or []:
                if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
                    message = " ".join(str(condition.get("message")).split())[:300]
                    return f"no pod can be made: {message}", None, True
                if condition.get("reason") == "ProgressDeadlineExceeded":
                    why, hint, _ = self._bad_pod()
                    return why or "it makes no progress", hint, True
        return self._bad_pod()

    def _bad_pod(self) -> tuple[str, str | None, bool]:
        for pod in self._newest_pods():
            name = _short(pod)
            for condition in (pod.get("status") or {}).get("conditions") or []:
                if condition.get("reason") == "Unschedulable":
                    message = " ".join(str(condition.get("message")).split())[:200]
                    return f"no node takes the pod {name}: {message}", "does it ask for more than a node has?", False
            for status in _statuses(pod):
                state, last = status.get("state") or {}, status.get("lastState") or {}
                reason = str((state.get("waiting") or {}).get("reason") or "")
                ended = (last.get("terminated") or state.get("terminated")) or {}
                if reason in _HOPELESS:
                    message = " ".join(str(state["waiting"].get("message") or "").split())[:200]
                    said = f"{reason}: {message}" if message else reason
                    text = f"the pod {name} does not start: {_HOPELESS[reason]} ({said})"
                    final = reason != "CreateContainerConfigError" or "failed to sync" not in message
                    return text, _HINTS.get(reason), final
                if ended and not status.get("ready") and int(status.get("restartCount") or 0) >= 1:
                    again = int(status.get("restartCount") or 0) >= 2 or reason == "CrashLoopBackOff"
                    if ended.get("reason") == "OOMKilled":
                        return f"the pod {name} takes more memory than its limit", _HINTS["OOMKilled"], again
                    if self._was_unhealthy(pod):
                        return f"the pod {name} is started again and again, as its probe fails", _HINTS["probe"], again
                    code = ended.get("exitCode")
                    return f"the pod {name} ends with exit status {code}", _HINTS["CrashLoopBackOff"], again
            if not _is_ready(pod) and (pod.get("status") or {}).get("phase") == "Running":
                said = self._unhealthy(pod)
                return (
                    f"the pod {name} runs and does not become ready{': ' + said if said else ''}",
                    _HINTS["probe"],
                    False,
                )
        return "", None, False

    def _newest_pods(self) -> list[dict[str, Any]]:
        """The pods of the newest template of each Deployment; those of older ones are on their way out."""
        marks = set()
        for one in self._list("ReplicaSet"):
            marks.add((_revision(one), _mark(one)))
        found = []
        for one in self._list("Deployment"):
            if int((one.get("status") or {}).get("observedGeneration") or 0) < int(one["metadata"]["generation"]):
                return []
            found.append(_revision(one))
        newest = {mark for revision, mark in marks if revision in found}
        return [pod for pod in self.raw_pods() if _mark(pod) in newest]

    def _unhealthy(self, pod: Mapping[str, Any]) -> str:
        """What the last failed probe of a pod said."""
        name = pod["metadata"]["name"]
        found = [
            " ".join(str(one.get("message")).split())[:200]
            for one in self._list("Event")
            if one.get("reason") == "Unhealthy" and (one.get("involvedObject") or {}).get("name") == name
        ]
        return found[-1].replace((pod.get("status") or {}).get("podIP") or "\0", "…") if found else ""

    def _was_unhealthy(self, pod: Mapping[str, Any]) -> bool:
        name = pod["metadata"]["name"]
        return any(
            one.get("reason") == "Killing"
            and "probe" in str(one.get("message"))
            and (one.get("involvedObject") or {}).get("name") == name
            for one in self._list("Event")
        )

    # pods

    def raw_pods(self) -> list[dict[str, Any]]:
        """The pods that are not being removed, oldest first."""
        found = [one for one in self._list("Pod") if "deletionTimestamp" not in one["metadata"]]
        return sorted(found, key=lambda one: (one["metadata"]["creationTimestamp"], one["metadata"]["name"]))

    def pods(self) -> list[Pod]:
        """See :meth:`Deployed.pods`."""
        found = []
        for number, pod in enumerate(self.raw_pods(), 1):
            statuses = _statuses(pod)
            waiting = [((one.get("state") or {}).get("waiting") or {}).get("reason") for one in statuses]
            state = next(filter(None, waiting), (pod.get("status") or {}).get("phase") or "Pending")
            restarts = sum(int(one.get("restartCount") or 0) for one in statuses)
            image = str(pod["spec"]["containers"][0].get("image"))
            image = self.names.get(image, image)
            found.append(
                Pod(f"{_short(pod)} {number}", _is_ready(pod), restarts, state, image, pod["metadata"]["name"])
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
            if not _is_ready(pod):
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

    def load(self, specs: Sequence[Mapping[str, Any]]) -> None:
        """Put a load on the Service."""
        message = {"do": "load", "host": self.host, "port": self.port, "clients": list(specs)}
        self.session.request({**message, "at_once": _CLIENTS, "pause": _PAUSE_S}, _SLACK_S)

    def unload(self, requests: Sequence[Request], timeout: float) -> list[Record]:
        """Take the load off, and give its records."""
        reply = self.session.request({"do": "unload"}, timeout + 2 * _SLACK_S)
        bodies = [base64.b64decode(one) for one in reply["bodies"]]
        found = [
            Record(at, requests[place].asked, status, end, seconds, bodies[body] if body >= 0 else b"")
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
            mine.sort(key=lambda it: int(it["metadata"].get("annotations", {}).get(_REVISION, 0)))
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
        pods = [pod for pod in self.raw_pods() if _is_ready(pod)]
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


_places: dict[str, _Place] = {}
_changed: list[_Place] = []


def _leave(session: ClusterSession, namespace: str) -> None:
    if not session.is_over:  # else all is removed
        session.remove_namespace(namespace)


def _is_done(deployment: Mapping[str, Any]) -> bool:
    """Whether all pods of a Deployment are of its newest template and ready, and no others are left."""
    status, wanted = deployment.get("status") or {}, deployment["spec"].get("replicas", 1)
    seen = int(status.get("observedGeneration") or 0) >= int(deployment["metadata"]["generation"])
    counts = [int(status.get(key) or 0) for key in ("replicas", "updatedReplicas", "availableReplicas")]
    return seen and counts == [wanted] * 3


def _runs(pod: Mapping[str, Any]) -> bool:
    """Whether a container of a pod has not ended."""
    return any("running" in (one.get("state") or {}) for one in _statuses(pod))


def _is_ready(pod: Mapping[str, Any]) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)


def _statuses(pod: Mapping[str, Any]) -> list[dict[str, Any]]:
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]


def _revision(one: Mapping[str, Any]) -> tuple[str, str]:
    """Whose template of which number something is: of a Deployment, or of a ReplicaSet that it made."""
    metadata = one["metadata"]
    owner = next(iter(metadata.get("ownerReferences") or []), metadata)
    return str(owner["uid"]), str((metadata.get("annotations") or {}).get(_REVISION, "0"))


def _mark(one: Mapping[str, Any]) -> str:
    """The label that the pods of one template share."""
    return str((one["metadata"].get("labels") or {}).get("pod-template-hash", ""))


def _short(pod: Mapping[str, Any]) -> str:
    """The name of what a pod belongs to: without what differs each time."""
    name = str(pod["metadata"]["name"])
    mark = _mark(pod)
    return name.partition(f"-{mark}-")[0] if mark else name
