"""Does a second build of the same context give the same image?"""

from course.checks import Question, fail, fixture
from course.checks.docker.contexts import Context, context
from course.checks.docker.images import Image, build

question = Question("The image, built again", points=2, deadline_s=660)
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
def it_is_built(made: Image) -> None:
    """it is built"""
