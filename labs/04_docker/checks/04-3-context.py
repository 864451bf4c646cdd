"""Does the build context of the service hold what an image needs: pinned, cached, not root, small, free of secrets?

Where an engine answers, most checks also look at the image that comes of it; elsewhere they read the text alone.
"""

import contextlib
from collections.abc import Iterator

from packaging.utils import canonicalize_name

from course.checks import Question, expect, fail, fixture
from course.checks.docker.containers import Container, run
from course.checks.docker.contexts import Context, context
from course.checks.docker.images import built, expect_cached
from course.checks.http.contracts import ArtifactModel

question = Question("The context", points=13, deadline_s=420)
ARGUMENTS = {"REVISION": "4f2a9c1"}


@fixture
def image() -> Context:
    """The shipped context."""
    return context("image")


@fixture
def made(image: Context) -> Iterator[Container | None]:
    """A container of the image; None where no engine answers or no image comes of the context."""
    with question.progress("the image") as step:
        step("building")
        found = built(image, arguments=ARGUMENTS)
    if found is None:
        yield None
    else:
        with contextlib.closing(run(found, port=8000, start=45)) as container:
            yield container


@question.check(points=2)
def the_libraries_are_those_of_the_training(image: Context) -> None:
    """requirements.txt pins every package, in the version with which the model was trained"""
    pinned = image.expect_pinned_requirements()
    recorded = ArtifactModel("image/artifact").json("versions.json")
    packages = recorded.get("packages", recorded) if isinstance(recorded, dict) else {}
    packages = packages if isinstance(packages, dict) else {}
    trained: dict[str, str] = {canonicalize_name(str(name)): str(version) for name, version in packages.items()}
    for name in sorted(set(pinned) & set(trained)):
        expect(pinned[name], f"the version of {name}").equals(
            trained[name], hint="image/artifact/versions.json records with which the model was trained"
        )
    if not {"onnxruntime", "scikit-learn", "skops"} & set(pinned):
        fail("requirements.txt names no library that opens a model", expected="onnxruntime, scikit-learn or skops")


@question.check(points=2)
def a_change_of_the_code_installs_nothing_again(image: Context) -> None:
    """dependencies are installed before the code is copied"""
    image.expect("cached dependencies")
    expect_cached(image, arguments=ARGUMENTS)


@question.check(points=1)
def each_version_is_named(image: Context) -> None:
    """what a RUN installs has a fixed version"""
    image.expect("pinned installs")


@question.check(points=1)
def the_base_is_pinned(image: Context) -> None:
    """the base image has a version that is not "latest\""""
    image.expect("pinned base")


@question.check(points=1)
def it_is_not_root(image: Context, made: Container | None) -> None:
    """the service does not run as root"""
    image.expect("non-root")
    if made and made.starts() and 0 in made.users():
        fail("in a container of the image, a process is root's")


@question.check(points=1)
def its_user_is_a_number(image: Context, made: Container | None) -> None:
    """its user is a number, as Kubernetes requires"""
    image.expect("numeric user")
    user = str(made.image.config.get("User") or "") if made else "0"
    if not user.partition(":")[0].isdigit():
        fail("the image's user must be a number", expected="a number such as 10001", actual=repr(user))


@question.check(points=1)
def signals_reach_the_server(image: Context, made: Container | None) -> None:
    """the server is started directly, as a list, and not by a shell"""
    image.expect("exec form")
    if made and made.starts():
        made.expect_no_shell_first()


@question.check(points=1)
def it_says_how_its_health_is_found_out(image: Context, made: Container | None) -> None:
    """there is a health check"""
    image.expect("health check")
    if made and not (made.image.config.get("Healthcheck") or {}).get("Test"):
        fail("the image has no health check", hint="HEALTHCHECK stands in the last stage")


@question.check(points=2)
def nothing_is_secret_unsafe_or_untidy(image: Context) -> None:
    """no secrets, no unseen downloads, nothing untidy, nothing that the linter warns of"""
    for rule in ("no secrets", "safe downloads", "reachable", "tidy layers", "copies"):
        image.expect(rule)
    findings = image.lint(ignore=["DL3008", "DL3013", "DL3018", "DL3025", "DL3042"])  # other checks see to those
    if findings:
        fail(
            f"{findings[0]}",
            hint=f"the rule is explained at https://github.com/hadolint/hadolint/wiki/{findings[0].rule}",
        )


@question.check(points=1)
def only_what_is_needed_is_sent(image: Context) -> None:
    """.dockerignore keeps out what no image needs, and what is sent is small"""
    image.expect_kept_out()
    image.expect_small(5)
