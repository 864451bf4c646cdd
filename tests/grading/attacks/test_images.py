"""Attacks from a Dockerfile: images of this engine that are nobody's business, and builders of others."""

from __future__ import annotations

import io
import tarfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from course.checks.core.expectations import CheckFailed, NotGradedHere
from course.checks.docker import engines
from course.checks.docker.contexts import context
from course.checks.docker.images import build

pytestmark = [pytest.mark.engine, pytest.mark.timeout(240)]
SECRET = "canary-of-a-private-image"
BASE = "python:3.11-slim"


@pytest.fixture(scope="module")
def api() -> Iterator[docker.APIClient]:
    """The engine, asked behind the grader's back; this module's session with it ends afterwards."""
    client = docker.APIClient(base_url=engines.address(), version="auto", timeout=60)
    yield client
    engines.current.end()
    client.close()


@pytest.fixture(scope="module")
def private(api: docker.APIClient) -> Iterator[dict[str, str]]:
    """An image of this engine that holds a secret: its name, its id, and the beginning of its id."""
    name = f"private-{uuid.uuid4().hex[:8]}:1"
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path, data in {"Dockerfile": b"FROM scratch\nCOPY secret /\n", "secret": SECRET.encode()}.items():
            member = tarfile.TarInfo(path)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    archive.seek(0)
    for _ in api.build(fileobj=archive, custom_context=True, tag=name, rm=True):
        pass
    made = api.inspect_image(name)["Id"]
    yield {"NAME": name, "ID": made, "SHORT": made.removeprefix("sha256:")[:12], "BARE": made.removeprefix("sha256:")}
    api.remove_image(name, force=True)


WAYS = {
    "from it": "FROM NAME\nRUN cat /secret",
    "copied from it": "FROM python:3.11-slim\nCOPY --from=NAME /secret /\nRUN cat /secret",
    "copied from its id": "FROM python:3.11-slim\nCOPY --from=ID /secret /\nRUN cat /secret",
    "copied from the beginning of its id": "FROM python:3.11-slim\nCOPY --from=SHORT /secret /\nRUN cat /secret",
    "mounted": "FROM python:3.11-slim\nRUN --mount=type=bind,from=NAME,target=/x cat /x/secret",
    "by a variable": "ARG HIDDEN=NAME\nFROM ${HIDDEN}\nRUN cat /secret",
    "by two variables": "ARG A=NA\nARG B=${A:+NAME}\nFROM $B AS python\nFROM python\nRUN cat /secret",
    "as an early stage": "FROM NAME AS python\nFROM python:3.11-slim\nCOPY --from=python /secret /\nRUN cat /secret",
    "by a name that looks official": "FROM docker.io/library/NAME\nRUN cat /secret",
    "by a digest": "FROM python@ID\nRUN cat /secret",
    "by an id without its kind": "FROM BARE\nRUN cat /secret",
    "in small letters with a stage of that name": "FROM scratch AS one\nFROM python:3.11-slim\nCOPY --from=2 /secret /",
}


@pytest.mark.parametrize("way", WAYS)
def test_no_build_reads_another_image_of_the_engine(way, private, tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_SHIPPED", str(tmp_path))
    text = WAYS[way]
    for word, value in private.items():
        text = text.replace(word, value)
    Path(tmp_path, "image").mkdir()
    Path(tmp_path, "image", "Dockerfile").write_text(text + "\n")
    with pytest.raises((CheckFailed, NotGradedHere)) as caught:  # a made-up digest is looked for at Docker Hub
        build(context("image"))
    assert SECRET not in str(vars(caught.value))


def test_the_message_names_the_line_and_the_rule(private, tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_SHIPPED", str(tmp_path))
    Path(tmp_path, "image").mkdir()
    Path(tmp_path, "image", "Dockerfile").write_text(f"FROM {BASE}\nCOPY --from={private['NAME']} /secret /\n")
    with pytest.raises(CheckFailed, match=r"line 2 \(COPY --from=private") as caught:
        build(context("image"))
    assert "is not among the images that this course builds from" in caught.value.reason
    assert caught.value.expected == "an image of alpine, debian, python, ubuntu"
    assert "a rule of this course" in str(caught.value.hint)
