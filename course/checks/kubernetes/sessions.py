"""A cluster, as the grader uses it: `cluster()` → ClusterSession, with namespaces of its own.

See `core.sessions` for what a session is. This one creates namespaces; its keeper is a pod in the first of them. A
small process beside the grader (`reap.py`) removes the namespaces at once when the grader is killed; should that
process end too, the next session finds that there is no keeper any more, and removes them.
"""

from __future__ import annotations

import calendar
import contextlib
import functools
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from kubernetes import config

from course.checks.core import sessions as base
from course.checks.core.expectations import NotGradedHere, not_graded_here
from course.checks.core.sessions import KEEPER, ROLE_LABEL, SESSION_LABEL, CurrentSession, Session, SessionError
from course.checks.docker import engines, registries
from course.checks.kubernetes import isolation
from course.checks.kubernetes.api import CONTEXT, TROUBLE, Api, ApiError, PodConnection, connect

TOOLS = "COURSE_CLUSTER_TOOLS"  # the image in which the course's own programs run; any with Python 3.11 or newer
PROGRAMS = ("serve.py", "beside.py", "among.py")
APPLIER = "applier"
_KEEPER_START_S = 180.0  # a namespace that was created less than so long ago may still get its keeper
_START_S = 90.0
_UNREACHABLE: dict[tuple[str, ...], str] = {}  # settings → why no cluster answers, so that the next check need not wait


def cluster() -> ClusterSession:
    """The session of this process; it begins at the first call.

    Raises:
        NotGradedHere: no cluster answers, or the kubeconfig lacks rights that grading needs.
    """
    return current.get()


def _begin() -> ClusterSession:
    settings = tuple(os.environ.get(name, "") for name in ("KUBECONFIG", CONTEXT, "HOME"))
    if settings not in _UNREACHABLE:
        try:
            session = ClusterSession(_reached())
        except SessionError as error:
            _UNREACHABLE[settings] = str(error)
        else:
            with not_graded_on_trouble():
                session.begin()
            return session
    return not_graded_here(_UNREACHABLE[settings])


def _reached() -> Api:
    """The API of the cluster, which answered."""
    try:
        api = connect()
    except (config.ConfigException, OSError, ValueError):
        raise SessionError("no kubeconfig names a cluster") from None
    try:
        api.get("/version", seconds=5)
    except TROUBLE:
        api.close()
        raise SessionError("no Kubernetes cluster answers") from None
    return api


current: CurrentSession[ClusterSession] = CurrentSession(_begin)


def not_graded_on_trouble() -> AbstractContextManager[None]:
    """Turn errors of the cluster that are not the student's fault into "not graded here"."""

    def reason(error: Exception) -> str:
        if isinstance(error, ApiError):
            return f"the cluster refused what grading needs: {error.reason[:300]}"
        return f"the cluster could not do what the check asked: {' '.join(str(error).split())[:300]}"

    return base.not_graded_on((SessionError, *TROUBLE), reason)


