"""Does the shipped workflow release on a tag only, with little power, pinned actions and no secret in a log?"""

from course.checks import Question, fixture
from course.checks.files.workflows import Workflow, workflow

question = Question("A release on a public CI", points=3)


@fixture
def release() -> Workflow:
    """The shipped workflow."""
    return workflow("release.yml")


@question.check(points=1)
def a_tag_starts_make_release(release: Workflow) -> None:
    """a push of a tag v… runs make release, and no code of strangers starts it"""
    release.must_start_with("v")
    release.must_run("make release")


### BEGIN HIDDEN TESTS
@question.check(points=1, hidden=True, hint="what may the token do, and who may change the code that you run?")
def it_has_little_power_and_runs_known_code(release: Workflow) -> None:
    """each job has the least permissions, and each action is pinned by its digest"""
    release.must_have_least_permissions()
    release.must_pin_actions()


@question.check(
    points=1,
    hidden=True,
    needs=a_tag_starts_make_release,
    hint="what stands in the script after each ${{ … }} was replaced, and what does the script print?",
)
def no_secret_is_in_a_log(release: Workflow) -> None:
    """scripts hold no expressions, and print no secret"""
    release.must_keep_secrets()


### END HIDDEN TESTS
