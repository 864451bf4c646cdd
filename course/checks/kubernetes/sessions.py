"""A cluster, as the grader uses it: one run with an id, namespaces that are marked with it, and all of them removed.

A run begins with a *keeper*: a pod in a namespace of its own, whose standard input is the grader's. It is the client
that asks a student's Service, and it ends when the grader does. A small process beside the grader removes what the run
made when the grader is killed. Should that end too, whoever comes next sees that the run has no keeper any more, and
removes it. Nothing without the mark is touched. Used by `clusters`.
"""

from __future__ import annotations

import atexit
import calendar
import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.parse
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import urllib3
from kubernetes import config
from kubernetes.client import ApiClient, ApiException
from kubernetes.stream.ws_client import WSClient
from websocket import WebSocketException

from course.checks.core.expectations import not_graded_here
from course.checks.docker import engines, registries

MARK = "course.grading.run"
ROLE = "course.grading.role"
CONTEXT = "COURSE_CLUSTER"  # the context of the kubeconfig; by default its current one
TOOLS = "COURSE_CLUSTER_TOOLS"  # the image in which the course's own programs run; any with Python 3.11 or newer
PROGRAMS = ("serve.py", "beside.py", "among.py")
APPLIER = "applier"
KEEPER = "keeper"
MAX_REPLY_BYTES = 80 << 20
MOST_HOURS = 6  # a keeper ends by itself then
_YOUNG_S = 180.0  # a namespace whose keeper has not started yet: give it so long
_START_S = 90.0
_CHUNK = 1 << 16
TROUBLE = (ApiException, urllib3.exceptions.HTTPError, WebSocketException, OSError)


class Gone(Exception):
    """The keeper gave no answer."""


class Refused(Exception):
    """The cluster's API refused something.

    Attributes:
        status: of HTTP.
        reason: the API's own words.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


def cluster() -> Run:
    """The run of this process; it is begun at the first call.

    Raises:
        NotGradedHere: no cluster answers, or it does not let the grader do what it must.
    """
    global _run
    if _run is None or _run.process != os.getpid() or not _run.lives():
        _run = _begin()
    return _run


def _begin() -> Run:
    global _missing
    if _missing is not None and _missing[0] == _where():
        not_graded_here(_missing[1])
    try:
        client = _client()
    except (config.ConfigException, OSError, ValueError):
        return _never("no kubeconfig names a cluster")
    api = Api(client)
    try:
        api.get("/version", seconds=5)
    except (Refused, *TROUBLE):
        api.close()
        return _never("no Kubernetes cluster answers")
    run = Run(api)
    atexit.register(run.end)
    try:
        with told():
            run.begin()
    except BaseException:
        run.end()
        raise
    return run


def _client() -> ApiClient:
    # the library itself looks at KUBECONFIG only once, when it is imported
    place = os.environ.get("KUBECONFIG") or "~/.kube/config"
    return config.new_client_from_config(place, context=os.environ.get(CONTEXT) or None)


def _never(why: str) -> Run:
    """Remember that there is none, so that the next check need not wait to hear it."""
    global _missing
    _missing = (_where(), why)
    return not_graded_here(why)


def _where() -> tuple[str, ...]:
    return tuple(os.environ.get(name, "") for name in ("KUBECONFIG", CONTEXT, "HOME"))


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Turn trouble with the cluster that is nobody's fault into "not graded here"."""
    try:
        yield
    except Refused as refused:
        not_graded_here(f"the cluster refused what grading needs: {refused.reason[:300]}")
    except (Gone, *TROUBLE) as error:
        not_graded_here(f"the cluster could not do what the check asked: {' '.join(str(error).split())[:300]}")


