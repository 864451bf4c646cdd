"""The container engine, as the grader uses it: one run with an id, all that it makes marked with it, and removed.

A run begins with a *keeper*, a small container that lives exactly as long as the grader does, for its standard input is
the grader's. So whoever comes next sees which runs have ended without tidying, however they were killed, and removes
what those left. Nothing without the mark is touched. The keeper is also the client that asks a student's services.
Used by `images` and `containers`.
"""

from __future__ import annotations

import atexit
import contextlib
import io
import json
import os
import re
import shutil
import socket
import subprocess
import tarfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import docker
import requests
from docker.errors import APIError, DockerException, NotFound

from course.checks.core.expectations import not_graded_here
from course.sandboxed import programs

MARK = "course.grading.run"
ROLE = "course.grading.role"
TOOLS = "COURSE_TOOLS_IMAGE"  # the image in which the course's own programs run; any with Python 3.11 or newer
DEFAULT_TOOLS = "python:3.11-slim"
INDEXES = "COURSE_PACKAGE_HOSTS"  # hosts that builds may reach, with commas between
DEFAULT_INDEXES = "pypi.org,files.pythonhosted.org"
PROXY_PORT = 8118
MAX_REPLY_BYTES = 80 << 20
TROUBLE = (DockerException, requests.RequestException, OSError)
_YOUNG_S = 120.0  # a keeper that was made and not started yet: give it so long


class Gone(Exception):
    """The keeper gave no answer."""


