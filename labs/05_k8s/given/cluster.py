"""The cluster that your kubeconfig names, a namespace of your own in it, and the way of an image into its registry.

    space = connect()                                   # says what it found
    image = space.push("handed_over/image", "late-flights:1.0.0")
    space.apply(manifest_text)
    space.kubectl("get pods")                           # shows the command and what it printed
    space.wait(lambda: space.ready("late-flights") == 2, "two pods are ready")
    space.client(image)                                 # a pod from which the Service is asked, as programs ask it
    space.ask("/health")
    space.remove()

Where no cluster answers, `space` is false, and each of these says so and goes on. What differs in each run (ages,
addresses, the random ends of names) is shown as `…`; `exact=True` shows all.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import re
import secrets
import shlex
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LABEL = "course-lab"
LAB = "05-k8s"
LIVE = "COURSE_LIVE"  # "off": the notebook's own cells use no cluster, as when it is graded
CLIENT = "client"
NOT_HERE = "(no cluster answers: this part is read, not run)"
ASK = """
import json, sys, urllib.error, urllib.request
url, method, body, seconds = json.loads(sys.stdin.read())
data = None if body is None else json.dumps(body).encode()
headers = {"Content-Type": "application/json"}
try:
    with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method), timeout=seconds) as answer:
        status, text = answer.status, answer.read(100_000).decode(errors="replace")
except urllib.error.HTTPError as answer:
    status, text = answer.code, answer.read(100_000).decode(errors="replace")
except OSError as error:
    status, text = 0, str(getattr(error, "reason", error))
