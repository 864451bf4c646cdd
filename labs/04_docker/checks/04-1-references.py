"""What does a name say?."""

from course.checks import Question, expect, fail, module

question = Question("What does a name say?", points=5)
references = module("references.py")
DIGEST = "sha256:" + "0a1b2c3d" * 8


def expect_parts(reference, registry, repository, tag, digest=None):
    """parse() gives these parts."""
    wanted = {"registry": registry, "repository": repository, "tag": tag, "digest": digest}
    expect(references.parse(reference), f"parse({reference!r})").equals(wanted)


@question.check(points=1)
def short_names_are_filled_in():
    """short names are filled in as Docker does it"""
    expect_parts("python", "docker.io", "library/python", "latest")
    expect_parts("python:3.11-slim", "docker.io", "library/python", "3.11-slim")
    expect_parts("late/board:2", "docker.io", "late/board", "2")


@question.check(points=2, needs=short_names_are_filled_in)
def a_registry_is_told_from_a_repository():
    """a registry is told from a repository, with its port"""
    expect_parts("ghcr.io/late/board:2", "ghcr.io", "late/board", "2")
    expect_parts("localhost:5000/board", "localhost:5000", "board", "latest")
    expect_parts("registry:5000/late/board:1.0.0", "registry:5000", "late/board", "1.0.0")


@question.check(points=1, needs=short_names_are_filled_in)
def a_digest_is_kept():
    """a digest is kept, and no tag invented beside it"""
    expect_parts(f"python@{DIGEST}", "docker.io", "library/python", None, DIGEST)
    expect_parts(f"python:3.11-slim@{DIGEST}", "docker.io", "library/python", "3.11-slim", DIGEST)