class ClusterSession(Session):
    """One grader's session with a cluster; see :class:`core.sessions.Session`.

    Attributes:
        api: the cluster.
        namespace: that of the keeper.
    """

    trouble = TROUBLE

    def __init__(self, api: Api) -> None:
        super().__init__(12)
        self.api = api
        self.namespace = f"course-{self.id}"
        self._pod: PodConnection | None = None
        self._namespaces = 0
        self._reaper: subprocess.Popen[bytes] | None = None

    # life

    def _begin(self) -> None:
        image = self._tools_image()
        command = [sys.executable, "-I", "-B", str(Path(__file__).with_name("reap.py")), self.id]
        null = subprocess.DEVNULL
        self._reaper = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=null, stderr=null, start_new_session=True
        )
        self._create_namespace(self.namespace, KEEPER)
        inside = f"/api/v1/namespaces/{self.namespace}"
        files = {name: base.program(name).decode() for name in PROGRAMS}
        self.api.post(f"{inside}/configmaps", {"metadata": {"name": "programs"}, "data": files})
        self.api.post(
            f"{inside}/serviceaccounts", {"metadata": {"name": APPLIER}, "automountServiceAccountToken": False}
        )
        self._wait_for_account(self.namespace)
        self.api.post(f"{inside}/pods", isolation.keeper_pod(image))
        self._wait_for_keeper(f"{inside}/pods/{KEEPER}")
        self._keeper = self._pod = self.api.attach(self.namespace, KEEPER)
        self.request({"do": "find", "name": "localhost"}, 30)
        sweep(self.api, keep=self.id)

    def _wait_for_keeper(self, path: str) -> None:
        deadline = time.monotonic() + _START_S
        while True:
            status = self.api.get(path).get("status") or {}
            if status.get("phase") == "Running":
                return
            state = next(iter(status.get("containerStatuses") or [{}])).get("state") or {}
            waiting = state.get("waiting") or {}
            if waiting.get("reason") in ("ErrImagePull", "ImagePullBackOff", "InvalidImageName"):
                raise SessionError(
                    f"the nodes cannot pull the image of the grader's own programs; set {TOOLS} to one that they can"
                )
            if status.get("phase") in ("Failed", "Succeeded") or time.monotonic() > deadline:
                raise SessionError(
                    f"the grader's own pod does not start ({waiting.get('reason') or status.get('phase')})"
                )
            time.sleep(0.1)

    def is_alive(self) -> bool:
        """Whether it is not over and its keeper still listens."""
        return not self.is_over and self._keeper is not None and self._pod is not None and self._pod.is_open

    def _remove(self) -> None:
        remove(self.api, self.id)
        if self._reaper is not None and self._reaper.stdin is not None:
            self._reaper.stdin.write(b"done")

    def _close(self) -> None:
        self.api.close()
        if self._reaper is not None and self._reaper.stdin is not None:
            with contextlib.suppress(OSError):
                self._reaper.stdin.close()
            self._reaper.wait(60)

    def _tools_image(self) -> str:
        """The image in which the course's own programs run, by a name that the nodes can pull."""
        if name := os.environ.get(TOOLS):
            return name
        name = os.environ.get(engines.TOOLS, engines.DEFAULT_TOOLS)
        try:
            engine = engines.engine()
        except NotGradedHere:  # without an engine, the nodes pull it from where it is published
            return name
        image = engine.tools_image()
        pushed = f"{registries.address()}/course-tools:{image.removeprefix('sha256:')[:16]}"
        digest = registries.digest(pushed)
        if digest is None:  # there is no registry beside the cluster
            return name
        if digest:
            return f"{pushed.rpartition(':')[0]}@{digest}"
        return registries.push(engine.api, image, pushed)

    # namespaces

    def create_application_namespace(self) -> str:
        """A new namespace for what a student shipped: with a quota, limits, and a network policy that lets nothing out.

        A network plugin that does not know policies ignores that one.
        """
        self._namespaces += 1
        name = f"{self.namespace}-{self._namespaces}"
        self._create_namespace(name, "application", {"pod-security.kubernetes.io/enforce": "baseline"})
        inside = f"/api/v1/namespaces/{name}"
        self.api.post(f"{inside}/resourcequotas", isolation.QUOTA)
        self.api.post(f"{inside}/limitranges", isolation.LIMITS)
        policies = f"/apis/networking.k8s.io/v1/namespaces/{name}/networkpolicies"
        self.api.post(policies, isolation.network_policy(self.id))
        self._grant(name, APPLIER, isolation.RULES)
        self._wait_for_account(name)
        self.api.patch(f"{inside}/serviceaccounts/default", {"automountServiceAccountToken": False})
        return name

    @functools.cached_property
    def policies(self) -> str:
        """A namespace in which nothing runs: its policies judge what is only tried (a dry run).

        Its quota demands that every container asks for processor time and memory and has a limit of memory; where the
        cluster serves levels of pod security, it demands the restricted one.
        """
        name = f"{self.namespace}-policies"
        self._create_namespace(name, "policies", {"pod-security.kubernetes.io/enforce": "restricted"})
        inside = f"/api/v1/namespaces/{name}"
        self.api.post(f"{inside}/resourcequotas", isolation.DEMANDS)
        self._wait_for_account(name)
        path = f"{inside}/resourcequotas/{isolation.DEMANDS['metadata']['name']}"
        base.wait_until(lambda: bool(self.api.get(path).get("status", {}).get("hard")), 30, f"the quota of {name}")
        return name

    @property
    def applier(self) -> str:
        """The user in whose name a student's objects are applied; it has rights in their namespace alone."""
        return f"system:serviceaccount:{self.namespace}:{APPLIER}"

    def remove_namespace(self, namespace: str) -> None:
        """Remove a namespace, without waiting until it is gone."""
        with contextlib.suppress(*TROUBLE):
            _delete_namespace(self.api, namespace)

    def _create_namespace(self, name: str, role: str, more: Mapping[str, str] | None = None) -> None:
        labels = {**self.labels, ROLE_LABEL: role, **(more or {})}
        self.api.post("/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})

    def _grant(self, namespace: str, account: str, rules: Sequence[Mapping[str, Any]]) -> None:
        """Give one of the session's accounts rights in a namespace."""
        roles = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
        self.api.post(f"{roles}/roles", {"metadata": {"name": account}, "rules": list(rules)})
        binding = {
            "metadata": {"name": account},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": account},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": self.namespace}],
        }
        self.api.post(f"{roles}/rolebindings", binding)

    def _wait_for_account(self, namespace: str) -> None:
        """Wait until the cluster has created the default account of a namespace, without which no pod starts."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/default"
        base.wait_until(lambda: self._exists(path), 30, f"the creation of the namespace {namespace}")

    def _exists(self, path: str) -> bool:
        try:
            self.api.get(path)
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        return True


def sweep(api: Api, keep: str | None = None) -> None:
    """Remove what sessions left whose grader is gone. Only what carries the label is looked at.

    Args:
        api: the cluster.
        keep: the id of a session that lives.
    """
    namespaces = labelled(api)
    owners = {_session_id(one) for one in namespaces}

    def is_alive(session: str) -> bool:
        return _is_alive(api, [one for one in namespaces if _session_id(one) == session])

    base.sweep(owners, is_alive, lambda session: remove(api, session), keep=keep)


def labelled(api: Api, session: str | None = None) -> list[dict[str, Any]]:
    """The namespaces of all sessions, or of one."""
    selector = SESSION_LABEL if session is None else f"{SESSION_LABEL}={session}"
    found: list[dict[str, Any]] = api.get("/api/v1/namespaces", labelSelector=selector)["items"]
    return found


def _session_id(namespace: Mapping[str, Any]) -> str:
    return str(namespace["metadata"]["labels"].get(SESSION_LABEL, ""))


def _is_keepers(namespace: Mapping[str, Any]) -> bool:
    return bool(namespace["metadata"]["labels"].get(ROLE_LABEL) == KEEPER)


def _is_alive(api: Api, namespaces: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the keeper of a session runs, or may still start."""
    for one in filter(_is_keepers, namespaces):
        try:
            pod = api.get(f"/api/v1/namespaces/{one['metadata']['name']}/pods/{KEEPER}")
        except ApiError:
            return _age(one) < _KEEPER_START_S and "deletionTimestamp" not in one["metadata"]
        phase = (pod.get("status") or {}).get("phase")
        return phase == "Running" or (phase == "Pending" and _age(pod) < _KEEPER_START_S)
    return any(_age(one) < _KEEPER_START_S for one in namespaces)


