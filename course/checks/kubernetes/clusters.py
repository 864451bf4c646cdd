"""Shipped manifests on a real cluster: `deploy(manifests("k8s"))` → Deployed, which is asked through its Service.

What is applied passed the rules "allowed" and "valid" and was hardened; it goes to a fresh namespace with a quota, in
the name of a user with rights there alone. A rollout, a rollback and the end of a pod are done under load, and every
request is accounted for.
"""

from __future__ import annotations

import contextlib
import copy
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from course.checks.core import phases
from course.checks.core.expectations import CheckFailed, fail, not_graded_here
from course.checks.docker.images import Image
from course.checks.http.messages import Request, get
from course.checks.http.services import Service
from course.checks.kubernetes import hardening, sessions
from course.checks.kubernetes.api import TROUBLE
from course.checks.kubernetes.driver import SLACK_S, ApplicationDriver
from course.checks.kubernetes.load_reports import LoadReport
from course.checks.kubernetes.manifests import Manifests
from course.checks.kubernetes.pods import Pod
from course.checks.kubernetes.sessions import not_graded_on_trouble

MOST_RUNNING = 2  # deployed applications that are kept for the next question
_running: dict[str, ApplicationDriver] = {}  # those that are as they were applied, by what was applied
_changed: list[ApplicationDriver] = []
_asked_hidden: dict[str, ApplicationDriver] = {}


@phases.after_hidden
def end_asked() -> None:
    """Remove the applications that hidden checks asked: nothing that runs there may answer a visible one later."""
    while _asked_hidden:
        driver = _asked_hidden.popitem()[1]
        with contextlib.suppress(*TROUBLE):
            if driver.is_alive():
                _close(driver)


def deploy(
    app: Manifests,
    *,
    service: str | None = None,
    images: Mapping[str, str | Image] | None = None,
    timeout: float = 5.0,
    start: float = 60.0,
) -> Deployed:
    """Shipped manifests on the cluster; they are applied at the first request.

    Args:
        app: what :func:`manifests.manifests` or :func:`manifests.kustomized` returned.
        service: the name of the Service that gets the requests; may be left out when there is only one.
        images: name of an image in the manifests (the last part of its repository, with a tag or without) → the image
            that is run: a name that the nodes can pull, or what :func:`images.build` gives.
        timeout: how long each answer may take, in seconds.
        start: how long the start may take, in seconds.
    """
    return Deployed(app, service, dict(images or {}), timeout=timeout, start=start)


