"""Does the record say which image was pushed, by id, digest, revision, layers and size?"""

import copy
from typing import Any

from course.checks import Module, Question, expect, fail, fixture, module
from course.checks.docker.contexts import context
from course.checks.docker.images import Image, built

question = Question("Which image is it?", points=5, deadline_s=420)
BASE: dict[str, Any] = {
    "Id": "sha256:" + "b0" * 32,
    "Size": 130_000_000,
    "Config": {"Labels": None},
    "RepoDigests": ["python@sha256:" + "b1" * 32],
    "RootFS": {"Type": "layers", "Layers": ["sha256:" + two * 32 for two in ("01", "02", "03")]},
}
PUSHED: dict[str, Any] = {
    "Id": "sha256:" + "c0" * 32,
    "Size": 294_512_345,
    "Config": {"Labels": {"org.opencontainers.image.revision": "77ab10e", "org.opencontainers.image.title": "x"}},
    "RepoDigests": [f"{place}/late-flights@sha256:{'d1' * 32}" for place in ("localhost:5000", "ghcr.io/late")],
    "RootFS": {"Type": "layers", "Layers": ["sha256:" + two * 32 for two in ("01", "02", "03", "0a", "0b")]},
}


@fixture
def shipped() -> Module:
    """The shipped module, called in a process of its own."""
    return module("record.py")


def record_of(shipped: Module, image: dict[str, Any] = PUSHED, base: dict[str, Any] = BASE) -> dict[str, Any]:
    record = shipped.record(copy.deepcopy(image), copy.deepcopy(base))
    if not isinstance(record, dict):
        fail("record() must return a dictionary", actual=record)
    return record


def expect_part(record: dict[str, Any], name: str, wanted: Any, hint: str | None = None) -> None:
    if name not in record:
        fail(f"the record lacks {name}", actual=", ".join(map(str, record)))
    expect(record[name], name).equals(wanted, hint=hint)


@fixture
def built_here() -> Image | None:
    """The student's own image; None where no engine answers, or no image comes of the context."""
    with question.progress("the record") as step:
        step("building the image")
        return built(context("image"), arguments={"REVISION": "4f2a9c1"})


def record_of_own(shipped: Module, image: Image) -> dict[str, Any]:
    """What record() returns of the student's own image, as this engine describes it."""
    base = image.base_details or {"Id": "", "Size": 0, "Config": {}, "RootFS": {"Layers": []}}
    return record_of(shipped, image.details, base)


@question.check(points=1)
def it_says_which_and_how_large(shipped: Module, built_here: Image | None) -> None:
    """it holds the id, the revision and the size, of a recorded image and of yours"""
    record = record_of(shipped)
    expect_part(record, "id", PUSHED["Id"])
    expect_part(record, "revision", "77ab10e")
    expect_part(record, "bytes", 294_512_345)
    if built_here:
        own = record_of_own(shipped, built_here)
        expect_part(own, "id", built_here.id)
        expect_part(own, "bytes", built_here.details["Size"])


@question.check(points=1)
def it_says_the_digest(shipped: Module) -> None:
    """it holds the digest, which is not the id"""
    expect_part(record_of(shipped), "digest", "sha256:" + "d1" * 32, hint="it stands in RepoDigests, behind the @")


@question.check(points=1)
def it_says_what_is_above_the_base(shipped: Module, built_here: Image | None) -> None:
    """it holds the layers above the base, and how much they are, of a recorded image and of yours"""
    record = record_of(shipped)
    expect_part(record, "layers", PUSHED["RootFS"]["Layers"][3:])
    expect_part(record, "added_bytes", 164_512_345)
    if built_here:
        expect_part(record_of_own(shipped, built_here), "layers", built_here.layers)
