"""Does a second build of the same context give the same image?"""

from course.checks import Question, expect, fail, fixture
from course.checks.docker.contexts import Context, context
from course.checks.docker.images import Image, build

question = Question("The image, built again", points=2)
ARGUMENTS = {"REVISION": "4f2a9c1"}


@fixture
def image() -> Context:
    """The shipped context."""
    return context("image")


@fixture
def made(image: Context) -> Image:
    """The image, built once."""
    return build(image, arguments=ARGUMENTS)


@question.check()
def it_is_built_from_its_arguments(made: Image) -> None:
    """it is built, with the revision that the build was given"""
    expect(made.labels.get("org.opencontainers.image.revision"), "the label").equals(ARGUMENTS["REVISION"])