print(json.dumps([status, text]))
"""


@dataclass(frozen=True)
class Answer:
    """What a service answered.

    Attributes:
        status: of HTTP; 0 when nobody answered.
        text: the body, or why nobody answered.
    """

    status: int
    text: str

    def json(self) -> Any:
        """The body, as data.

        Raises:
            ValueError: it is no JSON.
        """
        return json.loads(self.text)


class Space:
    """A namespace of your own; false where no cluster answers.

    Args:
        program: the path of kubectl, or None.
        why_not: why there is no cluster, as half a sentence; None when there is one.

    Attributes:
        name: the namespace.
        core, apps, autoscaling: the official Python client's API objects for v1, apps/v1 and autoscaling/v1.
    """

    def __init__(self, program: str | None, why_not: str | None) -> None:
        self.program, self.why_not = program, why_not
        user = re.sub(r"[^a-z0-9]+", "-", _user().lower()).strip("-")[:20] or "student"
        self.name = f"course-{user}-{secrets.token_hex(3)}"
        self.core = self.apps = self.autoscaling = None
        self._keeper: subprocess.Popen | None = None
        self._built: list[str] = []  # images that this notebook gave a name to in the engine

    def __bool__(self) -> bool:
        return self.why_not is None

    def here(self) -> bool:
        """Whether a cluster answers; says so where none does."""
        if not self:
            print(NOT_HERE)
        return bool(self)

    # life

    def create(self) -> None:
        """Make the namespace. It goes when :meth:`remove` is called or this Python process ends, however it ends."""
        from kubernetes import client, config

        api = config.new_client_from_config()
        self.core, self.apps, self.autoscaling = (
            client.CoreV1Api(api),
            client.AppsV1Api(api),
            client.AutoscalingV1Api(api),
        )
        keeper = [sys.executable, str(Path(__file__).resolve()), self.program, self.name]
        self._keeper = subprocess.Popen(
            keeper,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # it outlives an interrupt and the end of the kernel
        )
        self.core.create_namespace({"metadata": {"name": self.name, "labels": {LABEL: LAB}}})

    def remove(self, seconds: float = 150) -> None:
        """Remove the namespace and all that is in it, and say so; and from the engine, the images that were pushed."""
        if not self.here():
            return
        _remove_images(self._built)
        self._run(["delete", "namespace", self.name, "--ignore-not-found", "--wait=false"], everywhere=True)
        with contextlib.suppress(_api_exception()):  # nobody asks these pods any more: they need not end gracefully
            self.core.delete_collection_namespaced_pod(self.name, grace_period_seconds=0)
        if self.wait(
            lambda: not self._exists(), f"the namespace is gone (kubectl delete namespace {self.name})", seconds
        ):
            print("Your namespace and all that was in it are gone.")
        if self._keeper is not None:
            self._keeper.stdin.close()
            self._keeper.wait()
            self._keeper = None

    def _exists(self) -> bool:
        return self._run(["get", "namespace", self.name], everywhere=True).returncode == 0

    # images

    def push(self, context: str | Path, name: str) -> str:
        """Build an image, push it to the registry, and say how that went.

        Args:
            context: the folder with its Dockerfile.
            name: repository and tag, such as "late-flights:1.0.0".

        Returns:
            The image's name as a manifest has it, with the registry in front; also where there is no cluster.
        """
        reference = f"{registry()}/{name}"
        if not self.here():
            return reference
        problem = _build_and_push(Path(context), reference, self._built)
        if problem is None:
            print(f"{reference} is built and pushed.")
        elif _in_registry(reference):
            print(f"{problem}; {reference} was pushed before, and is used.")
        else:
            print(f"{problem}: {reference} is not in the registry, and pods that want it cannot start.")
        return reference

    # kubectl

    def kubectl(self, command: str, *, stdin: str | None = None, exact: bool = False, show: bool = True) -> str | None:
        """Run kubectl in your namespace, and show the command and what it printed.

        Args:
            command: what stands behind `kubectl`, as in a shell.
            stdin: what it reads, for `-f -`.
            exact: show all, also what differs in each run.
            show: False shows nothing, and returns its standard output, unchanged; "" where there is no cluster.
        """
        if show:
            print(f"$ kubectl {command}")
        if not self:
            if show:
                print(NOT_HERE)
            return None if show else ""
        done = self._run(shlex.split(command), stdin=stdin)
        if not show:
            return done.stdout
        for text in (done.stdout, done.stderr):
            if text.strip():
                print(text.rstrip() if exact else tidy(text, self.name))
        return None

    def apply(self, manifest: str | Path, *, show: bool = True) -> None:
        """`kubectl apply` a manifest: its text, or the path of a file or folder. What it refuses is always shown."""
        text = None if isinstance(manifest, Path) else manifest
        command = ["apply", "-f", "-" if text is not None else os.path.relpath(manifest)]
        if show:
            print(f"$ kubectl {shlex.join(command)}")
            if not self:
                print(NOT_HERE)
        if self:
            done = self._run(command, stdin=text)
            told = (done.stdout if show else "") + done.stderr * bool(show or done.returncode)
            if told.strip():
                print(tidy(told, self.name))

    def _run(
        self, command: list[str], *, stdin: str | None = None, everywhere: bool = False, seconds: float = 120
    ) -> subprocess.CompletedProcess[str]:
        where = [] if everywhere else ["--namespace", self.name]
        try:
            return subprocess.run(
                [self.program, *where, *command], input=stdin or "", capture_output=True, text=True, timeout=seconds
            )
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(command, 1, "", f"kubectl did not end within {seconds:g} seconds")

    # waiting

    def wait(self, holds: Callable[[], bool], what: str, seconds: float = 120) -> bool:
        """Wait until something holds; returns whether it did. Says what was waited for in vain.

        Args:
            holds: asked again and again; what it raises because the cluster is busy counts as not yet.
            what: what is waited for, as a sentence.
            seconds: the longest wait.
        """
        if not self:
            return False
        deadline = time.monotonic() + seconds
        while True:
            with contextlib.suppress(OSError, LookupError, TypeError, _api_exception()):
                if holds():
                    return True
            if time.monotonic() > deadline:
                print(f"Waited {seconds:g} seconds, and this did not happen: {what}.")
                return False
            time.sleep(0.2)

    def pods(self, selector: str = "") -> list:
        """The pods that match a selector such as "app=late-flights" and are not being removed."""
        if not self:
            return []
        found = self.core.list_namespaced_pod(self.name, label_selector=selector).items
        return [pod for pod in found if pod.metadata.deletion_timestamp is None]

    def ready(self, deployment: str) -> int:
        """How many pods of a deployment are ready."""
        if not self:
            return 0
        return self.apps.read_namespaced_deployment_status(deployment, self.name).status.ready_replicas or 0

    def rolled_out(self, deployment: str) -> bool:
        """Whether all pods of a deployment are of its newest revision and ready, and no older one is left."""
        if not self:
            return False
        found = self.apps.read_namespaced_deployment_status(deployment, self.name)
        status, wanted = found.status, found.spec.replicas
        counts = (status.replicas or 0, status.updated_replicas or 0, status.available_replicas or 0)
        return (status.observed_generation or 0) >= found.metadata.generation and counts == (wanted,) * 3

    # asking a Service

    def client(self, image: str, seconds: float = 120) -> bool:
        """Start the pod "client", from an image that has Python. Programs in it reach Services as all programs do."""
        if not self.here():
            return False
        self.core.create_namespaced_pod(self.name, _client(image))
        return self.wait(
            lambda: self.core.read_namespaced_pod(CLIENT, self.name).status.phase == "Running",
            "the pod client runs (kubectl describe pod client)",
            seconds,
        )

    def python(self, program: str, *arguments: str, pod: str = CLIENT, stdin: str = "", seconds: float = 120) -> str:
        """Run a Python program in a pod, and return what it printed.

        Args:
            program: its source.
            arguments: its sys.argv[1:].
            pod: a pod, or "deployment/late-flights" for one of its pods; by default the pod "client".
            stdin: its standard input.
            seconds: the longest time.

        Raises:
            RuntimeError: it failed; the message is the end of what it wrote to its standard error.
        """
        if not self:
            return ""
        command = ["exec", "-i", pod, "--", "python", "-c", program, *arguments]
        done = self._run(command, stdin=stdin, seconds=seconds)
        if done.returncode:
            raise RuntimeError(f"the program in {pod} failed: {done.stderr.strip()[-2000:]}")
        return done.stdout

    def ask(
        self,
        path: str,
        *,
        json_: Any = None,
        method: str | None = None,
        service: str = "late-flights",
        seconds: float = 5,
    ) -> Answer:
        """Ask a Service from the pod "client".

        Args:
            path: such as "/health".
            json_: what is sent, as JSON.
            method: by default POST when something is sent, else GET.
            service: the Service's name, with its port when that is not 80: "late-flights:8080".
            seconds: how long to wait for the answer.
        """
        if not self:
            return Answer(0, NOT_HERE)
        url, method = f"http://{service}{path}", method or ("GET" if json_ is None else "POST")
        told = self.python(ASK, stdin=json.dumps([url, method, json_, seconds]))
        return Answer(*json.loads(told))


def connect() -> Space:
    """Find the cluster that the kubeconfig names, make a namespace of your own there, and say what was found."""
    program = shutil.which("kubectl")
    space = Space(program, _why_not(program))
    if space:
        try:
            space.create()
        except (_api_exception(), OSError) as error:
            reason = getattr(error, "reason", None) or type(error).__name__
            space = Space(program, f"the cluster does not let you make a namespace ({reason})")
    if space:
        print("The cluster answers. You have a namespace of your own there; it goes when this notebook ends.")
    else:
        print(f"No cluster can be used: {space.why_not}. The cells that need one are read, not run;")
        print("the exercises can be done all the same. env_setup/cluster.md says how to get a cluster.")
    return space


def _why_not(program: str | None) -> str | None:
    if os.environ.get(LIVE) == "off":
        return f"{LIVE}=off says that this notebook uses none"
    if program is None:
        return "there is no program kubectl"
    try:
        done = subprocess.run(
            [program, "get", "--raw", "/readyz", "--request-timeout=5s"],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=20,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "kubectl gets no answer"
    return None if done.returncode == 0 else "none answers at the place that your kubeconfig names"


def registry() -> str:
    """Where images are pushed to and pulled from: COURSE_REGISTRY, by default the local one."""
    return os.environ.get("COURSE_REGISTRY") or "localhost:5001"


def _build_and_push(context: Path, reference: str, built: list[str]) -> str | None:
    """Why it could not be done, or None. An image that the engine did not have before is noted in `built`."""
    import docker
    import requests
    from docker.errors import APIError, BuildError, DockerException

    from course.checks.docker.engines import address

    repository, _, tag = reference.rpartition(":")
    try:
        with contextlib.closing(docker.DockerClient(base_url=address(), timeout=600)) as engine:
            known = bool(engine.images.list(name=reference))
            engine.images.build(path=str(context), tag=reference, rm=True, forcerm=True)
            built += [] if known or reference in built else [reference]
            lines = list(engine.images.push(repository, tag=tag, stream=True, decode=True))
    except BuildError as error:
        return f"The image was not built ({str(error).strip()[-300:]})"
    except APIError as error:
        return f"The engine refused ({error.explanation})"
    except (DockerException, requests.RequestException, OSError):
        return "No engine answers"
    told = next((line["error"] for line in lines if "error" in line), None)
    return f"The image was not pushed ({told})" if told else None


def _remove_images(references: list[str]) -> None:
    """Remove images from the engine; they stay in the registry, from which the nodes fetch them."""
    import docker
    import requests
    from docker.errors import DockerException

    from course.checks.docker.engines import address

    trouble = (DockerException, requests.RequestException, OSError)
    with contextlib.suppress(*trouble), contextlib.closing(docker.DockerClient(base_url=address())) as engine:
        while references:
            with contextlib.suppress(DockerException):  # a container may still need it
                engine.images.remove(references.pop())


def _in_registry(reference: str) -> bool:
    """Whether a registry on this machine has an image; others want to know who asks, so they are not asked."""
    host, _, rest = reference.partition("/")
    repository, _, tag = rest.rpartition(":")
    if host.partition(":")[0] not in ("localhost", "127.0.0.1"):
        return False
    try:
        with urllib.request.urlopen(f"http://{host}/v2/{repository}/tags/list", timeout=5) as answer:
            return tag in (json.load(answer).get("tags") or [])
    except (OSError, ValueError):
        return False


_RANDOM = "[bcdfghjklmnpqrstvwxz2456789]"  # the letters of which Kubernetes makes the ends of names
_MASKS = (
    (rf"(?<=[a-z0-9])-{_RANDOM}{{8,10}}(?:-{_RANDOM}{{5}})?(?![a-z0-9-])", "-…"),
    (r"\b\d{1,3}(?:\.\d{1,3}){3}(?:/\d+)?\b", "…"),
    (r"\b\d+(?:\.\d+)?(?:ms|[smhd])(?:\d+[smh])?(?: ago)?(?=\s|[),.;]|$)", "…"),
    (r"\b\d{4}-\d\d-\d\dT[\d:.]+Z?\b", "…"),
    (r"sha256:[0-9a-f]{64}", "sha256:…"),
)


def tidy(text: str, namespace: str = "") -> str:
    """What kubectl printed, without what differs in each run, and with its columns set anew."""
    if namespace:
        text = text.replace(namespace, "your-namespace")
    for pattern, sign in _MASKS:
        text = re.sub(pattern, sign, text, flags=re.MULTILINE)
    return "\n\n".join(map(_aligned, text.strip("\n").split("\n\n")))


def _aligned(text: str) -> str:
    """A table with its columns set anew; what is no table stays as it is."""
    lines = text.rstrip().splitlines()
    if not lines or not re.match(r"[A-Z][A-Z() -]+(?:\s{2,}|$)", lines[0]):
        return "\n".join(line.rstrip() for line in lines)
    rows = [re.split(r"\s{2,}", line.strip()) for line in lines]
    widths = [max(len(row[n]) for row in rows if n < len(row)) for n in range(max(map(len, rows)))]
    return "\n".join("   ".join(cell.ljust(widths[n]) for n, cell in enumerate(row)).rstrip() for row in rows)


def _client(image: str) -> dict[str, Any]:
    """A pod that waits to be told what to do, with the rights of nobody."""
    container = {
        "name": CLIENT,
        "image": image,
        "command": ["sleep", "3600"],
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    spec = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 0,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
    }
    return {"metadata": {"name": CLIENT, "labels": {"app": CLIENT}}, "spec": spec}


def _api_exception() -> type[Exception]:
    from kubernetes.client.exceptions import ApiException

    return ApiException


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user without a name, as in some containers
        return "student"


def _keep(program: str, namespace: str) -> None:
    """Wait until the notebook's process ends, then remove the namespace."""
    sys.stdin.buffer.read()
    subprocess.run([program, "delete", "namespace", namespace, "--ignore-not-found", "--wait=false"], timeout=120)


if __name__ == "__main__":
    _keep(*sys.argv[1:])
