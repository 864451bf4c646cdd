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


### BEGIN HIDDEN TESTS
@question.check(points=1, hidden=True, hint="try it with a Sunday, five past midnight, and December")
def is_right_at_the_edges(usable: Project) -> None:
    """add_calendar is right at the edges of the day, the week and the year"""
    made = calendar(usable, "2013-12-01 00:05", "2013-03-31 23:59", "2013-01-07 00:00")
    expect(made["day_of_week"]).equals([6, 6, 0])
    expect(made["minute_of_day"]).equals([5, 1439, 0])
    expect(made["month"]).equals([12, 3, 1])


@question.check(points=1, hidden=True, hint="compare the table before and after the call; copy() or assign()")
def leaves_its_input(usable: Project) -> None:
    """add_calendar leaves its input, the other columns and the rows as they were"""
    code = """
given = plan("2013-07-02 09:00", "2013-07-01 08:00", "2013-07-01 08:00")
before = given.copy()
made = add_calendar(given)
kept = [column for column in ("carrier", "planned_departure") if column in made]
answer = [given.equals(before), list(made.index) == list(before.index), kept, list(made["day_of_week"])]
"""
    expect(usable.evaluate(FLIGHTS + code)).equals([True, True, ["carrier", "planned_departure"], [1, 0, 0]])


@question.check(points=1, hidden=True, hint="does is_late use its second argument?")
def takes_another_threshold(usable: Project) -> None:
    """is_late takes another number of minutes"""
    expect(late(usable, "delays(29, 30, 200, None), minutes=30")).equals([False, True, True, None])
    expect(late(usable, "delays(-1, 0, None), 0")).equals([False, True, None])


### END HIDDEN TESTS
