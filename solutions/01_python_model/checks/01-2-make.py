"""Does `make test` pass in a clean clone, and fail when the code is broken?"""

import re

from course.checks import Project, Question, expect, fail, fixture, project

question = Question("make test", points=5)


@fixture
def shipped() -> Project:
    """The shipped project."""
    return project("late-flights.bundle")


def make_test_fails_after(shipped: Project, change: str) -> None:
    """Fail the check unless `make test` fails with this code at the end of features.py."""
    if shipped.with_change("late_flights/features.py", change).make("test").ok:
        fail("the code was broken on purpose, and make test still passed")


@question.check(points=2)
def passes_in_a_clean_clone(shipped: Project) -> None:
    """make test passes in a clean clone, and runs three tests or more"""
    with question.progress("a clean clone") as step:
        step("make test")
        done = shipped.make("test")
        if not done.ok:
            shipped.make_fails(done, "test")
        if "passed" not in done.output:
            step("counting the tests")
            done = shipped.run(["python", "-m", "pytest", "-q"], folder=shipped.checkout())
    passed = re.findall(r"(?<!\d)(\d{1,9}) passed", done.output)
    expect(int(passed[-1]) if passed else 0, "the number of tests that passed").is_at_least(3)


@question.check(
    points=1,
    needs=passes_in_a_clean_clone,
    hint="is there a test of day_of_week, and is its comparison behind an assert?",
)
def notices_another_monday(shipped: Project) -> None:
    """it fails when the week no longer begins on Monday"""
    with question.progress("a broken version") as step:
        step("make test, with Monday as 1")
        make_test_fails_after(
            shipped,
            """
_add_calendar = add_calendar

def add_calendar(*flights, **options):
    made = _add_calendar(*flights, **options).copy()
    made["day_of_week"] = (made["day_of_week"] + 1) % 7
    return made
""",
        )


### BEGIN HIDDEN TESTS
@question.check(
    points=1, needs=passes_in_a_clean_clone, hidden=True, hint="test is_late right at 15 minutes, not only far from it"
)
def notices_another_threshold(shipped: Project) -> None:
    """it fails when a delay of exactly 15 minutes no longer counts as late"""
    with question.progress("a broken version") as step:
        step("make test, once more")
        make_test_fails_after(
            shipped,
            """
_is_late = is_late

def is_late(flights, *minutes, **options):
    shifted = flights.assign(arr_delay=flights["arr_delay"] - 0.5)
    return _is_late(shifted, *minutes, **options)
""",
        )


@question.check(
    points=1, needs=passes_in_a_clean_clone, hidden=True, hint="how does make know that test is not the name of a file?"
)
def test_is_no_file(shipped: Project) -> None:
    """make test runs the tests although there is a file called test"""
    folder = shipped.checkout()
    shipped.run(["sh", "-c", "test -e test || echo a file > test"], folder=folder)
    done = shipped.make("--dry-run", "test", folder=folder)
    if not done.ok or "up to date" in done.output:
        fail("make would not run the tests")


### END HIDDEN TESTS
