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


### BEGIN HIDDEN TESTS


@question.check(
    points=2,
    hidden=True,
    needs=it_is_built_from_its_arguments,
    hint="is every package named with its version? And what writes a time, or a random number, into a file?",
)
def a_second_build_gives_the_same(image: Context, made: Image) -> None:
    """a second build of the same context holds the same"""
    unnamed = set(made.packages()) - set(image.expect_pinned_requirements()) - {"pip", "setuptools", "wheel"}
    if unnamed or not made.packages():
        fail("what has no version in requirements.txt is another one tomorrow", actual=", ".join(sorted(unnamed)))
    with question.progress("the image") as step:
        step("building again")
        differences = made.differences(build(image, arguments=ARGUMENTS, again=True))
    if differences:
        fail("two builds differ", actual="; ".join(differences[:3]))


### END HIDDEN TESTS
