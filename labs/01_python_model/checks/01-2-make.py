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
