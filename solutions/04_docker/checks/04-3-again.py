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


### BEGIN HIDDEN TESTS


@question.check(
    points=2,
    hidden=True,
    needs=it_is_built_from_its_arguments,
    hint="is every package named with its version? And what writes a time, or a random number, into a file?",
)
def a_second_build_gives_the_same():
    """a second build of the same context holds the same"""
    first = build(image, arguments=ARGUMENTS)
    unnamed = set(first.packages()) - set(image.expect_pinned_requirements()) - {"pip", "setuptools", "wheel"}
    if unnamed or not first.packages():
        fail("what has no version in requirements.txt is another one tomorrow", actual=", ".join(sorted(unnamed)))
    with question.progress("the image") as step:
        step("building again")
        differences = first.differences(build(image, arguments=ARGUMENTS, again=True))
    if differences:
        fail("two builds differ", actual="; ".join(differences[:3]))


### END HIDDEN TESTS
