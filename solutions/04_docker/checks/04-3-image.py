"""Is the built image small, labelled, of the right versions and free of secrets?"""

from typing import Any

from packaging.utils import canonicalize_name

from course.checks import Question, expect, fail, fixture
from course.checks.docker.contexts import Context, context
from course.checks.docker.images import Image, build
from course.checks.http.contracts import ArtifactModel

question = Question("The image, as it is built", points=9)
REVISION = "4f2a9c1"


@fixture
def image() -> Context:
    """The shipped context."""
    return context("image")


@fixture
def made(image: Context) -> Image:
    """The image, built once."""
    with question.progress("the image") as step:
        step("building")
        return build(image, arguments={"REVISION": REVISION})


@fixture
def trained() -> dict[str, Any]:
    """The versions with which the model was trained."""
    versions: dict[str, Any] = ArtifactModel("image/artifact").json("versions.json")
    return versions


@question.check(points=2)
def it_says_its_revision(made: Image) -> None:
    """it is built, and its label holds the revision that was given to the build"""
    expect(made.labels.get("org.opencontainers.image.revision"), "the label org.opencontainers.image.revision").equals(
        REVISION, hint="ARG REVISION stands in the last stage, above the LABEL that uses it"
    )


@question.check(points=3)
def it_is_small(made: Image) -> None:
    """it adds no more than 350 MB to its base"""
    if made.added > 350e6:
        largest = max(made.own_history, key=lambda step: int(step.get("Size") or 0), default={})
        fail(
            "it is too large",
            expected="at most 350 MB above its base, all files of all its layers together",
            actual=f"{made.added / 1e6:.0f} MB; most by {str(largest.get('CreatedBy'))[:120]!r}",
            hint="which packages does nobody import? Is anything kept that only the build needed?",
        )


@question.check(points=2)
def python_and_libraries_are_those_of_the_training(trained: dict[str, Any], made: Image) -> None:
    """inside are the Python and the libraries with which the model was trained"""
    inside = made.packages()
    if not inside:
        fail("no Python packages are installed above the base", hint="RUN pip install -r requirements.txt")
    expect(made.python(), "the Python of the image").equals(
        ".".join(str(trained.get("python")).split(".")[:2]), hint="the tag of the base image says which Python it has"
    )
    for name, version in trained.get("packages", trained).items():
        if (name := canonicalize_name(str(name))) in inside:
            expect(inside[name], f"the installed version of {name}").equals(str(version))


@question.check(points=1)
def no_layer_holds_a_secret(made: Image) -> None:
    """neither its history nor any layer holds a secret"""
    if not made.packages():
        fail("no Python packages are installed above the base yet, so there is nothing to look through")
    made.expect_no_secrets()


### BEGIN HIDDEN TESTS


@question.check(
    points=1,
    hidden=True,
    hint="pip freeze, run in the image, prints all that is installed; requirements.txt names all of it",
)
def nothing_is_installed_unnamed(image: Context, made: Image) -> None:
    """all that is installed is named in requirements.txt"""
    inside = made.packages()
    unnamed = set(inside) - set(image.expect_pinned_requirements()) - {"pip", "setuptools", "wheel"}
    if unnamed or not inside:
        fail("installed, and not named", actual=", ".join(sorted(unnamed)))


### END HIDDEN TESTS