def address() -> str | None:
    """Where an engine listens: DOCKER_HOST, what the docker command would ask, or a usual socket; None if unknown."""
    if host := os.environ.get("DOCKER_HOST"):
        return host
    if program := shutil.which("docker"):
        asked = [program, "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            done = subprocess.run(asked, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=20)
            if done.returncode == 0 and done.stdout.strip():
                return done.stdout.strip()
    if os.name == "nt":
        return "npipe:////./pipe/docker_engine"
    places = [Path("/var/run/docker.sock"), Path.home() / ".docker/run/docker.sock"]
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        places += [Path(runtime) / "docker.sock", Path(runtime) / "podman/podman.sock"]
    places.append(Path("/run/podman/podman.sock"))
    return next((f"unix://{place}" for place in places if place.exists()), None)


def engine() -> Run:
    """The run of this process; it is begun at the first call.

    Raises:
        NotGradedHere: no engine answers, or the image of the course's own programs is not there.
    """
    global _run
    if _run is None or _run.process != os.getpid() or not _run.lives():
        _run = _begin()
    return _run


def _begin() -> Run:
    where = address()
    if where is None or not _listens(where):
        not_graded_here("no container engine answers")
    try:
        api = docker.APIClient(base_url=where, version="auto", timeout=60)
        api.ping()
    except TROUBLE:
        not_graded_here("no container engine answers")
    run = Run(api)
    with told():
        run.begin()
    atexit.register(run.end)
    return run


def _listens(where: str) -> bool:
    """Whether anybody listens at a local socket; the SDK would leave its own open when nobody does."""
    if not where.startswith("unix://"):
        return True
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(10)
        return probe.connect_ex(where.removeprefix("unix://")) == 0


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Turn trouble with the engine that is nobody's fault into "not graded here"."""
    try:
        yield
    except (Gone, *TROUBLE) as error:
        not_graded_here(f"the container engine could not do what the check asked: {plainly(error)}")


def plainly(error: Exception) -> str:
    """What the engine says, without addresses and ids."""
    text = str(getattr(error, "explanation", None) or error)
    text = re.sub(r"\b[0-9a-f]{64}\b", "…", text)
    return " ".join(text.split())[:300]


class Run:
    """One grader's run on an engine.

    Attributes:
        id: its mark, on all that it makes.
        api: the engine.
        process: the process whose run this is; a fork begins its own.
    """

    def __init__(self, api: docker.APIClient) -> None:
        self.api, self.id, self.process = api, uuid.uuid4().hex[:16], os.getpid()
        self._keeper: str | None = None
        self._pipe: Hijacked | None = None
        self._proxy: str | None = None
        self._names: dict[str, str] = {}  # of networks, by their ids

    @cached_property
    def is_podman(self) -> bool:
        """Whether the engine is Podman, whose socket is not compatible in all."""
        parts = self.api.version().get("Components") or []
        return any("podman" in str(part.get("Name")).lower() for part in parts)

    @property
    def marks(self) -> dict[str, str]:
        """The labels of all that this run makes."""
        return {MARK: self.id}

    # life

    def begin(self) -> None:
        """Start the keeper, then remove what runs left that live no longer."""
        image = self.tools()
        # the keeper comes first of all: what has a mark and no keeper is removed by others
        self._keeper = self._make_keeper(image, "none")
        network = self._network("keeper")
        try:
            self.api.disconnect_container_from_network(self._keeper, "none")
            self.api.connect_container_to_network(self._keeper, network)
        except APIError:  # with Podman, who was made without a network never gets one
            first, self._keeper = self._keeper, self._make_keeper(image, network)
            self.api.remove_container(first, force=True, v=True)
        self._pipe = Hijacked(self.api.attach_socket(self._keeper, params={"stdin": 1, "stdout": 1, "stream": 1}))
        self.api.start(self._keeper)
        sweep(self.api, keep=self.id)

    def _make_keeper(self, image: str, network: str) -> str:
        host = self.api.create_host_config(
            auto_remove=True, network_mode=network, **_small(memory="128m", processes=64)
        )
        files = {name: _program(name) for name in ("beside.py", "serve.py")}
        return self._own(image, ["python3", "-B", "/course/beside.py"], host, files, "keeper", stdin=True)

    def lives(self) -> bool:
        """Whether the keeper still answers to this process."""
        if self._pipe is None:
            return False
        try:
            return bool(self.api.inspect_container(self._keeper)["State"]["Running"])
        except TROUBLE:
            return False

    @property
    def is_over(self) -> bool:
        """Whether it ended, or belongs to the process from which this one was forked."""
        return self._pipe is None or self.process != os.getpid()

    def end(self) -> None:
        """Remove all that this run made."""
        global _run
        if self.is_over:
            return
        self._pipe.close()
        self._pipe = None
        with contextlib.suppress(*TROUBLE):
            remove(self.api, f"{MARK}={self.id}")
        self.api.close()
        atexit.unregister(self.end)
        if _run is self:
            _run = None

    # the course's own containers

    def tools(self) -> str:
        """The image of the course's own programs; fetched when it is not there.

        Raises:
            NotGradedHere: it cannot be had.
        """
        name = os.environ.get(TOOLS, DEFAULT_TOOLS)
        try:
            return self.api.inspect_image(name)["Id"]
        except NotFound:
            pass
        try:
            repository, _, tag = name.partition(":")
            self.api.pull(repository, tag=tag or "latest")
            return self.api.inspect_image(name)["Id"]
        except TROUBLE:
            not_graded_here(f"the image {name}, from which containers are asked, is not here (docker pull {name})")

    def _own(
        self,
        image: str,
        command: Sequence[str],
        host: Any,
        files: Mapping[str, bytes],
        role: str,
        *,
        stdin: bool = False,
    ) -> str:
        config = self.api.create_container_config(
            image,
            list(command),
            labels={**self.marks, ROLE: role},
            user="65534:65534",
            entrypoint=[],
            environment={"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"},
            healthcheck={"test": ["NONE"]},
            host_config=host,
        )
        if stdin:  # a closed connection closes the input; the SDK has no argument for that
            config |= {"OpenStdin": True, "StdinOnce": True, "AttachStdin": True, "AttachStdout": True}
        made = self.api.create_container_from_config(config, None)["Id"]
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            folder = tarfile.TarInfo("course")
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(folder)
            for name, data in files.items():
                member = tarfile.TarInfo(f"course/{name}")
                member.size, member.mode = len(data), 0o644
                tar.addfile(member, io.BytesIO(data))
        self.api.put_archive(made, "/", archive.getvalue())
        return made

    def ask(self, message: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """Send the keeper a message and return its reply.

        Raises:
            Gone: there was none in time.
        """
        data = json.dumps(message).encode()
        deadline = time.monotonic() + seconds
        try:
            self._pipe.send(len(data).to_bytes(8, "little") + data, seconds)
            size = int.from_bytes(self._pipe.take(8, deadline), "little")
            if size > MAX_REPLY_BYTES:
                raise Gone("its reply is too large")
            return json.loads(self._pipe.take(size, deadline))
        except (OSError, ValueError) as error:
            self._pipe.close()
            raise Gone(f"the course's own container gave no answer ({error})") from None

    # networks

    def _network(self, role: str, *, internal: bool = True) -> str:
        """A new network that leads nowhere, not even to this machine where the engine can do that."""
        name = f"course-{self.id}-{role}-{uuid.uuid4().hex[:6]}"
        options = {"com.docker.network.bridge.inhibit_ipv4": "true"}
        labels = {**self.marks, ROLE: role}
        for tried in (options, None):  # Podman knows no such option
            try:
                network = self.api.create_network(
                    name, driver="bridge", internal=internal, options=tried, labels=labels, check_duplicate=True
                )["Id"]
                self._names[network] = name
                return network
            except APIError:
                if tried is None:
                    raise
        raise AssertionError("unreachable")

    @contextlib.contextmanager
    def apart(self, role: str, *, with_keeper: bool = False) -> Iterator[str]:
        """A network for the time of a block; it leads nowhere, and the keeper can be on it."""
        network = self._network(role)
        try:
            if with_keeper:
                self.api.connect_container_to_network(self._keeper, network)
            yield network
        finally:
            self.leave(network)

    def join(self, role: str) -> str:
        """A network like that of :meth:`apart`, with the keeper on it, until :meth:`leave`."""
        network = self._network(role)
        self.api.connect_container_to_network(self._keeper, network)
        return network

    def leave(self, network: str) -> None:
        """Remove a network and let go of who is on it."""
        with contextlib.suppress(*TROUBLE):
            for member in list(self.api.inspect_network(network).get("Containers") or {}):
                with contextlib.suppress(*TROUBLE):
                    self.api.disconnect_container_from_network(member, network, force=True)
        with contextlib.suppress(*TROUBLE):
            self.api.remove_network(network)

    def proxy(self, network: str) -> str:
        """The address, on a network, of a proxy that leads to package indexes and to nothing else."""
        if self._proxy is None or not self._runs(self._proxy):
            hosts = [host.strip() for host in os.environ.get(INDEXES, DEFAULT_INDEXES).split(",") if host.strip()]
            host = self.api.create_host_config(auto_remove=True, **_small(memory="128m", processes=64))
            command = ["python3", "-B", "/course/index_proxy.py", str(PROXY_PORT), "7200", *hosts]
            files = {"index_proxy.py": _program("index_proxy.py")}
            self._proxy = self._own(self.tools(), command, host, files, "proxy")
            self.api.start(self._proxy)
            self._until(lambda: b"ready" in self.api.logs(self._proxy, tail=5), 15)
        self.api.connect_container_to_network(self._proxy, network)
        return f"http://{self.address(self._proxy, network)}:{PROXY_PORT}"

    def address(self, container: str, network: str) -> str:
        """The IP address of a container on a network; an empty text when it has none."""
        joined = self.api.inspect_container(container)["NetworkSettings"]["Networks"]
        # by its name: the id of a network means nothing to Podman's containers
        return (joined.get(self._names[network]) or {}).get("IPAddress", "")

    def refused(self) -> str:
        """The last that the proxy did not let through, or an empty text."""
        if self._proxy is None:
            return ""
        with contextlib.suppress(*TROUBLE):
            lines = self.api.logs(self._proxy, tail=20).decode(errors="replace").splitlines()
            return next((line.removeprefix("refused ") for line in reversed(lines) if line.startswith("refused")), "")
        return ""

    def _runs(self, container: str) -> bool:
        try:
            return bool(self.api.inspect_container(container)["State"]["Running"])
        except TROUBLE:
            return False

    def _until(self, done: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() > deadline:
                raise Gone("a container of the course's own did not start")
            time.sleep(0.05)


class Hijacked:
    """A connection to the engine that became one to a container's standard streams.

    Args:
        held: what the SDK's attach_socket or exec_start gives.
    """

    def __init__(self, held: Any) -> None:
        self._held, self._socket = held, getattr(held, "_sock", held)
        self._left = bytearray()

    def __enter__(self) -> Hijacked:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of it: the container's input ends."""
        for one in (self._socket, self._held, getattr(self._held, "_response", None)):
            with contextlib.suppress(Exception):
                one.close()

    def send(self, data: bytes, seconds: float) -> None:
        """Write to the standard input."""
        self._socket.settimeout(seconds)
        self._socket.sendall(data)

    def take(self, count: int, deadline: float) -> bytes:
        """So many bytes of the standard output.

        Raises:
            OSError: they did not come in time.
        """
        while len(self._left) < count:
            stream, data = self._frame(deadline)
            if stream == 1:
                self._left += data
        taken = bytes(self._left[:count])
        del self._left[:count]
        return taken

    def read(self, most: int, deadline: float) -> bytes:
        """All of both streams until they end; what comes later than the deadline, or is too much, is left."""
        data = bytearray()
        with contextlib.suppress(OSError):
            while len(data) < most:
                data += self._frame(deadline)[1]
        return bytes(data[:most])

    def _frame(self, deadline: float) -> tuple[int, bytes]:
        """The engine writes in frames: 8 bytes of which the last four are the length, and so much."""
        head = self._exactly(8, deadline)
        return head[0], self._exactly(int.from_bytes(head[4:], "big"), deadline)

    def _exactly(self, count: int, deadline: float) -> bytes:
        data = bytearray()
        while len(data) < count:
            self._socket.settimeout(max(0.05, deadline - time.monotonic()))
            chunk = self._socket.recv(min(count - len(data), 1 << 20))
            if not chunk:
                raise OSError("it ended")
            data += chunk
        return bytes(data)


def sweep(api: docker.APIClient, keep: str | None = None) -> None:
    """Remove what runs left whose grader lives no longer. Only what carries the mark is looked at.

    Args:
        api: the engine.
        keep: the id of a run that lives.
    """
    alive = {keep} | _living(api)
    seen: set[str] = set()
    for kind in (lambda **k: api.containers(all=True, **k), api.networks, lambda **k: api.images(all=True, **k)):
        for one in kind(filters={"label": MARK}):
            seen.add((one.get("Labels") or {}).get(MARK, ""))
    for left in seen - alive - {""}:
        if left not in _living(api):  # it may have begun in between
            remove(api, f"{MARK}={left}")


def _living(api: docker.APIClient) -> set[str]:
    found = set()
    for one in api.containers(all=True, filters={"label": f"{ROLE}=keeper"}):
        young = one["State"] == "created" and time.time() - one["Created"] < _YOUNG_S
        if one["State"] == "running" or young:
            found.add(one["Labels"].get(MARK, ""))
    return found


def remove(api: docker.APIClient, label: str) -> None:
    """Remove all containers, networks, volumes and images with a label; nothing else, and no base image."""
    for _ in range(3):
        for one in api.containers(all=True, filters={"label": label}):
            with contextlib.suppress(*TROUBLE):
                api.remove_container(one["Id"], force=True, v=True)
        for network in api.networks(filters={"label": label}):
            with contextlib.suppress(*TROUBLE):
                for member in list(api.inspect_network(network["Id"]).get("Containers") or {}):
                    api.disconnect_container_from_network(member, network["Id"], force=True)
                api.remove_network(network["Id"])
        for _ in range(100):  # those that others are made from go after them
            gone = False
            for one in api.images(all=True, filters={"label": label}):
                with contextlib.suppress(*TROUBLE):
                    api.remove_image(one["Id"], force=True)
                    gone = True
            if not gone:
                break
        if not api.containers(all=True, filters={"label": label}) and not api.images(
            all=True, filters={"label": label}
        ):
            return
        time.sleep(0.3)


def _small(*, memory: str, processes: int) -> dict[str, Any]:
    """What the course's own containers may have."""
    return {
        "mem_limit": memory,
        "memswap_limit": memory,
        "pids_limit": processes,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "log_config": {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "1"}},
    }


def _program(name: str) -> bytes:
    return Path(programs.__file__).with_name(name).read_bytes()


_run: Run | None = None
