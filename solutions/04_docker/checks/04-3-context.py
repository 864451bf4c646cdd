"""Does the build context of the service read well: pinned, cached, not root, small and free of secrets?"""

from packaging.utils import canonicalize_name

from course.checks import Question, expect, fail, fixture
from course.checks.docker.contexts import Context, context
from course.checks.http.contracts import Artifact

question = Question("The context, as it reads", points=13)


@fixture
def image() -> Context:
    """The shipped context."""
    return context("image")


@question.check(points=2)
def the_libraries_are_those_of_the_training(image: Context) -> None:
    """requirements.txt pins every package, in the version with which the model was trained"""
    pinned = image.expect_pinned_requirements()
    said = Artifact("image/artifact").json("versions.json")
    packages = said.get("packages", said) if isinstance(said, dict) else {}
    trained: dict[str, str] = {canonicalize_name(str(name)): str(version) for name, version in packages.items()}
    for name in sorted(set(pinned) & set(trained)):
        expect(pinned[name], f"the version of {name}").equals(
            trained[name], hint="image/artifact/versions.json says with which the model was trained"
        )
    if not {"onnxruntime", "scikit-learn", "skops"} & set(pinned):
        fail("requirements.txt names no library that opens a model", expected="onnxruntime, scikit-learn or skops")


@question.check(points=2)
def a_change_of_the_code_installs_nothing_again(image: Context) -> None:
    """dependencies are installed before the code is copied, each in a fixed version"""
    image.expect("cached dependencies")
    image.expect("pinned installs")


@question.check(points=1, needs=a_change_of_the_code_installs_nothing_again)
def the_base_is_pinned(image: Context) -> None:
    """the base image has a version that is not "latest\""""
    image.expect("pinned base")


@question.check(points=2)
def it_is_not_root(image: Context) -> None:
    """the service does not run as root"""
    image.expect("non-root")


@question.check(points=2)
def signals_reach_the_server(image: Context) -> None:
    """the server is started directly, and not by a shell"""
    image.expect("exec form")


@question.check(points=1)
def it_says_how_its_health_is_found_out(image: Context) -> None:
    """there is a health check"""
    image.expect("health check")


@question.check(points=2, needs=a_change_of_the_code_installs_nothing_again)
def nothing_is_secret_unsafe_or_untidy(image: Context) -> None:
    """no secrets, no unseen downloads, nothing untidy, nothing that the linter warns of"""
    for rule in ("no secrets", "safe downloads", "tidy layers", "copies"):
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