def _age(one: Mapping[str, Any]) -> float:
    """How long ago an object was created, in seconds."""
    created = time.strptime(one["metadata"]["creationTimestamp"], "%Y-%m-%dT%H:%M:%SZ")
    return time.time() - calendar.timegm(created)


def remove(api: Api, session: str) -> None:
    """Remove the namespaces of a session; that of its keeper last, because a session is recognised by it."""
    for one in sorted(labelled(api, session), key=_is_keepers):
        with contextlib.suppress(ApiError):  # another grader may be removing it, too
            _delete_namespace(api, one["metadata"]["name"])


def remove_left(session: str) -> None:
    """Remove the namespaces of a session whose grader was killed."""
    api = connect()
    for tries in range(5):
        with contextlib.suppress(*TROUBLE):
            remove(api, session)
            break
        time.sleep(tries)
    api.close()


def _delete_namespace(api: Api, namespace: str) -> None:
    """Delete a namespace, and its pods at once, so that nothing waits until their grace period is over."""
    api.delete(f"/api/v1/namespaces/{namespace}")
    with contextlib.suppress(ApiError):
        api.call(
            "DELETE", f"/apis/apps/v1/namespaces/{namespace}/deployments", body={"propagationPolicy": "Background"}
        )
        api.call("DELETE", f"/api/v1/namespaces/{namespace}/pods", body={"gracePeriodSeconds": 0})
