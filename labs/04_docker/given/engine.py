"""How the notebooks of this lab find a container engine, run their cells only where there is one, and tidy up.

%load_ext given.engine          # from now on, a cell that begins with %%engine runs only where an engine answers

client = connect("hello")       # a docker.DockerClient, or None
labels("hello")                 # for all that this notebook makes, so that tidy() finds it
tidy(client, "hello")           # remove all that has these labels
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
import shutil
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import docker
import requests
from docker.errors import APIError, BuildError, DockerException, NotFound
from docker.models.containers import Container

from course.checks.docker import engines

LAB = "course.lab"
NOTEBOOK = "course.notebook"
LIVE = "COURSE_LIVE"  # "off": the notebook's own cells use no engine, as when it is graded
MISSING = "No container engine answers, so this part is read, not run."
TROUBLE = (DockerException, requests.RequestException, OSError)
_found: dict[str, docker.DockerClient] = {}


def connect(notebook: str, *, quiet: bool = False) -> docker.DockerClient | None:
    """A client of the engine that this machine has, and a clean table: what an earlier run left is removed.

    The engine is that of DOCKER_HOST, of the docker command's context, or of a usual socket, Podman's among them.

    Args:
        notebook: a short name for the notebook, such as "hello".
        quiet: print nothing.

    Returns:
        The client, or None when no engine answers.
    """
    client = _client()
    if client is not None:
        tidy(client, notebook)
    if not quiet:
        print("An engine answers." if client else f"{MISSING}\nenv_setup/index.md says how to get an engine.")
    return client


def _client() -> docker.DockerClient | None:
    where = None if os.environ.get(LIVE) == "off" else engines.address()
    if where is None or not _listens(where):
        return None
    if where not in _found:
        try:
            client = docker.from_env(environment={**os.environ, "DOCKER_HOST": where}, timeout=60)
            client.ping()
        except TROUBLE:
            return None
        _found[where] = client
    return _found[where]


def _listens(where: str) -> bool:
    """Whether a local socket is there at all; the SDK takes long to find out, and says it in many lines."""
    return not where.startswith("unix://") or os.access(where.removeprefix("unix://"), os.R_OK | os.W_OK)


def labels(notebook: str) -> dict[str, str]:
    """The labels of all that a notebook makes: they tell it from what others make, and from other copies of the lab."""
    place = f"{platform.node()}:{Path.cwd()}"
    return {LAB: "04_docker", NOTEBOOK: f"{notebook}-{hashlib.sha256(place.encode()).hexdigest()[:8]}"}


def named(name: str) -> str:
    """A name for an image, a container or a network that no other copy of this lab has, such as "hello-5d41402a"."""
    return labels(name)[NOTEBOOK]


def tidy(client: docker.DockerClient | None, notebook: str) -> dict[str, int]:
    """Remove the containers, images, volumes and networks that have a notebook's labels.

    Args:
        client: what :func:`connect` gave.
        notebook: the name that it was given.

    Returns:
        How many there were of each kind.
    """
    if client is None:
        return {}
    mine = {"label": f"{NOTEBOOK}={labels(notebook)[NOTEBOOK]}"}
    containers = client.containers.list(all=True, filters=mine, ignore_removed=True)
    for container in containers:
        with contextlib.suppress(NotFound):
            container.remove(force=True, v=True)
    found = {"containers": len(containers), "images": 0, "volumes": 0, "networks": 0}
    while images := client.images.list(filters=mine):  # those on which others stand become free when those are gone
        removed = [image for image in images if _remove(client, image.id)]
        found["images"] += len(removed)
        if not removed:
            break
    for kind, things in (
        ("volumes", client.volumes.list(filters=mine)),
        ("networks", client.networks.list(filters=mine)),
    ):
        for thing in things:
            thing.remove()
        found[kind] = len(things)
    return found


def _remove(client: docker.DockerClient, image: str) -> bool:
    try:
        client.images.remove(image, force=True)
    except APIError:
        return False
    return True


@dataclass(frozen=True)
class Step:
    """One step of a build: its instruction, and whether the engine kept it from an earlier build."""

    instruction: str
    kept: bool


def build(
    client: docker.DockerClient, folder: str | Path, tag: str, notebook: str, arguments: dict[str, str] | None = None
) -> list[Step]:
    """Build an image of a folder, as `docker build --tag … folder` does, with a notebook's labels on each layer.

    Args:
        client: what :func:`connect` gave.
        folder: the build context, with its Dockerfile.
        tag: what to call the image.
        notebook: the name that :func:`connect` was given.
        arguments: values for the Dockerfile's ARGs, as `docker build --build-arg` gives them.

    Returns:
        The steps of the Dockerfile, in order.

    Raises:
        docker.errors.BuildError: a step failed; its message ends with what the step printed.
    """
    with tempfile.TemporaryDirectory() as place:
        context = shutil.copytree(folder, Path(place, "context"))
        marks = " ".join(f'{name}="{value}"' for name, value in labels(notebook).items())
        dockerfile = context / "Dockerfile"
        text = re.sub(r"(?im)^(\s*FROM\s.*)$", rf"\1\nLABEL {marks}", dockerfile.read_text(encoding="utf-8"))
        dockerfile.write_text(text, encoding="utf-8")
        said = client.api.build(path=str(context), tag=tag, buildargs=arguments, rm=True, forcerm=True, decode=True)
        return _steps(said)


def _steps(said: Any) -> list[Step]:
    steps: list[tuple[str, bool]] = []
    output: list[str] = []
    for message in said:
        text = str(message.get("stream") or "")
        output.append(text)
        if match := re.match(r"(?:Step|STEP) \d+/\d+ ?: (.*)", text):
            steps.append((match.group(1).strip(), match.group(1).startswith("FROM ")))
        elif "Using cache" in text and steps:
            steps[-1] = (steps[-1][0], True)
        if "error" in message:
            last = "".join(output).strip().splitlines()[-8:]
            raise BuildError("\n".join([*last, str(message["error"])]), [])
    return [Step(instruction, kept) for instruction, kept in steps if f"LABEL {LAB}=" not in instruction]


def url(container: Container, port: int = 8000, path: str = "/") -> str:
    """Where a port of a container is published, as a URL for this notebook.

    Args:
        container: it runs, and the port is published.
        port: the port inside the container.
        path: what to ask for.

    Raises:
        LookupError: the port is not published.
    """
    container.reload()
    published = (container.attrs["NetworkSettings"]["Ports"] or {}).get(f"{port}/tcp")
    if not published:
        raise LookupError(f"port {port} of the container is not published; start it with ports={{'{port}/tcp': …}}")
    there = urlparse(engines.address() or "")
    host = there.hostname if there.scheme in ("tcp", "http", "https", "ssh") else None
    return f"http://{host or '127.0.0.1'}:{published[0]['HostPort']}{path}"


def fetch(address: str, *, seconds: float = 30.0) -> str:
    """GET an address and return the answer's body; wait while nobody listens there yet.

    Args:
        address: such as what :func:`url` gives.
        seconds: how long to wait for somebody to listen.

    Raises:
        TimeoutError: nobody did.
        urllib.error.HTTPError: the answer has a status of 400 or above.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(address, timeout=seconds) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError:
            raise
        except OSError as error:
            if time.monotonic() > deadline:
                raise TimeoutError(f"nobody answered within {seconds:g} seconds ({error})") from None
            time.sleep(0.1)


def wait(done: Callable[[], Any], *, seconds: float = 30.0) -> Any:
    """Ask again and again until the answer is true, and return it.

    Raises:
        TimeoutError: it was not, in that time.
    """
    deadline = time.monotonic() + seconds
    while not (answer := done()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"it did not happen within {seconds:g} seconds")
        time.sleep(0.1)
    return answer


def _only_with_an_engine(lines: list[str]) -> list[str]:
    """Leave out the first line of a cell that begins with %%engine, or the whole cell where no engine answers."""
    if not lines or lines[0].split() != ["%%engine"]:
        return lines
    return lines[1:] if _client() is not None else [f"print({MISSING!r})\n"]


def load_ipython_extension(shell: Any) -> None:
    """Make a notebook understand %%engine."""
    steps = shell.input_transformers_cleanup
    steps[:] = [step for step in steps if getattr(step, "__name__", "") != _only_with_an_engine.__name__]
    steps.append(_only_with_an_engine)