class Api:
    """The cluster's API over HTTP, with plain data.

    Args:
        client: of the official library; it knows the address, certificates and credentials.
    """

    def __init__(self, client: ApiClient) -> None:
        self.client = client

    def get(self, path: str, *, seconds: float = 30, **query: str) -> dict[str, Any]:
        """Ask for an object or a list."""
        return self.call("GET", path, query=query, seconds=seconds)

    def text(self, path: str, **query: str) -> str:
        """Ask for text, such as a log."""
        return self._ask("GET", path, query, None, {}, 30).data.decode(errors="replace")

    def post(self, path: str, body: Mapping[str, Any], **options: Any) -> dict[str, Any]:
        """Make an object."""
        return self.call("POST", path, body=body, **options)

    def patch(self, path: str, body: Any, kind: str = "merge-patch", **options: Any) -> dict[str, Any]:
        """Change an object; `kind` is "merge-patch", "strategic-merge-patch", "json-patch" or "apply-patch"."""
        content = f"application/{kind}+{'yaml' if kind == 'apply-patch' else 'json'}"
        return self.call("PATCH", path, body=body, content=content, **options)

    def delete(self, path: str, body: Mapping[str, Any] | None = None) -> None:
        """Remove an object, if it is there."""
        try:
            self.call("DELETE", path, body=body or {})
        except Refused as refused:
            if refused.status != 404:
                raise

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content: str = "application/json",
        user: str | None = None,
        seconds: float = 30,
    ) -> dict[str, Any]:
        """One request.

        Args:
            method, path, query: of the request.
            body: plain data to send.
            content: its type.
            user: act as that user, who may do less.
            seconds: the longest wait.

        Raises:
            Refused: the API said no.
        """
        headers = {"Content-Type": content} | ({"Impersonate-User": user} if user else {})
        answer = self._ask(method, path, query or {}, body, headers, seconds)
        try:
            return json.loads(answer.data)
        except ValueError:
            raise Refused(answer.status, "its answer is no JSON") from None

    def _ask(
        self, method: str, path: str, query: Mapping[str, str], body: Any, headers: Mapping[str, str], seconds: float
    ) -> Any:
        settings = self.client.configuration
        asked = {"Accept": "application/json, */*", **headers}
        for one in settings.auth_settings().values():
            if one["in"] == "header" and one["value"]:
                asked[one["key"]] = one["value"]
        url = settings.host + path + (f"?{urllib.parse.urlencode(query)}" if query else "")
        data = None if body is None else json.dumps(body).encode()
        timeout = urllib3.Timeout(connect=min(seconds, 10), read=seconds)
        pool = self.client.rest_client.pool_manager
        answer = pool.request(method, url, body=data, headers=asked, timeout=timeout, retries=False)
        if answer.status >= 400:
            try:
                reason = json.loads(answer.data)["message"]
            except (ValueError, LookupError, TypeError):
                reason = answer.data[:300].decode(errors="replace")
            raise Refused(answer.status, " ".join(str(reason).split()))
        return answer

    def serves(self, version: str) -> bool:
        """Whether the cluster serves a group and version such as "autoscaling/v2"."""
        try:
            self.get(f"/apis/{version}" if "/" in version else f"/api/{version}")
        except Refused as refused:
            if refused.status == 404:
                return False
            raise
        return True

    def attach(self, namespace: str, pod: str) -> Attached:
        """A connection to the standard streams of a pod's container."""
        settings = self.client.configuration
        headers = {}
        for one in settings.auth_settings().values():
            if one["in"] == "header" and one["value"]:
                headers[one["key"]] = one["value"]
        query = "stdin=true&stdout=true&stderr=false&tty=false"
        host = "ws" + settings.host.removeprefix("http")
        url = f"{host}/api/v1/namespaces/{namespace}/pods/{pod}/attach?{query}"
        return Attached(WSClient(settings, url, headers, False, binary=True))

    def close(self) -> None:
        """Let go of its connections."""
        with contextlib.suppress(Exception):
            self.client.rest_client.pool_manager.clear()
        with contextlib.suppress(Exception):
            self.client.close()


class Attached:
    """A connection to the standard input and output of a container in a cluster."""

    def __init__(self, socket: WSClient) -> None:
        self._socket, self._left = socket, bytearray()

    def send(self, data: bytes) -> None:
        """Write to the standard input."""
        for place in range(0, len(data), _CHUNK):
            self._socket.write_stdin(data[place : place + _CHUNK])

    def take(self, count: int, deadline: float) -> bytes:
        """So many bytes of the standard output.

        Raises:
            Gone: they did not come in time.
        """
        while len(self._left) < count:
            left = deadline - time.monotonic()
            if left <= 0:
                raise Gone("the course's own pod gave no answer in time")
            if not self._socket.is_open():
                raise Gone("the connection to the course's own pod was closed")
            self._left += self._socket.read_stdout(timeout=min(left, 1.0)) or b""
        taken = bytes(self._left[:count])
        del self._left[:count]
        return taken

    @property
    def is_open(self) -> bool:
        """Whether nobody closed it yet."""
        return bool(self._socket.is_open())

    def close(self) -> None:
        """Let go of it: the container's input ends."""
        with contextlib.suppress(*TROUBLE):
            self._socket.close()