class Deployed(Service):
    """An application on the cluster; see :func:`deploy`. It has the methods of `services.Service`.

    Attributes:
        manifests: those that were applied last.
    """

    def __init__(
        self, app: Manifests, service: str | None, images: dict[str, str | Image], *, timeout: float, start: float
    ) -> None:
        self.manifests, self.timeout, self._start_timeout = app, timeout, start
        self._service, self._images = service, images
        self._driver: ApplicationDriver | None = None
        self._problem: CheckFailed | None = None
        self._address: tuple[str, int] | None = None  # of another Service than that of the driver

    # life

    def start(self) -> float:
        """Apply it, unless it runs; the seconds until all pods were ready and the Service answered.

        Raises:
            CheckFailed: the manifests ask for what the cluster does not take; nothing was applied.
            Unmet: it does not start, or does not answer; the message says why.
            NotGradedHere: there is no cluster.
        """
        return self._reached().seconds

    def _reached(self) -> ApplicationDriver:
        if self._problem is not None:
            raise self._problem
        if self._driver is not None and self._driver.is_alive():
            _asked_hidden.update({self._driver.key: self._driver} if phases.is_hidden() else {})
            return self._driver
        hardening.refuse(self.manifests)
        session = sessions.cluster()
        objects, names = self._hardened(self.manifests, self._images)
        key = json.dumps([session.id, objects, self._service, self._start_timeout], sort_keys=True, default=str)
        driver = _running.get(key)
        if driver is None or not driver.is_alive():
            while len(_running) >= MOST_RUNNING:
                _running.pop(next(iter(_running))).close()
            driver = _running[key] = ApplicationDriver(session, key)
            try:
                with not_graded_on_trouble():
                    driver.begin(objects, self._target(), self._start_timeout)
            except CheckFailed as problem:
                self._problem = problem
                _close(driver)
                raise
            except BaseException:
                _close(driver)
                raise
        driver.names |= names
        self._driver = driver
        _asked_hidden.update({key: driver} if phases.is_hidden() else {})
        return driver

    def _target(self) -> tuple[str, int]:
        """The Service that is asked, and its port."""
        one = self.manifests.one("Service", self._service)
        ports = [port for _, port in one.items("spec.ports") if isinstance(port.get("port"), int)]
        if not ports:
            fail(f"{one.shown} has no port", hint="spec.ports lists them")
        web = next((port for port in ports if port.get("name") in ("http", "web")), ports[0])
        return one.name, web["port"]

    def _hardened(
        self, app: Manifests, images: Mapping[str, str | Image]
    ) -> tuple[list[dict[str, Any]], dict[str, str]]:
        """The objects as they are applied, and how the images that they run are called in the manifests."""
        names: dict[str, str] = {}

        def image(name: str) -> str:
            real = hardening.image_to_run(name, images)
            names[real] = name
            return real

        return hardening.harden(app, image), names

    def through(self, service: str, port: int = 80) -> Deployed:
        """The same running application, asked through another of its Services.

        Raises:
            Unmet: that one does not answer.
        """
        driver, other = self._reached(), copy.copy(self)
        with not_graded_on_trouble():
            other._address = driver.reach(service, port)
        return other

    def _driver_to_change(self) -> ApplicationDriver:
        """The driver of an application that is about to change; no other question gets this application from now on."""
        driver = self._reached()
        if _running.get(driver.key) is driver:
            del _running[driver.key]
            _changed.append(driver)
            while len(_changed) >= MOST_RUNNING:
                _changed.pop(0).close()
        return driver

    def close(self) -> None:
        """Remove it; the next request applies it again."""
        if self._driver is not None:
            _close(self._driver)
        self._driver = None

    # looking at it

    def pods(self) -> list[Pod]:
        """Its pods that are not being removed, oldest first."""
        driver = self._reached()
        with not_graded_on_trouble():
            return driver.pods()

    @property
    def logs(self) -> str:
        """The end of what its pods printed, one after the other."""
        if self._driver is None or not self._driver.is_alive():
            return ""
        with contextlib.suppress(*TROUBLE):
            return "\n".join(self._driver.log(pod) for pod in self._driver.raw_pods())
        return ""

    def events(self) -> list[str]:
        """The cluster's events about it, oldest first: "Warning BackOff Pod late-flights: …"."""
        driver = self._reached()
        with not_graded_on_trouble():
            return driver.events()

    def spread(self, request: Request | None = None, *, count: int = 60) -> list[int]:
        """How many of so many requests each pod got, the most first; counted by the ids of requests in their logs.

        When a pod got none they are sent again for a while, since a pod that is ready is reached a moment later.

        Raises:
            CheckFailed: the logs of the pods do not hold the ids (X-Request-ID).
        """
        driver = self._reached()
        deadline = time.monotonic() + SLACK_S
        while True:
            counts = self._counts(driver, request or get("/model"), count)
            if all(counts) or not any(counts) or time.monotonic() > deadline:
                break
        if not sum(counts):
            raise CheckFailed(
                "the logs of the pods do not tell which of them answered",
                hint="the service writes the X-Request-ID of each request to its log",
            )
        return sorted(counts, reverse=True)

    def _counts(self, driver: ApplicationDriver, request: Request, count: int) -> list[int]:
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
                logs = [driver.log(pod, lines=5 * count + 200) for pod in driver.raw_pods()]
            counts = [sum(f"{mark}-{number:04d}" in log for number in range(count)) for log in logs]
            if sum(counts) >= count or time.monotonic() > deadline:
                return counts
            time.sleep(0.2)

    # changing it

    @contextlib.contextmanager
    def load(self, load: Request | Sequence[Request], *, what: str = "the load") -> Iterator[LoadReport]:
        """While the block runs, requests are sent again and again, each over a connection of its own.

        Yields:
            A report, whose records are there once the block has ended.
        """
        report = LoadReport(what, finished=True)
        driver = self._reached()
        requests = [load] if isinstance(load, Request) else list(load)
        begun = time.monotonic()
        with not_graded_on_trouble():
            driver.begin_load([self._spec(request) for request in requests])
        try:
            yield report
        finally:
            with not_graded_on_trouble():
                report.records = driver.end_load(requests, self.timeout)
        report.seconds = report.seconds or time.monotonic() - begun

    def roll(
        self,
        newer: Manifests,
        *,
        load: Request | Sequence[Request] | None = None,
        images: Mapping[str, str | Image] | None = None,
        timeout: float = 60.0,
    ) -> LoadReport:
        """Apply newer manifests, and wait until all pods are new, or it is clear that this does not go on.

        Args:
            newer: the manifests.
            load: the requests that are sent meanwhile, in turn.
            images: as for :func:`deploy`; by default the same.
            timeout: how long to wait for the end, in seconds.

        Raises:
            CheckFailed: the manifests ask for what the cluster does not take.
        """
        driver = self._driver_to_change()
        hardening.refuse(newer)
        known = {**self._images, **(images or {})}
        objects, names = self._hardened(newer, known)
        driver.names |= names
        report = self._do("the rollout", load, timeout, lambda: driver.apply(objects))
        self.manifests = newer
        return report

    def roll_back(self, *, load: Request | Sequence[Request] | None = None, timeout: float = 60.0) -> LoadReport:
        """Go back to what each Deployment was before, as `kubectl rollout undo` does, and wait until that is done.

        Raises:
            CheckFailed: there is nothing before.
        """
        driver = self._driver_to_change()
        return self._do("the rollback", load, timeout, driver.undo)

    def kill(
        self, *, load: Request | Sequence[Request] | None = None, grace: int | None = 0, timeout: float = 60.0
    ) -> LoadReport:
        """End one pod, and wait until another is ready in its place.

        Args:
            load: the requests that are sent meanwhile.
            grace: how long the pod has to end, in seconds; None leaves it to the pod.
            timeout: how long to wait for the other, in seconds.
        """
        driver = self._driver_to_change()
        return self._do("the end of a pod", load, timeout, lambda: driver.kill(grace), until_reached=True)

    def scale(
        self, replicas: int, *, load: Request | Sequence[Request] | None = None, timeout: float = 60.0
    ) -> LoadReport:
        """Set the number of pods of the only Deployment, and wait until they are there."""
        if not 1 <= replicas <= 6:
            raise ValueError(f"replicas are 1 to 6; got {replicas}")
        driver = self._driver_to_change()
        name = self.manifests.one("Deployment").name
        return self._do("the scaling", load, timeout, lambda: driver.scale(name, replicas))

    def _do(
        self,
        what: str,
        load: Request | Sequence[Request] | None,
        timeout: float,
        act: Callable[[], None],
        *,
        until_reached: bool = False,
    ) -> LoadReport:
        driver = self._reached()
        with self.load(load, what=what) if load is not None else _quiet(what) as report:
            if load is not None:
                time.sleep(0.3)  # a few requests before it begins
            begun = time.monotonic()
            with not_graded_on_trouble():
                act()
                problem = driver.settle(timeout, report.pods)
                report.finished = problem is None
                if problem is not None:
                    report.why, report.hint = problem.why, problem.hint
                report.seconds = time.monotonic() - begun
                if load is not None and report.finished:
                    driver.until_gone(30, report.pods)
                    if until_reached:
                        self._until_reached(load if isinstance(load, Request) else load[0])
                    time.sleep(0.3)
        return report

    def _until_reached(self, request: Request) -> None:
        """Wait until no request is led to a pod that is gone: the cluster forgets its address a moment later."""
        deadline = time.monotonic() + SLACK_S
        while time.monotonic() < deadline:
            with contextlib.suppress(CheckFailed):
                self.many([request] * 12, clients=4)
                return

    # the pipe

    def _message(self, seconds: float, **message: Any) -> dict[str, Any]:
        driver = self._reached()
        if message["do"] in ("exchange", "open"):
            host, port = self._address or (driver.host, driver.port)
            message |= {"host": host, "port": port}
        with not_graded_on_trouble():
            return driver.session.request(message, seconds + SLACK_S)

    def _said(self) -> str:
        return self.logs

    def _forget(self) -> None:
        self.close()

    def memory(self) -> float:
        """Not graded: a cluster without metrics does not report it."""
        return not_graded_here("a cluster does not tell how much memory a pod has, unless it has metrics")

    def processes(self) -> list[float]:
        """See :meth:`memory`."""
        return [self.memory()]

    def stop(self, *_: Any, **__: Any) -> Any:
        """A pod is ended by :meth:`kill`."""
        raise NotImplementedError("a pod is ended by kill()")


def _close(driver: ApplicationDriver) -> None:
    """Remove an application, so that no other question gets it."""
    driver.close()
    if _running.get(driver.key) is driver:
        del _running[driver.key]


@contextlib.contextmanager
def _quiet(what: str) -> Iterator[LoadReport]:
    yield LoadReport(what)
