"""Does the function split the name of an image into registry, repository, tag and digest, as Docker does?"""

from course.checks import Module, Question, expect, fixture, module

question = Question("What does a name say?", points=5)
DIGEST = "sha256:" + "0a1b2c3d" * 8


@fixture
def references() -> Module:
    """The shipped module, called in a process of its own."""
    return module("references.py")


def expect_parts(
    references: Module, reference: str, registry: str, repository: str, tag: str | None, digest: str | None = None
) -> None:
    """parse() gives these parts."""
    wanted = {"registry": registry, "repository": repository, "tag": tag, "digest": digest}
    expect(references.parse(reference), f"parse({reference!r})").equals(wanted)


@question.check(points=1)
def short_names_are_filled_in(references: Module) -> None:
    """short names are filled in as Docker does it"""
    expect_parts(references, "python", "docker.io", "library/python", "latest")
    expect_parts(references, "python:3.11-slim", "docker.io", "library/python", "3.11-slim")
    expect_parts(references, "late/board:2", "docker.io", "late/board", "2")


@question.check(points=2)
def a_registry_is_told_from_a_repository(references: Module) -> None:
    """a registry is distinguished from a repository, with its port"""
    expect_parts(references, "ghcr.io/late/board:2", "ghcr.io", "late/board", "2")
    expect_parts(references, "localhost:5000/board", "localhost:5000", "board", "latest")
    expect_parts(references, "registry:5000/late/board:1.0.0", "registry:5000", "late/board", "1.0.0")


@question.check(points=1)
def a_digest_is_kept(references: Module) -> None:
    """a digest is kept, and no tag is added to it"""
    expect_parts(references, f"python@{DIGEST}", "docker.io", "library/python", None, DIGEST)
    expect_parts(references, f"python:3.11-slim@{DIGEST}", "docker.io", "library/python", "3.11-slim", DIGEST)
