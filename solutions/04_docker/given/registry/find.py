"""How the notebook on registries finds one: the one that COURSE_REGISTRY names, or a container of its own.

registry = find.registry(client, "registry")     # what connect() gave, and the name that it was given
registry.address                                 # what stands before the first slash of an image's name
registry.get("/v2/late-flights/tags/list")       # what it answers over HTTP
"""

from __future__ import annotations

import atexit
import contextlib
import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from urllib.parse import urlparse

import docker
from docker.errors import ImageNotFound
from given import engine

SETTING = "COURSE_REGISTRY"
BASE = "python:3.11-slim"
USUAL = "registry:2"
ACCEPT = ", ".join(
    f"application/vnd.{kind}+json" for kind in ("docker.distribution.manifest.v2", "oci.image.manifest.v1")
)


@dataclass(frozen=True)
class Registry:
    """A registry that answers.

    Attributes:
        address: what stands before the name of a repository, such as "localhost:5000" or "example.com/team".
        url: where it answers over HTTP.
    """

    address: str
    url: str

    def get(self, path: str) -> tuple[bytes, Message]:
        """What it answers to a GET: the body, and the headers.

        Raises:
            urllib.error.HTTPError: it refuses; 401 when it wants to know who asks, as those in a cloud do.
        """
        request = urllib.request.Request(self.url + path, headers={"Accept": ACCEPT})
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.read(), answer.headers


def registry(client: docker.DockerClient | None, notebook: str) -> Registry | None:
    """The registry that COURSE_REGISTRY names, or a container of this notebook's own; None without an engine."""
    if client is None:
        return None
    atexit.register(_tidy, client, notebook)  # also where nobody runs the notebook to its end
    named = os.environ.get(SETTING, "").strip().strip("/")
    found = _named(named) if named else _own(client, notebook)
    print("A registry answers.")
    return found


def _tidy(client: docker.DockerClient, notebook: str) -> None:
    with contextlib.suppress(*engine.TROUBLE):
        engine.tidy(client, notebook)


def _named(address: str) -> Registry:
    host = address.partition("/")[0]
    scheme = "http" if urlparse(f"//{host}").hostname in ("localhost", "127.0.0.1", "::1") else "https"
    found = Registry(address, f"{scheme}://{host}")
    try:
        found.get("/v2/")
    except urllib.error.HTTPError as refusal:
        if refusal.code not in (401, 403):  # it answers, and wants to know who asks
            raise
    return found


def _own(client: docker.DockerClient, notebook: str) -> Registry:
    """Start one: the usual registry where its image is here, else the small one beside this file."""
    try:
        client.images.get(USUAL)
        image, command = USUAL, None
    except ImageNotFound:
        program = Path(__file__).with_name("small.py").read_text(encoding="utf-8")
        image, command = BASE, ["python", "-u", "-c", program, "5000"]
    container = client.containers.run(
        image,
        command,
        name=engine.named(notebook),
        labels=engine.labels(notebook),
        ports={"5000/tcp": ("127.0.0.1", None)},
        detach=True,
    )
    url = engine.url(container, 5000, "")
    engine.fetch(f"{url}/v2/")
    return Registry(f"localhost:{urlparse(url).port}", url)
