"""Does `make test` pass in a clean clone, and fail when the code is broken?"""

import random
import re

from course.checks import Project, Question, expect, fail, fixture, project
from course.checks.core.processes import Completed

question = Question("make test", points=5)
PYTEST = ["python", "-m", "pytest", "-q"]
MONDAY = """
_add_calendar = add_calendar

def add_calendar(*flights, **options):
    made = _add_calendar(*flights, **options).copy()
    made["day_of_week"] = (made["day_of_week"] + {days}) % 7
    return made
"""


@fixture
def shipped() -> Project:
    """The shipped project; what is wrong with its pyproject.toml is reported elsewhere."""
    return project("late-flights.bundle", helped=True)


@fixture
def tested(shipped: Project) -> Completed:
    """`make test` in a clean clone."""
    with question.progress("a clean clone") as step:
        step("make test")
        return shipped.make("test")


@fixture
def command(shipped: Project) -> list[str]:
    """What runs the tests: `make test`, or pytest where make has no such target, which another check reports."""
    return ["make", "test"] if shipped.plan("test").ok else PYTEST


def tests_tell_apart(shipped: Project, command: list[str], broken: str, harmless: str) -> None:
    """Fail the check unless the tests fail with the one code at the end of features.py, and pass with the other.

    Both are committed, and differ in what the functions do and in nothing else.
    """
    changes = [(broken, False), (harmless, True)]
    random.SystemRandom().shuffle(changes)
    for code, passes in changes:
        ok = shipped.with_change("late_flights/features.py", code).run(command).ok
        if ok and not passes:
            fail(f"the code was broken on purpose, and {' '.join(command)} still passed")
        if passes and not ok:
            fail(
                f"features.py was changed so that it does the same in other words, and {' '.join(command)} failed",
                hint="a test looks at what the functions return, not at their text or at whether git has seen a change",
            )


@question.check(points=1)
def passes_in_a_clean_clone(shipped: Project, tested: Completed) -> None:
    """make test passes in a clean clone"""
    if not tested.ok:
        shipped.make_fails(tested, "test")


@question.check(points=1)
def runs_three_tests(shipped: Project, tested: Completed) -> None:
    """three tests or more pass there"""
    done = tested
    if "passed" not in done.output:
        with question.progress("a clean clone") as step:
            step("counting the tests")
            done = shipped.run(PYTEST, folder=shipped.checkout())
    passed = re.findall(r"(?<!\d)(\d{1,9}) passed", done.output)
    expect(int(passed[-1]) if passed else 0, "the number of tests that passed").is_at_least(3)


@question.check(
    points=1,
    needs=runs_three_tests,
    hint="is there a test of day_of_week, and is its comparison behind an assert?",
)
def notices_another_monday(shipped: Project, command: list[str]) -> None:
    """it fails when the week no longer begins on Monday"""
    with question.progress("a broken version") as step:
        step("make test, with Monday as 1")
        tests_tell_apart(shipped, command, MONDAY.format(days=1), MONDAY.format(days=7))


### BEGIN HIDDEN TESTS
THRESHOLD = """
_is_late = is_late

def is_late(flights, *minutes, **options):
    shifted = flights.assign(arr_delay=flights["arr_delay"] - {minutes})
    return _is_late(shifted, *minutes, **options)
"""


@question.check(
    points=1, needs=runs_three_tests, hidden=True, hint="test is_late right at 15 minutes, not only far from it"
)
def notices_another_threshold(shipped: Project, command: list[str]) -> None:
    """it fails when a delay of exactly 15 minutes no longer counts as late"""
    with question.progress("a broken version") as step:
        step("make test, once more")
        tests_tell_apart(shipped, command, THRESHOLD.format(minutes=0.5), THRESHOLD.format(minutes=0.0))


@question.check(points=1, hidden=True, hint="how does make know that test is not the name of a file?")
def test_is_no_file(shipped: Project) -> None:
    """make test runs the tests although there is a file called test"""
    folder = shipped.checkout()
    shipped.run(["sh", "-c", "test -e test || echo a file > test"], folder=folder)
    done = shipped.make("--dry-run", "test", folder=folder)
    if not done.ok or "up to date" in done.output or "Nothing to be done" in done.output:
        fail("make would not run the tests")


### END HIDDEN TESTS
