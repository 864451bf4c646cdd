"""The registry of the course, from which the nodes of a cluster pull the images that grading runs.

Its address is COURSE_REGISTRY, by default that of a local registry. The container engine pushes; names are pinned to
digests, so that what runs is what was looked at.
"""

from __future__ import annotations

import contextlib
import os
import re
from typing import Any

import docker
import requests

from course.checks.core.expectations import not_graded_here
from course.checks.docker import engines

REGISTRY = "COURSE_REGISTRY"
DEFAULT_REGISTRY = "localhost:5001"
_MANIFESTS = ", ".join(
    f"application/vnd.{name}+json"
    for name in (
        "oci.image.index.v1",
        "oci.image.manifest.v1",
        "docker.distribution.manifest.list.v2",
        "docker.distribution.manifest.v2",
    )
)
_NAME = re.compile(
    r"(?P<repository>[a-z0-9][\w./:-]{0,250}?)(?::(?P<tag>[\w][\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def address() -> str:
    """The registry's address, with the folder in it when there is one: "localhost:5001", "example.com/course"."""
    return os.environ.get(REGISTRY, "").strip().rstrip("/") or DEFAULT_REGISTRY


def split(name: str) -> tuple[str, str, str]:
    """Repository, tag and digest of an image's name; each empty where it has none.

    Raises:
        ValueError: it is not the name of an image.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise ValueError(f"{name[:100]!r} is not the name of an image")
    return match["repository"], match["tag"] or "", match["digest"] or ""


def is_ours(name: str) -> bool:
    """Whether an image's name is one in the registry of the course."""
    return name.startswith(f"{address()}/")


def digest(name: str) -> str | None:
    """The current digest of a name in the registry of the course; an empty text when the registry does not have it.

    Returns:
        None when the registry does not answer, or refuses the request.
    """
    repository, tag, known = split(name)
    if known:
        return known
    host, _, path = repository.partition("/")
    scheme = "http" if re.match(r"(?:localhost|127\.[\d.]+|\[::1\])(?::|$)", host) else "https"
    try:
        url = f"{scheme}://{host}/v2/{path}/manifests/{tag or 'latest'}"
        with requests.head(url, headers={"Accept": _MANIFESTS}, timeout=10, allow_redirects=False) as answer:
            if answer.status_code == 404:
                return ""
            found = answer.headers.get("Docker-Content-Digest", "")
            return found if answer.status_code == 200 and _DIGEST.fullmatch(found) else None
    except (requests.RequestException, OSError):
        return None


def push(api: docker.APIClient, image: str, name: str) -> str:
    """Push an image of the engine under a name in the registry; returns that name, pinned to its digest.

    Raises:
        NotGradedHere: it cannot be pushed.
    """
    repository, tag, _ = split(name)
    try:
        api.tag(image, repository, tag=tag)
        try:
            lines: list[dict[str, Any]] = list(api.push(repository, tag=tag, stream=True, decode=True))
        finally:
            with contextlib.suppress(*engines.TROUBLE):
                api.remove_image(name, noprune=True)  # the name alone: the image has another
    except engines.TROUBLE as error:
        not_graded_here(f"no image can be pushed to {address()}: {engines.plain_message(error)}")
    if refusal := next((line["error"] for line in lines if "error" in line), None):
        not_graded_here(f"no image can be pushed to {address()}: {' '.join(str(refusal).split())[:200]}")
    found = next((line["aux"]["Digest"] for line in lines if "Digest" in (line.get("aux") or {})), None)
    return f"{repository}@{found}" if found else name
