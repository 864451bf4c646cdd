"""The container engine, as the grader uses it: `engine()` → EngineSession, with networks and containers of its own.

See `core.sessions` for what a session is. This one creates containers, networks and images; its keeper is a container
that joins the network of each student's container, to send it requests.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import socket
import subprocess
import tarfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Any

import docker
import requests
from docker.errors import APIError, DockerException, NotFound

from course.checks.core import sessions
from course.checks.core.expectations import not_graded_here
from course.checks.core.sessions import KEEPER, ROLE_LABEL, SESSION_LABEL, CurrentSession, Session, SessionError

TOOLS = "COURSE_TOOLS_IMAGE"  # the image in which the course's own programs run; any with Python 3.11 or newer
DEFAULT_TOOLS = "python:3.11-slim"
INDEXES = "COURSE_PACKAGE_HOSTS"  # hosts that builds may reach, with commas between
DEFAULT_INDEXES = "pypi.org,files.pythonhosted.org"
PROXY_PORT = 8118
TROUBLE = (DockerException, requests.RequestException, OSError)
_START_S = 120.0  # a keeper that was created less than so long ago may still start


def address() -> str | None:
    """Where an engine listens: DOCKER_HOST, the docker command's context, or a usual socket; None if unknown."""
    if host := os.environ.get("DOCKER_HOST"):
        return host
    if program := shutil.which("docker"):
        command = [program, "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=20)
            if done.returncode == 0 and done.stdout.strip():
                return done.stdout.strip()
    if os.name == "nt":
        return "npipe:////./pipe/docker_engine"
    sockets = [Path("/var/run/docker.sock"), Path.home() / ".docker/run/docker.sock"]
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        sockets += [Path(runtime) / "docker.sock", Path(runtime) / "podman/podman.sock"]
    sockets.append(Path("/run/podman/podman.sock"))
    return next((f"unix://{path}" for path in sockets if path.exists()), None)


def engine() -> EngineSession:
    """The session of this process; it begins at the first call.

    Raises:
        NotGradedHere: no engine answers, or the image of the course's own programs cannot be had.
    """
    return current.get()


def _begin() -> EngineSession:
    where = address()
    if where is None or not _listens(where):
        not_graded_here("no container engine answers")
    try:
        api = docker.APIClient(base_url=where, version="auto", timeout=60)
        api.ping()
    except TROUBLE:
        not_graded_here("no container engine answers")
    session = EngineSession(api)
    with not_graded_on_trouble():
        session.begin()
    return session


current: CurrentSession[EngineSession] = CurrentSession(_begin)


def _listens(where: str) -> bool:
    """Whether a program listens at a local socket. The SDK would leave its own end open when none does."""
    if not where.startswith("unix://"):
        return True
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(10)
        return probe.connect_ex(where.removeprefix("unix://")) == 0


def not_graded_on_trouble() -> AbstractContextManager[None]:
    """Turn errors of the engine that are not the student's fault into "not graded here"."""
    what = "the container engine could not do what the check asked"
    return sessions.not_graded_on((SessionError, *TROUBLE), lambda error: f"{what}: {plain_message(error)}")


def plain_message(error: Exception) -> str:
    """The engine's message, without ids."""
    text = str(getattr(error, "explanation", None) or error)
    text = re.sub(r"\b[0-9a-f]{64}\b", "…", text)
    return " ".join(text.split())[:300]


class EngineSession(Session):
    """One grader's session with an engine; see :class:`core.sessions.Session`.

    Args:
        api: the engine.
    """

    trouble = TROUBLE

    def __init__(self, api: docker.APIClient) -> None:
        super().__init__(16)
        self.api = api
        self._keeper_id = ""
        self._proxy: str | None = None
        self._names: dict[str, str] = {}  # of networks, by their ids

    @cached_property
    def is_podman(self) -> bool:
        """Whether the engine is Podman, whose API differs from Docker's in places."""
        parts = self.api.version().get("Components") or []
        return any("podman" in str(part.get("Name")).lower() for part in parts)

    # life

    def _begin(self) -> None:
        image = self.tools_image()
        # the keeper is created before everything else: what has the label and no keeper is removed by other sessions
        self._keeper_id = self._create_keeper(image, "none")
        network = self._create_network(KEEPER)
        try:
            self.api.disconnect_container_from_network(self._keeper_id, "none")
            self.api.connect_container_to_network(self._keeper_id, network)
        except APIError:  # Podman connects no container that was created without a network
            first, self._keeper_id = self._keeper_id, self._create_keeper(image, network)
            self.api.remove_container(first, force=True, v=True)
        streams = {"stdin": 1, "stdout": 1, "stream": 1}
        self._keeper = ContainerConnection(self.api.attach_socket(self._keeper_id, params=streams))
        self.api.start(self._keeper_id)
        sweep(self.api, keep=self.id)

    def _create_keeper(self, image: str, network: str) -> str:
        host = self.api.create_host_config(
            auto_remove=True, network_mode=network, **_limits(memory="128m", processes=64)
        )
        files = {name: sessions.program(name) for name in ("beside.py", "serve.py")}
        return self._create_container(image, ["python3", "-B", "/course/beside.py"], host, files, KEEPER, stdin=True)

    def is_alive(self) -> bool:
        """Whether it is not over and its keeper still runs."""
        return not self.is_over and self._keeper is not None and self._is_running(self._keeper_id)

    def _remove(self) -> None:
        remove(self.api, f"{SESSION_LABEL}={self.id}")

    def _close(self) -> None:
        self.api.close()

    # the course's own containers

    def tools_image(self) -> str:
        """The id of the image in which the course's own programs run; it is pulled when it is not there.

        Raises:
            NotGradedHere: it cannot be had.
        """
        name = os.environ.get(TOOLS, DEFAULT_TOOLS)
        try:
            return str(self.api.inspect_image(name)["Id"])
        except NotFound:
            pass
        try:
            repository, _, tag = name.partition(":")
            self.api.pull(repository, tag=tag or "latest")
            return str(self.api.inspect_image(name)["Id"])
        except TROUBLE:
            not_graded_here(
                f"the image {name}, in which the grader's own programs run, is not here (docker pull {name})"
            )

    def _create_container(
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
            labels={**self.labels, ROLE_LABEL: role},
            user="65534:65534",
            entrypoint=[],
            environment={"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"},
            healthcheck={"test": ["NONE"]},
            host_config=host,
        )
        if stdin:  # a closed connection closes the input; the SDK has no argument for that
            config |= {"OpenStdin": True, "StdinOnce": True, "AttachStdin": True, "AttachStdout": True}
        container: str = self.api.create_container_from_config(config, None)["Id"]
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            folder = tarfile.TarInfo("course")
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(folder)
            for name, data in files.items():
                member = tarfile.TarInfo(f"course/{name}")
                member.size, member.mode = len(data), 0o644
                tar.addfile(member, io.BytesIO(data))
        self.api.put_archive(container, "/", archive.getvalue())
        return container

    # networks

    def _create_network(self, role: str) -> str:
        """A new network that leads nowhere, and not to this machine either, if the engine supports that."""
        name = f"course-{self.id}-{role}-{uuid.uuid4().hex[:6]}"
        options = {"com.docker.network.bridge.inhibit_ipv4": "true"}
        labels = {**self.labels, ROLE_LABEL: role}
        for tried in (options, None):  # Podman knows no such option
            try:
                network: str = self.api.create_network(
                    name, driver="bridge", internal=True, options=tried, labels=labels, check_duplicate=True
                )["Id"]
                self._names[network] = name
                return network
            except APIError:
                if tried is None:
                    raise
        raise AssertionError("unreachable")

    @contextlib.contextmanager
    def isolated_network(self, role: str) -> Iterator[str]:
        """A network that leads nowhere, for the time of a block."""
        network = self._create_network(role)
        try:
            yield network
        finally:
            self.remove_network(network)

    def join_network(self, role: str) -> str:
        """A network that leads nowhere, with the keeper on it; :meth:`remove_network` removes it."""
        network = self._create_network(role)
        self.api.connect_container_to_network(self._keeper_id, network)
        return network

    def remove_network(self, network: str) -> None:
        """Disconnect the containers on a network and remove it."""
        with contextlib.suppress(*TROUBLE):
            for member in list(self.api.inspect_network(network).get("Containers") or {}):
                with contextlib.suppress(*TROUBLE):
                    self.api.disconnect_container_from_network(member, network, force=True)
        with contextlib.suppress(*TROUBLE):
            self.api.remove_network(network)

    def proxy(self, network: str) -> str:
        """The address, on a network, of a proxy that leads to package indexes and to nothing else."""
        if self._proxy is None or not self._is_running(self._proxy):
            hosts = [host.strip() for host in os.environ.get(INDEXES, DEFAULT_INDEXES).split(",") if host.strip()]
            host = self.api.create_host_config(auto_remove=True, **_limits(memory="128m", processes=64))
            command = ["python3", "-B", "/course/index_proxy.py", str(PROXY_PORT), "7200", *hosts]
            files = {"index_proxy.py": sessions.program("index_proxy.py")}
            self._proxy = self._create_container(self.tools_image(), command, host, files, "proxy")
            self.api.start(self._proxy)
            sessions.wait_until(
                lambda: b"ready" in self.api.logs(self._proxy, tail=5), 15, "the start of the proxy to package indexes"
            )
        self.api.connect_container_to_network(self._proxy, network)
        return f"http://{self.address(self._proxy, network)}:{PROXY_PORT}"

    def address(self, container: str, network: str) -> str:
        """The IP address of a container on a network; an empty text when it has none."""
        joined = self.api.inspect_container(container)["NetworkSettings"]["Networks"]
        # by its name: the id of a network means nothing to Podman's containers
        return str((joined.get(self._names[network]) or {}).get("IPAddress", ""))

    def last_refused(self) -> str:
        """The last host to which the proxy refused a connection, or an empty text."""
        if self._proxy is None:
            return ""
        with contextlib.suppress(*TROUBLE):
            lines = self.api.logs(self._proxy, tail=20).decode(errors="replace").splitlines()
            return next((line.removeprefix("refused ") for line in reversed(lines) if line.startswith("refused")), "")
        return ""

    def _is_running(self, container: str) -> bool:
        try:
            return bool(self.api.inspect_container(container)["State"]["Running"])
        except TROUBLE:
            return False


class ContainerConnection(sessions.Connection):
    """A connection to the standard streams of a container on an engine.

    Args:
        attached: what the SDK's attach_socket or exec_start returns.
    """

    def __init__(self, attached: Any) -> None:
        super().__init__()
        self._attached, self._socket = attached, getattr(attached, "_sock", attached)

    def __enter__(self) -> ContainerConnection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it: the container's input ends."""
        response = getattr(self._attached, "_response", self._attached)
        for one in (self._socket, self._attached, response):
            with contextlib.suppress(Exception):
                one.close()

    def send(self, data: bytes, seconds: float) -> None:
        """Write to the standard input."""
        self._socket.settimeout(seconds)
        self._socket.sendall(data)

    def receive(self, deadline: float) -> bytes:
        """The next bytes of the standard output; none when the next frame is of the standard error."""
        stream, data = self._frame(deadline)
        return data if stream == 1 else b""

    def read(self, most: int, deadline: float) -> bytes:
        """Both streams until they end, but at most so many bytes, and only what comes before the deadline."""
        data = bytearray()
        with contextlib.suppress(OSError):
            while len(data) < most:
                data += self._frame(deadline)[1]
        return bytes(data[:most])

    def _frame(self, deadline: float) -> tuple[int, bytes]:
        """The stream and the data of the next frame: its header is 8 bytes, of which the last four are the length."""
        head = self._exactly(8, deadline)
        return head[0], self._exactly(int.from_bytes(head[4:], "big"), deadline)

    def _exactly(self, count: int, deadline: float) -> bytes:
        data = bytearray()
        while len(data) < count:
            self._socket.settimeout(max(0.05, deadline - time.monotonic()))
            chunk = self._socket.recv(min(count - len(data), 1 << 20))
            if not chunk:
                raise OSError("the stream ended")
            data += chunk
        return bytes(data)


def sweep(api: docker.APIClient, keep: str | None = None) -> None:
    """Remove what sessions left whose grader is gone. Only what carries the label is looked at.

    Args:
        api: the engine.
        keep: the id of a session that lives.
    """
    found: set[str] = set()
    for entries in (_containers, lambda api, **wanted: api.networks(**wanted), _images):
        found |= {_session_id(entry) for entry in entries(api, filters={"label": SESSION_LABEL})}
    sessions.sweep(found, lambda one: one in living(api), lambda one: remove(api, f"{SESSION_LABEL}={one}"), keep=keep)


def living(api: docker.APIClient) -> set[str]:
    """The ids of the sessions whose keeper runs, or may still start."""
    found = set()
    for one in _containers(api, filters={"label": f"{ROLE_LABEL}={KEEPER}"}):
        may_start = one["State"] == "created" and time.time() - one["Created"] < _START_S
        if one["State"] == "running" or may_start:
            found.add(_session_id(one))
    return found


def _session_id(entry: Mapping[str, Any]) -> str:
    return str((entry.get("Labels") or {}).get(SESSION_LABEL, ""))


def _containers(api: docker.APIClient, **wanted: Any) -> list[dict[str, Any]]:
    """Containers of an engine, including those that do not run."""
    found: list[dict[str, Any]] = api.containers(all=True, **wanted)
    return found


def _images(api: docker.APIClient, **wanted: Any) -> list[dict[str, Any]]:
    """Images of an engine, including those of single steps."""
    found: list[dict[str, Any]] = api.images(all=True, **wanted)
    return found


def remove(api: docker.APIClient, label: str) -> None:
    """Remove all containers, networks, volumes and images with a label; nothing else, and no base image."""
    wanted = {"label": label}
    for _ in range(3):
        for one in _containers(api, filters=wanted):
            with contextlib.suppress(*TROUBLE):
                api.remove_container(one["Id"], force=True, v=True)
        for network in api.networks(filters=wanted):
            with contextlib.suppress(*TROUBLE):
                for member in list(api.inspect_network(network["Id"]).get("Containers") or {}):
                    api.disconnect_container_from_network(member, network["Id"], force=True)
                api.remove_network(network["Id"])
        _remove_images(api, wanted)
        if not _containers(api, filters=wanted) and not _images(api, filters=wanted):
            return
        time.sleep(0.3)


def _remove_images(api: docker.APIClient, wanted: Mapping[str, str]) -> None:
    """Remove images; one from which others are made can be removed only after them."""
    for _ in range(100):
        removed = False
        for one in _images(api, filters=wanted):
            with contextlib.suppress(*TROUBLE):
                api.remove_image(one["Id"], force=True)
                removed = True
        if not removed:
            return


def _limits(*, memory: str, processes: int) -> dict[str, Any]:
    """What each of the course's own containers may use."""
    return {
        "mem_limit": memory,
        "memswap_limit": memory,
        "pids_limit": processes,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "log_config": {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "1"}},
    }