class Run:
    """One grader's run on a cluster.

    Attributes:
        id: its mark, on all namespaces that it makes.
        api: the cluster.
        process: the process whose run this is; a fork begins its own.
        namespace: that of the keeper.
    """

    def __init__(self, api: Api) -> None:
        self.api, self.id, self.process = api, uuid.uuid4().hex[:12], os.getpid()
        self.namespace = f"course-{self.id}"
        self._pipe: Attached | None = None
        self._over = False
        self._spaces = 0
        self._reaper: subprocess.Popen | None = None

    # life

    def begin(self) -> None:
        """Start the keeper, then remove what runs left that live no longer."""
        image = self._tools()
        program = [sys.executable, "-I", "-B", str(Path(__file__).with_name("reap.py")), self.id]
        null = subprocess.DEVNULL
        self._reaper = subprocess.Popen(
            program, stdin=subprocess.PIPE, stdout=null, stderr=null, start_new_session=True
        )
        self._make_namespace(self.namespace, KEEPER)
        inside = f"/api/v1/namespaces/{self.namespace}"
        files = {name: engines._program(name).decode() for name in PROGRAMS}
        self.api.post(f"{inside}/configmaps", {"metadata": {"name": "programs"}, "data": files})
        self.api.post(
            f"{inside}/serviceaccounts", {"metadata": {"name": APPLIER}, "automountServiceAccountToken": False}
        )
        self._wait(lambda: self._there(f"{inside}/serviceaccounts/default"), 30)
        self.api.post(f"{inside}/pods", _keeper(image))
        self._until_running(f"{inside}/pods/{KEEPER}")
        self._pipe = self.api.attach(self.namespace, KEEPER)
        self.ask({"do": "find", "name": "localhost"}, 30)
        sweep(self.api, keep=self.id)

    def _until_running(self, path: str) -> None:
        deadline = time.monotonic() + _START_S
        while True:
            status = self.api.get(path).get("status") or {}
            if status.get("phase") == "Running":
                return
            state = next(iter(status.get("containerStatuses") or [{}])).get("state") or {}
            waiting = state.get("waiting") or {}
            if waiting.get("reason") in ("ErrImagePull", "ImagePullBackOff", "InvalidImageName"):
                raise Gone(
                    f"the nodes of the cluster cannot get the image of the course's own programs; {TOOLS} names another"
                )
            if status.get("phase") in ("Failed", "Succeeded") or time.monotonic() > deadline:
                raise Gone(f"the course's own pod does not start ({waiting.get('reason') or status.get('phase')})")
            time.sleep(0.1)

    def lives(self) -> bool:
        """Whether the keeper still listens to this process."""
        return not self._over and self._pipe is not None and self._pipe.is_open

    @property
    def is_over(self) -> bool:
        """Whether it ended, or belongs to the process from which this one was forked."""
        return self._over or self.process != os.getpid()

    def end(self) -> None:
        """Remove all that this run made."""
        global _run
        if self.is_over:
            return
        self._over = True
        if self._pipe is not None:
            self._pipe.close()
        with contextlib.suppress(Refused, *TROUBLE):
            remove(self.api, self.id)
            if self._reaper is not None:
                self._reaper.stdin.write(b"done")
        self.api.close()
        if self._reaper is not None:
            with contextlib.suppress(OSError):
                self._reaper.stdin.close()
            self._reaper.wait(60)
        atexit.unregister(self.end)
        if _run is self:
            _run = None

    def ask(self, message: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """Send the keeper a message and return its reply.

        Raises:
            Gone: there was none in time.
        """
        data = json.dumps(message).encode()
        deadline = time.monotonic() + seconds
        if self._pipe is None:
            raise Gone("the course's own pod does not run")
        try:
            self._pipe.send(len(data).to_bytes(8, "little") + data)
            size = int.from_bytes(self._pipe.take(8, deadline), "little")
            if size > MAX_REPLY_BYTES:
                raise Gone("the reply of the course's own pod is too large")
            return json.loads(self._pipe.take(size, deadline))
        except (Gone, ValueError, *TROUBLE) as error:
            self._pipe.close()
            raise Gone(str(error) or "the course's own pod gave no answer") from None

    def _tools(self) -> str:
        """The image of the course's own programs, as the nodes know it."""
        if name := os.environ.get(TOOLS):
            return name
        name = os.environ.get(engines.TOOLS, engines.DEFAULT_TOOLS)
        try:
            run = engines.engine()
        except Exception:  # without an engine, nodes fetch it themselves
            return name
        short = run.tools().removeprefix("sha256:")[:16]
        ours = f"{registries.address()}/course-tools:{short}"
        found = registries.digest(ours)
        if found is None:  # no registry beside the cluster: nodes fetch it themselves
            return name
        if found:
            return f"{ours.rpartition(':')[0]}@{found}"
        return registries.push(run.api, run.tools(), ours)

    # namespaces

    def space(self) -> str:
        """A new namespace for what a student shipped, with a quota, limits, and no way out where networks know how."""
        self._spaces += 1
        name = f"{self.namespace}-{self._spaces}"
        self._make_namespace(name, "application", {"pod-security.kubernetes.io/enforce": "baseline"})
        inside = f"/api/v1/namespaces/{name}"
        self.api.post(f"{inside}/resourcequotas", _QUOTA)
        self.api.post(f"{inside}/limitranges", _LIMITS)
        self.api.post(f"/apis/networking.k8s.io/v1/namespaces/{name}/networkpolicies", _policy(self.id))
        self._let(name, APPLIER, _RULES)
        self._wait(lambda: self._there(f"{inside}/serviceaccounts/default"), 30)
        self.api.patch(f"{inside}/serviceaccounts/default", {"automountServiceAccountToken": False})
        return name

    @property
    def applier(self) -> str:
        """Who applies what a student shipped: a user with rights in that namespace alone."""
        return f"system:serviceaccount:{self.namespace}:{APPLIER}"

    def leave(self, namespace: str) -> None:
        """Remove a namespace, without waiting until it is gone."""
        with contextlib.suppress(Refused, *TROUBLE):
            _clear(self.api, namespace)

    def _make_namespace(self, name: str, role: str, more: Mapping[str, str] | None = None) -> None:
        labels = {MARK: self.id, ROLE: role, **(more or {})}
        self.api.post("/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})

    def _let(self, namespace: str, account: str, rules: Sequence[Mapping[str, Any]]) -> None:
        """Give one of the run's accounts rights in a namespace."""
        roles = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
        self.api.post(f"{roles}/roles", {"metadata": {"name": account}, "rules": list(rules)})
        binding = {
            "metadata": {"name": account},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": account},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": self.namespace}],
        }
        self.api.post(f"{roles}/rolebindings", binding)

    def _there(self, path: str) -> bool:
        try:
            self.api.get(path)
        except Refused as refused:
            if refused.status == 404:
                return False
            raise
        return True

    def _wait(self, holds: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline:
                raise Gone(f"it was not done after {seconds:g} seconds")
            time.sleep(0.05)


_run: Run | None = None
_missing: tuple[tuple[str, ...], str] | None = None


def sweep(api: Api, keep: str | None = None) -> None:
    """Remove what runs left whose grader lives no longer. Only what carries the mark is looked at.

    Args:
        api: the cluster.
        keep: the id of a run that lives.
    """
    marked = _marked(api, MARK)
    for left in {_mark(one) for one in marked} - {keep, ""}:
        if not _lives(api, [one for one in marked if _mark(one) == left]):
            remove(api, left)


def _mark(namespace: Mapping[str, Any]) -> str:
    return namespace["metadata"]["labels"].get(MARK, "")


def _marked(api: Api, selector: str) -> list[dict[str, Any]]:
    return api.get("/api/v1/namespaces", labelSelector=selector)["items"]


def _lives(api: Api, namespaces: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the keeper of a run runs, or may still start."""
    for one in namespaces:
        if one["metadata"]["labels"].get(ROLE) != KEEPER:
            continue
        try:
            pod = api.get(f"/api/v1/namespaces/{one['metadata']['name']}/pods/{KEEPER}")
        except Refused:
            return _age(one) < _YOUNG_S and "deletionTimestamp" not in one["metadata"]
        phase = (pod.get("status") or {}).get("phase")
        return phase == "Running" or (phase == "Pending" and _age(pod) < _YOUNG_S)
    return any(_age(one) < _YOUNG_S for one in namespaces)


def _age(one: Mapping[str, Any]) -> float:
    made = time.strptime(one["metadata"]["creationTimestamp"], "%Y-%m-%dT%H:%M:%SZ")
    return time.time() - calendar.timegm(made)


def remove(api: Api, mark: str) -> None:
    """Remove the namespaces of a run; that of its keeper last, for by it a run is known."""
    marked = _marked(api, f"{MARK}={mark}")
    for one in sorted(marked, key=lambda one: one["metadata"]["labels"].get(ROLE) == KEEPER):
        with contextlib.suppress(Refused):  # another may be doing the same
            _clear(api, one["metadata"]["name"])


def remove_left(mark: str) -> None:
    """Remove the namespaces of a run whose grader was killed."""
    api = Api(_client())
    for tried in range(5):
        with contextlib.suppress(Refused, *TROUBLE):
            remove(api, mark)
            break
        time.sleep(tried)
    api.close()


def _clear(api: Api, namespace: str) -> None:
    """Remove a namespace and, so that nobody waits for their grace, its pods at once."""
    api.delete(f"/api/v1/namespaces/{namespace}")
    with contextlib.suppress(Refused):
        api.call(
            "DELETE", f"/apis/apps/v1/namespaces/{namespace}/deployments", body={"propagationPolicy": "Background"}
        )
        api.call("DELETE", f"/api/v1/namespaces/{namespace}/pods", body={"gracePeriodSeconds": 0})


_RULES = [
    {"apiGroups": [group], "resources": list(kinds), "verbs": ["get", "create", "patch", "update", "delete"]}
    for group, kinds in (
        ("", ("services", "configmaps", "secrets", "serviceaccounts")),
        ("apps", ("deployments", "deployments/scale")),
        ("autoscaling", ("horizontalpodautoscalers",)),
        ("policy", ("poddisruptionbudgets",)),
    )
]
_QUOTA = {
    "metadata": {"name": "course"},
    "spec": {
        "hard": {
            "pods": "16",
            "requests.cpu": "4",
            "requests.memory": "4Gi",
            "limits.memory": "6Gi",
            "limits.ephemeral-storage": "4Gi",
            "services": "6",
            "services.loadbalancers": "0",
            "services.nodeports": "0",
            "persistentvolumeclaims": "0",
            "configmaps": "20",
            "secrets": "20",
            "count/deployments.apps": "6",
            "count/replicasets.apps": "40",
            "count/jobs.batch": "0",
            "count/cronjobs.batch": "0",
        }
    },
}
_LIMITS = {
    "metadata": {"name": "course"},
    "spec": {
        "limits": [
            {
                "type": "Container",
                "default": {"cpu": "1", "memory": "512Mi", "ephemeral-storage": "256Mi"},
                "defaultRequest": {"cpu": "50m", "memory": "64Mi", "ephemeral-storage": "16Mi"},
                "max": {"cpu": "2", "memory": "1Gi", "ephemeral-storage": "512Mi"},
            }
        ]
    },
}


def _policy(mark: str) -> dict[str, Any]:
    """Pods are asked by each other and by the keeper; they ask each other, and for names."""
    keeper = {"namespaceSelector": {"matchLabels": {MARK: mark}}}
    names = [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]
    return {
        "metadata": {"name": "course"},
        "spec": {
            "podSelector": {},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [{"podSelector": {}}, keeper]}],
            "egress": [{"to": [{"podSelector": {}}]}, {"ports": names}],
        },
    }


def _keeper(image: str) -> dict[str, Any]:
    return {
        "metadata": {"name": KEEPER},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 0,
            "activeDeadlineSeconds": MOST_HOURS * 3600,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 65534, "runAsGroup": 65534},
            "containers": [
                {
                    "name": KEEPER,
                    "image": image,
                    "command": ["python3", "-B", "/course/among.py"],
                    "stdin": True,
                    "stdinOnce": True,  # a closed connection closes the input
                    "env": [{"name": "PYTHONUNBUFFERED", "value": "1"}],
                    "resources": {
                        "requests": {"cpu": "50m", "memory": "64Mi"},
                        "limits": {"cpu": "1", "memory": "256Mi"},
                    },
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "volumeMounts": [{"name": "programs", "mountPath": "/course", "readOnly": True}],
                }
            ],
            "volumes": [{"name": "programs", "configMap": {"name": "programs"}}],
        },
    }
