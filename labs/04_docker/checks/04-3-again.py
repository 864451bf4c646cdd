"""The image, built again."""

from course.checks import Question, expect, fail
from course.checks.docker.contexts import context
from course.checks.docker.images import build

question = Question("The image, built again", points=2)
image = context("image")
ARGUMENTS = {"REVISION": "4f2a9c1"}


@question.check()
def it_is_built_from_its_arguments():
    """it is built, with the revision that the build was given"""
    labels = build(image, arguments=ARGUMENTS).labels
    expect(labels.get("org.opencontainers.image.revision"), "the label").equals(ARGUMENTS["REVISION"])
