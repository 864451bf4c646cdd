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


### BEGIN HIDDEN TESTS


@question.check(
    points=2,
    hidden=True,
    needs=it_is_built,
    hint="what writes a time, or a random number, into a file? And is every package named with its version?",
)
def a_second_build_gives_the_same(image: Context, made: Image) -> None:
    """a second build of the same context holds the same"""
    if not made.packages():
        fail("no Python packages are installed above the base, so there is nothing to compare")
    with question.progress("the image") as step:
        step("building again")
        differences = made.differences(build(image, arguments=ARGUMENTS, again=True))
    if differences:
        fail("two builds differ", actual="; ".join(differences[:3]))


### END HIDDEN TESTS
