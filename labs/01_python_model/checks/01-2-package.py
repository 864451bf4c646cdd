"""Does the project build and install as a package, and do its two functions do what they promise?"""

from typing import Any

from course.checks import CheckFailed, Project, Question, expect, fail, fixture, project

question = Question("A package that installs", points=8)
FLIGHTS = """
import pandas as pd
from late_flights.features import add_calendar, is_late

def plan(*times):
    planned = pd.to_datetime(list(times)).tz_localize("America/New_York")
    return pd.DataFrame({"carrier": "UA", "planned_departure": planned}, index=range(40, 40 + len(times)))

def delays(*minutes):
    return pd.DataFrame({"carrier": "UA", "arr_delay": pd.Series(minutes, dtype=float)})
"""


@fixture
def shipped() -> Project:
    """The shipped project."""
    return project("late-flights.bundle")


@fixture
def usable(shipped: Project) -> Project:
    """The shipped project; where it cannot be imported as it is declared, with help: two checks speak of that."""
    try:
        can_be_imported(shipped)
    except CheckFailed:
        return project("late-flights.bundle", helped=True)
    return shipped


def calendar(shipped: Project, *times: str) -> dict[str, list[Any]]:
    """The columns of what add_calendar() returns for flights planned at these times."""
    code = f"made = add_calendar(plan(*{times!r}))\nanswer = dict(made) if isinstance(made, pd.DataFrame) else None"
    made: dict[str, list[Any]] | None = shipped.evaluate(FLIGHTS + code)
    if made is None:
        fail("add_calendar() does not return a DataFrame", hint="a function gives its result with return")
    expect(made, "the table").contains("day_of_week", "minute_of_day", "month")
    return made


def late(shipped: Project, arguments: str) -> list[bool | None]:
    """What is_late() returns: True, False or None a flight."""
    code = f"made = is_late({arguments})\nanswer = None if made is None else list(made)"
    made = shipped.evaluate(FLIGHTS + code)
    if made is None:
        fail("is_late() returns nothing", hint="a function gives its result with return")
    return [None if value is None else bool(value) for value in made]


@question.check(points=2)
def builds_and_installs(shipped: Project) -> None:
    """it builds and installs in a clean environment"""
    with question.progress("a clean environment") as step:
        step("building the package and installing it")
        shipped.install()
    hint = "it is the key name in the table [project] of pyproject.toml"
    expect(shipped.built_name, "the name of the package").equals("late-flights", hint=hint)


@question.check(points=1)
def can_be_imported(shipped: Project) -> None:
    """late_flights.features can be imported there, with nothing but what you declared"""
    shipped.evaluate("from late_flights.features import add_calendar, is_late")


@question.check(points=1)
def adds_the_calendar(usable: Project) -> None:
    """add_calendar adds day_of_week, minute_of_day and month"""
    made = calendar(usable, "2013-07-01 05:15", "2013-07-04 17:30")
    expect(made["day_of_week"], "day_of_week").equals([0, 3], hint="1 July 2013 was a Monday")
    expect(made["minute_of_day"], "minute_of_day").equals([315, 1050], hint="an hour has 60 minutes")
    expect(made["month"], "month").equals([7, 7])


@question.check(points=1)
def tells_the_late(usable: Project) -> None:
    """is_late: late from 15 minutes on, and missing where a flight never arrived"""
    expect(late(usable, "delays(14, 15, -20, None)"), "is_late for delays of 14, 15, -20 and missing").equals(
        [False, True, False, None], hint="15 is late, and a comparison with a missing number gives False"
    )
